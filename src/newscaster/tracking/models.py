"""The packaged networks of faces, loaded once."""

from __future__ import annotations

from functools import cache
from importlib import resources

from newscaster.inference import Session


@cache
def face_session(name: str, threads: int) -> Session:
    """Load the network of a packaged file, once; threads and clips may share it."""
    model = resources.files("newscaster.data").joinpath(name).read_bytes()
    return Session(model, threads=threads, name=name, trusted=True)
