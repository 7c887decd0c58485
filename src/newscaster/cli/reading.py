"""The command `read`: what a voice is given for a text."""

from __future__ import annotations

from pathlib import Path

import click

from newscaster.cli.shared_options import (
    FILE,
    pronunciations_of,
    pronunciations_option,
    reading_of,
    voice_command_option,
    voice_option,
)
from newscaster.cli.terminal import json_output, say, value_text


@click.command()
@click.argument("script", required=False, type=FILE)
@click.option("--text", help="Text to read, in place of SCRIPT.")
@voice_option
@voice_command_option
@pronunciations_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def read(
    script: Path | None,
    text: str | None,
    voice: str | None,
    voice_command: str | None,
    pronunciations: Path | None,
    as_json: bool,
) -> None:
    """Show how SCRIPT is read, without speaking: figures and abbreviations as words, one sentence a line.

    SCRIPT: a .txt file. The voice determines by which language's rules it is read, and which words are left
    out.
    """
    from newscaster.errors import InputError
    from newscaster.speech.voices import read_sentences
    from newscaster.synthesis.script_file import is_script, read_script

    if (script is None) == (text is None):
        given = "neither is" if script is None else "both are"
        raise InputError(f"expected a script or --text, and {given} given. Give one of them")
    if script is not None:
        if not is_script(script):
            raise InputError(f"the script is '{script}'; expected a .txt file. Save it as plain text")
        text = read_script(Path(script))
    assert text is not None
    reading = reading_of(
        None, voice=voice, command=voice_command, pronunciations=pronunciations_of(pronunciations)
    )
    notes: list[str] = []
    sentences = list(read_sentences(text, reading=reading, on_note=notes.append))
    if as_json:
        values = [
            {
                "line": each.sentence.line,
                "written": each.sentence.text,
                "spoken": each.words,
                "unread": [word for word, _ in each.unread],
            }
            for each in sentences
        ]
        click.echo(json_output({"sentences": values, "notes": notes}))
        return
    for each in sentences:
        say(value_text(each.words))
    for note in notes:
        say(f"note: {value_text(note)}", err=True)
