"""The endpoints of tokens to embed an anchor: list, make, revoke.

See `api` for the rules of all endpoints.
"""

from __future__ import annotations

import asyncio
from typing import Any

from newscaster.server.api_requests import TheStudio, new_router
from newscaster.server.grants import Grant
from newscaster.server.schemas import NewEmbedToken
from newscaster.server.studio import Studio
from newscaster.texts import escaped

router = new_router()


@router.get("/anchors/{anchor}/embed_tokens", summary="The tokens to embed an anchor")
async def embed_tokens(anchor: str, studio: TheStudio) -> list[dict[str, Any]]:
    """The first one, without a label, is the `embed_token` of the anchor."""
    anchor = studio.library.id_of(anchor)
    made = [_shown(studio, each.grant, each.label, each.created) for each in studio.embed_tokens.made(anchor)]
    return [_shown(studio, studio.embed_tokens.default(anchor), None, None), *made]


@router.post("/anchors/{anchor}/embed_tokens", status_code=201, summary="Make a token to embed an anchor")
async def new_embed_token(anchor: str, new: NewEmbedToken, studio: TheStudio) -> dict[str, Any]:
    """Make one for each site, so that they can be revoked one by one."""
    anchor = studio.library.id_of(anchor)
    made = studio.embed_tokens.make(anchor, escaped(new.label))
    return _shown(studio, made.grant, made.label, made.created)


@router.delete(
    "/anchors/{anchor}/embed_tokens/{token}",
    status_code=204,
    summary="Revoke a token to embed an anchor, and end the sessions that were started with it",
)
async def revoke_embed_token(anchor: str, token: str, studio: TheStudio) -> None:
    """`token` is its id. The anchor gets another `embed_token` if it was that one."""
    anchor = studio.library.id_of(anchor)
    grant = studio.embed_tokens.revoke(anchor, token)
    started = [session for session in studio.sessions() if session.options.grant == grant]
    await asyncio.gather(*(studio.end(session) for session in started))


def _shown(studio: Studio, grant: Grant, label: str | None, created: str | None) -> dict[str, Any]:
    return {"id": grant.id, "label": label, "created": created, "token": grant.token(studio.settings)}
