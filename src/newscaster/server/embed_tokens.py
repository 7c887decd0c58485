"""The tokens to embed anchors, in a file of the data folder: which were made, and which were revoked.

Each anchor has a token at any time: its number 1, or, once that is revoked, the next number. Further tokens
have random ids and a label, one for each site, so that they can be revoked one by one. `grants` derives the
tokens from the ids: the file holds no secret, and a token counts unless it is revoked here.
"""

from __future__ import annotations

import itertools
import json
import re
import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from newscaster.errors import InputError
from newscaster.media import FolderLease, atomic_write
from newscaster.safety.readers import read_json
from newscaster.server.grants import FIRST_ID, Grant, Kind
from newscaster.server.http_errors import NOT_FOUND, TOO_MANY, RefusedError
from newscaster.texts import quoted

FILE = "embed_tokens.json"
_ID = re.compile(r"[0-9a-f]{1,16}")
_MAX_TOKENS = 1000
"""Tokens in the file, revoked ones included."""


@dataclass(frozen=True, kw_only=True)
class EmbedToken:
    """A token that was made for one site."""

    anchor: str
    id: str
    label: str
    """The site that uses it, in the words of its maker."""
    created: str
    """Date and time, ISO 8601."""

    @property
    def grant(self) -> Grant:
        """What it grants."""
        return Grant(Kind.EMBED, self.anchor, self.id)


class EmbedTokens:
    """The tokens of a studio to embed anchors.

    Args:
        folder: data folder of the studio.
        lease: lease of the folder; nothing is written after it is lost.

    Raises:
        InputError: the file is damaged: tokens that it revokes would open their anchors again.
    """

    def __init__(self, folder: Path, *, lease: FolderLease) -> None:
        self._path, self._lease = folder / FILE, lease
        self._made: list[EmbedToken] = []
        self._revoked: set[Grant] = set()
        if self._path.exists():
            try:
                self._load()
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise InputError(
                    f"{quoted(self._path)} is damaged ({error}): it says which tokens are revoked. Restore "
                    "it, or remove it and start the studio with another token"
                ) from error

    def _load(self) -> None:
        values = read_json(self._path.read_bytes())
        made, revoked = values["made"], values["revoked"]
        if not all(isinstance(text, str) for each in (*made, *revoked) for text in each.values()):
            raise ValueError("a value is not a text")
        self._made = [EmbedToken(**each) for each in made]
        self._revoked = {Grant(Kind.EMBED, each["anchor"], each["id"]) for each in revoked}

    @property
    def revoked(self) -> Collection[Grant]:
        """The revoked tokens, now and later."""
        return self._revoked

    def default(self, anchor: str) -> Grant:
        """Return the token that an anchor has in any case."""
        grants = (Grant(Kind.EMBED, anchor, str(number)) for number in itertools.count(int(FIRST_ID)))
        return next(grant for grant in grants if grant not in self._revoked)

    def made(self, anchor: str) -> list[EmbedToken]:
        """Return the further tokens of an anchor, the oldest first."""
        return [token for token in self._made if token.anchor == anchor]

    def make(self, anchor: str, label: str) -> EmbedToken:
        """Make a further token.

        Raises:
            RefusedError: there are too many.
            OutputError: it cannot be stored.
        """
        created = datetime.now(UTC).isoformat(timespec="seconds")
        token = EmbedToken(anchor=anchor, id=secrets.token_hex(8), label=label, created=created)
        self._store([*self._made, token], self._revoked)
        return token

    def revoke(self, anchor: str, token_id: str) -> Grant:
        """Revoke a token, also one that another studio has made.

        Raises:
            RefusedError: no token has such an id, or too many are stored.
            OutputError: it cannot be stored.
        """
        if _ID.fullmatch(token_id) is None:
            raise RefusedError(f"there is no token {quoted(token_id[:60])}", status=NOT_FOUND)
        grant = Grant(Kind.EMBED, anchor, token_id)
        self._store([token for token in self._made if token.grant != grant], {*self._revoked, grant})
        return grant

    def _store(self, made: list[EmbedToken], revoked: set[Grant]) -> None:
        if len(made) + len(revoked) > _MAX_TOKENS:
            raise RefusedError(
                f"{_MAX_TOKENS} tokens to embed are stored, the maximum. Stop the studio, remove "
                f"{FILE} from its data folder, and start it with another token",
                status=TOO_MANY,
            )
        ids = {(grant.subject, grant.id) for grant in revoked}
        values = {
            "made": [asdict(token) for token in made],
            "revoked": [{"anchor": anchor, "id": token_id} for anchor, token_id in sorted(ids)],
        }
        self._lease.confirm()
        with atomic_write(self._path) as temporary:
            temporary.write_text(json.dumps(values, indent=1), encoding="utf-8")
        self._made[:] = made
        self._revoked |= revoked
