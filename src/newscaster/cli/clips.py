"""`clips`: list, add and remove the named clips of an anchor."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from newscaster.cli.terminal import say

_FILE = click.Path(path_type=Path)

person_option = click.option(
    "--face",
    type=click.IntRange(min=0),
    metavar="N",
    help="Face to use if there are several, counted from the left (0 is the leftmost).",
)
"""Selects the person of footage."""


@click.command()
@click.argument("anchor")
@click.argument("footage", required=False, type=_FILE)
@click.option(
    "--add",
    multiple=True,
    metavar="NAME=START-STOP",
    help="Add a clip: a part of FOOTAGE or, without it, of the anchor's target video, such as "
    "nod=00:12-00:14. Repeatable.",
)
@click.option("--remove", multiple=True, metavar="NAME", help="Remove a clip. Repeatable.")
@person_option
def clips(
    anchor: str, footage: Path | None, add: Sequence[str], remove: Sequence[str], face: int | None
) -> None:
    """List, add or remove the named clips of ANCHOR, which live streams show on cue.

    ANCHOR: a file. FOOTAGE: a video of its person, in the size of the anchor's frames.

    Clips with the names 'idle' and 'listening' are shown in a loop: while no one speaks, and while the user
    speaks.
    """
    from newscaster.errors import InputError
    from newscaster.formats.anchor import AnchorFile
    from newscaster.formats.bundled_anchors import anchor_path
    from newscaster.formats.named_clips import ClipTimes
    from newscaster.synthesis.clip_editing import edit_clips
    from newscaster.synthesis.loading import load_target

    if footage is not None and not add:
        raise InputError(f"'{footage}' is given, but no part of it. Add one: --add NAME=START-STOP")
    path = anchor_path(anchor)
    if add or remove:
        edit_clips(
            path, add=[ClipTimes.parse(text) for text in add], remove=remove, footage=footage, face=face
        )
    file = AnchorFile(path)
    if not file.info.clips:
        say("no clips")
        return
    actions = load_target(file, file.face()).actions
    assert actions is not None
    for clip in file.info.clips:
        start, seconds = float(clip.start / file.info.fps), float(clip.frames / file.info.fps)
        note = "" if max(actions.cut_changes(clip.name)) <= 1 else "  its cuts can be seen"
        say(f"{clip.name:<16} {seconds:6.2f} s, at {start:.2f} s of the target{note}")
