from __future__ import annotations

from typing import Any

import pytest

from newscaster.errors import InputError
from newscaster.stores.remote import is_url, local_path, objects_in
from object_stores import bucket as bucket  # fixtures
from object_stores import memory as memory


def test_what_is_a_url() -> None:
    assert is_url("s3://bucket/ada.anchor")
    assert not is_url("file:///ada.anchor")
    assert not is_url("C:\\ada.anchor")
    assert str(local_path("file:///a%20b.anchor")) == "/a b.anchor"


def test_the_objects_of_a_folder(memory: Any) -> None:
    for name in ("grace.anchor", "ada.anchor", "notes.txt", "deep/old.anchor"):
        memory.pipe(f"/anchors/{name}", b"1")
    names = ["memory://anchors/ada.anchor", "memory://anchors/grace.anchor"]
    assert objects_in("memory://anchors/", suffix=".anchor") == names
    with pytest.raises(InputError, match="there is no"):
        objects_in("memory://none/", suffix=".anchor")


@pytest.mark.slow
def test_the_objects_of_a_folder_in_s3(bucket: str) -> None:
    import fsspec

    system = fsspec.filesystem("s3", skip_instance_cache=True)
    for name in ("b.anchor", "a.anchor"):
        system.pipe(f"bucket/anchors/{name}", b"1")
    assert objects_in(f"{bucket}/anchors/", suffix=".anchor") == [
        f"{bucket}/anchors/a.anchor",
        f"{bucket}/anchors/b.anchor",
    ]
