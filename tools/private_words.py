"""Count the project's private words in code, docs and help: each has a term of the field that says it better.

    python tools/private_words.py             counts by word
    python tools/private_words.py --list      every place
    python tools/private_words.py --max N     fails if there are more than N

Prose is what people read: comments, docstrings, messages, Markdown and the page's texts. Identifiers are
counted by their parts (``stage_frames`` has ``stage``). Keys of file formats and names of FFmpeg keep
their words.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("src/newscaster",)
PROSE = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "docs")
_TEXTS = (tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1))
_OLD_NAMES = ("moved_keywords", "renamed_attributes")
"""Functions of `newscaster.deprecation`: their arguments are old names, which work for one release."""
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


@dataclass(frozen=True)
class Word:
    """A private word and the term to use."""

    name: str
    use: str
    prose: str | None = None
    """Regular expression for prose, case ignored; None: fine in prose."""
    parts: frozenset[str] = frozenset()
    """Parts of identifiers."""


def _word(name: str, use: str, prose: str | None = None, *parts: str) -> Word:
    return Word(name, use, prose, frozenset(parts))


WORDS = (
    _word(
        "take",
        "dataset",
        r"\b(?:a|the|this|that|its|each|every|of|from|whose|prepared|another) takes?\b",
        "take",
        "takes",
    ),
    _word(
        "stage",
        "target",
        r"\bstages?\b(?! (?:minutes|steps|PSNR, dB|sharpness)[\"`])",  # metrics in the header of an anchor
        "stage",
        "stages",
        "staged",
    ),
    _word(
        "painted",
        "synthetic, rendered",
        r"\b(?<!rendering-)(?:re)?paint(?:s|ed|ing|er|ers)?\b",  # rendering-painted: a folder in --work-dir
        "paint",
        "paints",
        "painted",
        "painting",
        "painter",
        "painters",
    ),
    _word("joins", "transitions", r"\bjoins? of\b|\bthe joins?\b", "joins", "join_at"),
    _word("moment", "frame similarity", None, "moment", "moments"),
    _word("share", "blend weight, fraction", None, "share", "shares"),
    _word("region", "crop", r"\b(?<!:)regions?\b(?![\"`])", "region", "regions"),
    _word("face map", "landmark map", r"(?<!full-)\bface maps?\b"),
    _word("frame map", "full-face map", r"\bframe maps?\b", "framemap"),
    _word("flattening", "surface warp", r"\bflatten(?:ing|ings)\b", "flattening", "flattenings", "laid"),
    _word("looks", "appearance codes", r"\b(?:the|of|few|dozen|first|these) looks\b", "looks"),
    _word("sitting", "session, training loop", r"\bsittings?\b", "sitting", "sittings"),
    _word("outer-eye distance", "IOD", r"\bouter-eye distances?\b"),
    _word("deviation", "standard deviation", r"(?<!standard )\bdeviations?\b", "deviation", "deviations"),
    _word("stretch", "segment", r"\bstretch(?:es)?\b", "stretch", "stretches"),
    _word("listener", "client, viewer", r"\blisteners?\b", "listener", "listeners"),
    _word("starved", "underrun", r"\bstarved\b", "starved"),
    _word("left out", "dropped, skipped", r"\bleft[- ]out\b"),
    _word("passed through", "passthrough", r"\bpass(?:ed|es) through\b"),
    _word("built-in anchor", "bundled anchor", r"\bbuilt-?in anchors?\b", "builtin"),
    _word("rival", "baseline", r"\brivals?\b", "rival", "rivals"),
    _word("opponent", "discriminator, adversary", r"\bopponents?\b", "opponent", "opponents"),
    _word("anew", "again, reconstructed", r"\banew\b"),
    _word("whole numbers", "int8, quantised", r"\bwhole numbers\b"),
    _word("holds / is broken", "valid, invalid", r"\bmanifests? (?:holds|is broken)\b"),
    _word("set aside", "split", r"\bset aside\b"),
    _word("heard otherwise", "augment_audio", r"\bheard otherwise\b", "otherwise"),
    _word("picture", "frame", r"\bpictures?\b", "picture", "pictures"),
    _word("sound", "audio", r"\bsounds?\b", "sound", "sounds"),
    _word(
        "said / told / heard",
        "a verb for what code does",
        r"\b(?:said|told|heard)\b",
        "said",
        "told",
        "heard",
    ),
    _word("nobody / somebody", "no one, someone", r"\b(?:no|some)body\b(?!\")"),
    _word("where there is", "if", r"\bwhere (?:there|it|they|that) (?:is|are|was|were|has|have)\b"),
    _word("MOST_ / LEAST_ / LONGEST_", "MAX_, MIN_", None),
)
_QUOTED = re.compile(
    r"--stage(?:-minutes|-start)?\b"  # options
    r"|`stage(?: (?:minutes|steps|PSNR|PSNR, dB|sharpness)|\.[\w.*]+)?`"  # metrics, keys and files of formats
    r"|^### stage\.(?:mp4|safetensors)$"
    r"|`(?:basis\.deviations|stretch|region(?:\.\w+)?|regions)`"
    r"|`(?:clips/NAME/|painted-HASH/NAME/)?regions\.npy`|`rendering-painted-HASH/`|`pictures\.(?:npy|json)`"
    r"|`\{\"type\": \"sound\", \"rate\": 16000\}`"  # a message of the WebSocket
    r"|`benchmarks/stage\.py`|\bin-painter\b",  # a program; the network of ObamaNet
    re.MULTILINE,
)
"""Names in Markdown that are not prose: options, keys, files, and a published network."""
_EXEMPT = (
    # files, arrays, keys and values of docs/formats.md
    (
        "src/newscaster/*",
        r"\bstage\.(?:mp4|safetensors|pose_matrix|pose_shift|transforms|landmarks|share|stretch|thumbnails)\b"
        r"|\bbasis\.deviations\b|\bregions\.npy\b|\brendering-painted\b"
        r"|(?P<quote>[\"'`])(?:stage|region|no sound)(?P=quote)"
        r"|\bstage (?:minutes|steps|PSNR, dB|sharpness)[\"'`]",
    ),
    # words of texts that are read aloud
    ("src/newscaster/speech/spoken/english/*.py", r"\b(?:heard|said|told|Stage)\b"),
    # files of docs/formats.md that a resumed run reads
    ("src/newscaster/models/portrait/frames.py", r"\bpictures\.(?:npy|json)\b"),
    ("src/newscaster/models/portrait/target.py", r"(?<![\w-])painted-(?=\{|$)"),
    # keys of JSON and of the C2PA statement, types of messages, file names
    ("src/newscaster/provenance/statement.py", r'"(?:stage|painted)"'),
    ("src/newscaster/cli/verifying.py", r'"painted"'),
    ("src/newscaster/evaluation/*", r"[\"`]sound[\"`]"),
    ("src/newscaster/server/speech_upload.py", r'"sound"'),
    ("src/newscaster/server/websocket.py", r'"sound"'),
    ("src/newscaster/server/page/studio.js", r'type: "sound"'),
    # the key of a tensor in anchors
    ("src/newscaster/models/renderer/ridge_init.py", r'"pictures"'),
    # old names of options
    ("src/newscaster/cli/*", r'"--stage(?:-minutes|-start)?"'),
    # lists of HTML elements, of WebVTT's blocks and of English words
    (
        "src/newscaster/speech/*",
        r"phoneme picture progress prosody|NOTE\|STYLE\|REGION|\"(?:NOTE|STYLE|REGION)\""
        r"|replied\|says\|said\|shouts\|shouted\|tells\|told|which their said if will",
    ),
)
"""Texts that are right as they are, by the files that they stand in."""
_LIBRARY_NAMES = frozenset(
    {
        ("tracking/sampling.py", "take"),  # numpy.ndarray.take
        ("prepare/lag.py", "take_along_axis"),  # numpy.take_along_axis
        ("still/layers.py", "take_along_axis"),
        ("still/layers.py", "take"),  # numpy.take
        ("media/writer.py", "PictureType"),  # PyAV
        ("media/stream.py", "PictureType"),
        ("media/packets.py", "PictureType"),
        ("newscaster/inference.py", "share_inputs"),  # OpenVINO
        # keys of tensors in checkpoints and anchors: the names of buffers
        ("motion/network.py", "feature_deviation"),
        ("motion/base.py", "feature_deviation"),
        ("motion/task.py", "feature_deviation"),
        ("motion/discriminator.py", "motion_deviation"),
        ("renderer/ridge_init.py", "pictures"),
    }
)
"""Names of libraries and of stored tensors, by the file that uses them."""
_CONSTANT = re.compile(r"_?(?:MOST|LEAST|LONGEST|GREATEST|FEWEST)_[A-Z0-9_]+|_?[A-Z0-9_]+_(?:MOST|LEAST)")


@dataclass(frozen=True)
class Place:
    """One private word somewhere."""

    word: Word
    path: Path
    line: int
    text: str


def main() -> int:
    """Print counts, or every place; 1 if there are too many."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--list", action="store_true", help="print every place")
    parser.add_argument("--max", type=int, help="fail if there are more")
    a = parser.parse_args()
    found = list(places())
    if a.list:
        for place in found:
            print(f"{place.path.relative_to(ROOT)}:{place.line}: {place.text} -> {place.word.use}")
    counts = Counter(place.word.name for place in found)
    for word in WORDS:
        print(f"{counts[word.name]:6}  {word.name}  ->  {word.use}")
    print(f"{len(found):6}  in all")
    if a.max is not None and len(found) > a.max:
        print(f"more than {a.max}: write the field's term instead; --list names every place")
        return 1
    return 0


def places() -> Iterator[Place]:
    """All private words of the project."""
    for folder in SOURCES:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix == ".py":
                yield from in_python(path)
            elif path.suffix in (".html", ".js", ".css", ".jinja"):
                yield from in_prose(path, path.read_text(encoding="utf-8"))
    for name in PROSE:
        path = ROOT / name
        for file in sorted(path.rglob("*.md")) if path.is_dir() else [path]:
            yield from in_markdown(file, file.read_text(encoding="utf-8"))


def in_markdown(path: Path, text: str) -> Iterator[Place]:
    """Private words in a page, without names that it quotes."""
    return in_prose(path, _QUOTED.sub("``", text))


def in_python(path: Path) -> Iterator[Place]:
    """Identifiers by their parts; comments and strings as prose."""
    source = path.read_text(encoding="utf-8")
    old_names = False
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.NEWLINE:
            old_names = False
        elif token.string in _OLD_NAMES:
            old_names = True
        elif token.type == tokenize.NAME and not old_names:
            yield from in_identifier(path, token.start[0], token.string)
        elif token.type in _TEXTS:
            yield from in_prose(path, token.string, first_line=token.start[0])


def in_identifier(path: Path, line: int, name: str) -> Iterator[Place]:
    """Private words among the parts of a name."""
    if (f"{path.parent.name}/{path.name}", name) in _LIBRARY_NAMES:
        return
    if _CONSTANT.fullmatch(name):
        yield Place(WORDS[-1], path, line, name)
    parts = {part.lower() for part in _PART.findall(name)}
    for word in WORDS:
        if word.parts & parts:
            yield Place(word, path, line, name)


def in_prose(path: Path, text: str, *, first_line: int = 1) -> Iterator[Place]:
    """Private words in a text that people read."""
    file = path.relative_to(ROOT).as_posix()
    exempt = [pattern for files, pattern in _EXEMPT if fnmatch(file, files)]
    for number, line in enumerate(text.splitlines(), first_line):
        row = line
        for pattern in exempt:
            row = re.sub(pattern, "", row)
        for word in WORDS:
            if word.prose is not None:
                for match in re.finditer(word.prose, row, re.IGNORECASE):
                    yield Place(word, path, number, match[0])


if __name__ == "__main__":
    sys.exit(main())
