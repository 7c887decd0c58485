"""The option `--consent` of `train` and `dub`, and the prompt in its place."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import click

from newscaster.consent import is_refusal
from newscaster.errors import InputError
from newscaster.safety.readers import read_option

CONSENT_HELP = (
    "Consent: who agreed, and to which use. A statement, a file with one, or a file with the lines "
    "'who', 'for', 'when' and 'until' (dates as YEAR-MONTH-DAY). Prompts for it by default."
)
_MAX_CONSENT_BYTES = 1 << 20
_FILE_NAME = re.compile(r"\S*[/\\]\S*|.*\.(txt|text|md|json|ya?ml|toml|csv|rtf|odt|docx?|pdf)", re.IGNORECASE)
"""A value of --consent that looks like a file name rather than a statement."""


@dataclass(frozen=True, kw_only=True)
class ConsentPurpose:
    """What consent is needed for."""

    who: str
    """First question of the prompt."""
    refusal: str
    """Start of the error without consent, up to "and --consent is missing"."""
    example: str
    """A value of the option."""

    @property
    def questions(self) -> tuple[tuple[str, str, str], ...]:
        """Lines of the consent record: name, question, default."""
        return (
            ("who", self.who, ""),
            ("for", "For which use?", ""),
            ("when", "When did they agree (YEAR-MONTH-DAY)?", "today"),
            ("until", "Until when (YEAR-MONTH-DAY; nothing: until it is withdrawn)?", ""),
        )


TRAINING = ConsentPurpose(
    who="Who in this footage agrees to an anchor being made of them?",
    refusal="training an anchor needs the consent of the person shown",
    example="'Ada Byron, 2026-11-02: news videos on our site'",
)


def read_consent(option: str | None, purpose: ConsentPurpose) -> str:
    """Return the consent statement or record, from the value of --consent or from a prompt.

    Raises:
        InputError: there is no value, and no one to ask; or the named file cannot be read.
    """
    if option is None:
        if not _interactive():
            raise InputError(
                f"{purpose.refusal}, and --consent is missing. Add who agreed, and to which use: --consent "
                f"{purpose.example}, or a file with the lines who, for, when and until"
            )
        return _prompt_consent(purpose)
    path = Path(option)
    try:
        exists = bool(option) and path.exists()
    except (OSError, ValueError):  # a text that is too long for a file name, or contains a null character
        exists = False
    if not exists and _FILE_NAME.fullmatch(option):
        raise InputError(
            f"--consent: no such file: '{option}'. Give an existing file, or write who agreed, and to which "
            "use"
        )
    try:
        # The file may also be a pipe: <(...).
        statement = read_option(path, most=_MAX_CONSENT_BYTES).decode("utf-8") if exists else option
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"--consent: '{option}' cannot be read as UTF-8 text ({reason}). Give another file, or the "
            "statement itself"
        ) from error
    return statement.strip()


def _prompt_consent(purpose: ConsentPurpose) -> str:
    """Prompt for the consent record line by line; stop at a refusal."""
    lines = []
    for name, question, default in purpose.questions:
        answer = click.prompt(question, default=default, show_default=bool(default), err=True).strip()
        if name == "who" and is_refusal(answer):
            return answer
        if name == "when" and answer == default:
            answer = date.today().isoformat()
        lines.append(f"{name}: {answer}")
    return "\n".join(lines)


def _interactive() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()
