"""The command that serves anchors: `serve`."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from newscaster.cli.exits import EXIT_ERROR
from newscaster.cli.json_log import json_lines, wants_json
from newscaster.cli.renamed import RenamedOption
from newscaster.cli.shared_options import (
    backend_option,
    pronunciations_of,
    pronunciations_option,
    timestamp_option,
)
from newscaster.cli.terminal import numpy_on_one_thread, say
from newscaster.errors import InputError, MissingExtraError, NewscasterError

if TYPE_CHECKING:
    from newscaster.server.settings import Settings

_EXTRA = {
    "fastapi": "fastapi",
    "uvicorn": "uvicorn",
    "websockets": "websockets",
    "aiortc": "aiortc",
    "prometheus_client": "prometheus-client",
}


@click.command()
@click.argument("anchors", nargs=-1, metavar="[ANCHOR]...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8765, show_default=True, help="Port to listen on; 0 picks a free port.")
@click.option(
    "--token",
    envvar="NEWSCASTER_TOKEN",
    help="API token, at least 12 characters; required when binding to a non-loopback address (default: a new "
    "token at each start, in the printed link). Prefer the variable NEWSCASTER_TOKEN: other users of this "
    "machine can read command lines.",
)
@click.option(
    "--no-token",
    is_flag=True,
    help="Require no token: every user and program on this machine can use the studio and sign as you.",
)
@click.option(
    "--data-dir",
    "keep",
    cls=RenamedOption,
    old_name="--keep",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Folder for jobs, uploads and recordings; one studio at a time (default: in the user's cache).",
)
@click.option(
    "--take-over",
    "adopt",
    is_flag=True,
    help="Take over the data folder of a stopped studio on another machine without waiting 30 s.",
)
@click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Allow pages of this origin to use the API. Repeatable.",
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="HOST",
    help="Accept this Host header too, such as a proxy's name. Repeatable.",
)
@click.option(
    "--look-ahead",
    "look_ahead_ms",
    default=200,
    show_default=True,
    metavar="MS",
    help="Audio look-ahead of live speech in ms, if the client does not set it (80-1000, multiple of 40).",
)
@click.option(
    "--instance",
    metavar="NAME",
    help="Name of this studio among several behind one proxy. Ids are NAME.RANDOM; the page gets a cookie.",
)
@click.option(
    "--turn",
    multiple=True,
    metavar="URL",
    help="STUN or TURN server for browsers in other networks, such as turn:turn.example.com:3478. Its "
    "static-auth-secret comes from NEWSCASTER_TURN_SECRET. Repeatable.",
)
@click.option(
    "--drain",
    "drain_seconds",
    default=0.0,
    show_default=True,
    metavar="SECONDS",
    help="After SIGTERM, start no more sessions and jobs, and let those that run go on for this time.",
)
@click.option("--sessions", default=8, show_default=True, help="Maximum number of concurrent live sessions.")
@click.option(
    "--open-anchors",
    default=8,
    show_default=True,
    help="Maximum number of anchors kept open, apart from those that sessions use.",
)
@backend_option
@pronunciations_option
@timestamp_option
@click.pass_context
def serve(
    context: click.Context,
    /,
    anchors: tuple[str, ...],
    keep: Path | None,
    sessions: int,
    open_anchors: int,
    token: str | None,
    no_token: bool,
    pronunciations: Path | None,
    **options: Any,
) -> None:
    """Serve a live studio for each ANCHOR.

    ANCHOR: a file (default: the bundled anchor), or in an object store: s3://BUCKET/NAME.anchor, or a folder
    such as s3://BUCKET/anchors/, whose anchors are fetched when they are first used.

    Serves a web page and an API under /v1, on this machine only unless --host is set. Open the printed link:
    it contains the API token.
    """
    numpy_on_one_thread()
    from newscaster.formats.bundled_anchors import BUNDLED, BUNDLED_ANCHORS
    from newscaster.server.settings import Limits, Settings, default_folder, new_token

    if no_token and context.get_parameter_source("token") is ParameterSource.COMMANDLINE:
        raise InputError("--token and --no-token exclude each other. Remove one of them")
    settings = Settings(
        anchors=anchors or (BUNDLED, *list(BUNDLED_ANCHORS)[1:]),
        keep=keep or _private(default_folder()),
        limits=Limits(sessions=sessions, open_anchors=open_anchors),
        token=None if no_token else token,
        pronunciations=pronunciations_of(pronunciations),
        turn_secret=os.environ.get("NEWSCASTER_TURN_SECRET") or None,
        **options,
    )
    is_new_token = token is None and not no_token
    if is_new_token and settings.is_loopback:
        settings = replace(settings, token=new_token())

    def started(address: str) -> None:
        if is_new_token:
            say(f"{address}/#token={settings.token}")
        else:
            say(address if settings.token is None else f"{address}/#token=TOKEN, with your token")

    if not wants_json():
        _serve(settings, started)
        return
    with json_lines():
        try:
            _serve(settings, started, own_http_log=False)
        except NewscasterError as error:
            logging.getLogger("newscaster.cli").error("%s", error)
            context.exit(EXIT_ERROR)


def _serve(settings: Settings, started: Callable[[str], None], **options: bool) -> None:
    """Serve until stopped. Anchors are checked before the packages: such an error is the user's own."""
    _check_anchors(settings.anchors)
    _need_extra()
    from newscaster.server.app import serve as serve_until_stopped

    serve_until_stopped(settings, started=started, **options)


def _check_anchors(places: Sequence[str]) -> None:
    """Check the anchors that are files.

    Raises:
        AnchorError: one is missing or damaged.
    """
    from newscaster.formats.anchor import AnchorFile
    from newscaster.formats.bundled_anchors import anchor_path, bundled_name
    from newscaster.stores.remote import is_url, local_path

    for place in places:
        if bundled_name(place) is None and not is_url(place):
            AnchorFile(anchor_path(local_path(place)))


def _need_extra() -> None:
    """Check that the packages of the studio are installed, without importing them.

    Raises:
        MissingExtraError: one is missing.
    """
    for module, package in _EXTRA.items():
        if find_spec(module) is None:
            raise MissingExtraError(purpose="The live studio", extra="serve", package=package)


def _private(folder: Path) -> Path:
    """Close the default folder, if it exists, to other users; earlier versions left it open."""
    from newscaster.system.durable import PRIVATE_FOLDER

    if folder.is_dir():
        with suppress(OSError):  # another user's
            folder.chmod(PRIVATE_FOLDER)
    return folder
