"""The command that serves anchors: `serve`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from newscaster.cli.speaking import timestamp_option
from newscaster.cli.terminal import numpy_on_one_thread, say
from newscaster.errors import InputError, MissingExtraError

_EXTRA = {"fastapi": "fastapi", "uvicorn": "uvicorn", "websockets": "websockets", "aiortc": "aiortc"}


@click.command()
@click.argument("anchors", nargs=-1, metavar="[ANCHOR]...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8765, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option(
    "--token",
    envvar="NEWSCASTER_TOKEN",
    help="API token of 12 characters or more (default: a new one at each start, in the printed link). "
    "Required if other machines can connect. Better set as NEWSCASTER_TOKEN: others on this machine may see "
    "options.",
)
@click.option(
    "--no-token",
    is_flag=True,
    help="Ask for no token: every user and program of this machine can use the studio, and sign as you.",
)
@click.option(
    "--keep",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Folder of jobs and recordings, for one studio at a time; by default in the user's cache.",
)
@click.option(
    "--take-over",
    "adopt",
    is_flag=True,
    help="Take the folder over from a studio on another machine that has ended, without waiting 30 s.",
)
@click.option("--origin", "origins", multiple=True, help="A page elsewhere that may use the API: its origin.")
@click.option("--allow-host", "hosts", multiple=True, help="Another name of the studio, as behind a proxy.")
@click.option(
    "--look-ahead",
    "look_ahead_ms",
    default=200,
    show_default=True,
    metavar="MS",
    help="How much later sound live mouths may know of, where a client does not say.",
)
@click.option("--sessions", default=8, show_default=True, help="Live sessions at once.")
@click.option(
    "--backend",
    type=click.Choice(["auto", "onnxruntime", "openvino", "cuda"]),
    envvar="NEWSCASTER_BACKEND",
    help="What runs the rendering network; by default what is installed and fastest.",
)
@timestamp_option
@click.pass_context
def serve(
    context: click.Context,
    /,
    anchors: tuple[str, ...],
    keep: Path | None,
    sessions: int,
    token: str | None,
    no_token: bool,
    **options: Any,
) -> None:
    """Open a live studio in the browser for each ANCHOR (a file; by default the built-in one).

    The page and an API under /v1 are served to this machine alone, unless --host names another address. Open
    the printed link: it holds the token that the API asks for.
    """
    numpy_on_one_thread()
    from importlib.util import find_spec

    for module, package in _EXTRA.items():
        if find_spec(module) is None:
            raise MissingExtraError(purpose="The live studio", extra="serve", package=package)
    from newscaster.formats.anchor import BUNDLED
    from newscaster.server.app import serve as serve_until_stopped
    from newscaster.server.settings import Limits, Settings, default_folder, new_token

    if no_token and context.get_parameter_source("token") is ParameterSource.COMMANDLINE:
        raise InputError("--token and --no-token exclude each other. Leave one of them out")
    settings = Settings(
        anchors=anchors or (BUNDLED,),
        keep=keep or _private(default_folder()),
        limits=Limits(sessions=sessions),
        token=None if no_token else token,
        **options,
    )
    made = token is None and not no_token
    if made and settings.is_loopback:
        settings = replace(settings, token=new_token())

    def started(address: str) -> None:
        if made:
            say(f"{address}/#token={settings.token}")
        else:
            say(address if settings.token is None else f"{address}/#token=TOKEN, with your token")

    serve_until_stopped(settings, started=started)


def _private(folder: Path) -> Path:
    """The default folder, closed to other users; earlier versions left it open. It may be missing yet."""
    from newscaster.system.durable import PRIVATE_FOLDER

    if folder.is_dir():
        with suppress(OSError):  # another user's
            folder.chmod(PRIVATE_FOLDER)
    return folder
