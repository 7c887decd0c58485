from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from newscaster.errors import InputError
from newscaster.server.anchor_registry import Library
from newscaster.server.anchor_source import FRESH_SECONDS, AnchorSource
from newscaster.server.app import create_app
from newscaster.server.http_errors import RefusedError
from newscaster.server.settings import Limits, Settings
from newscaster.stores.cache import FileCache
from newscaster.stores.remote import StoreError
from object_stores import bucket as bucket  # fixtures
from object_stores import memory as memory
from studios import ADDRESS, SOCKETS, until

FOLDER = "memory://anchors/"


@pytest.fixture
def cache(tmp_path: Path) -> FileCache:
    return FileCache(folder=tmp_path / "copies")


def fill(memory: Any, tiny: Path, *names: str) -> None:
    for name in names:
        memory.pipe(f"/anchors/{name}.anchor", tiny.read_bytes())


def copies(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.anchor"))


def test_a_thousand_anchors_are_listed_and_one_is_fetched(
    memory: Any, tiny: Path, tmp_path: Path, cache: FileCache
) -> None:
    for number in range(1000):
        memory.pipe(f"/anchors/a{number:03}.anchor", b"no anchor")
    fill(memory, tiny, "a500")
    library = Library([FOLDER], cache=cache)
    assert len(library.ids) == 1000
    assert library.known_info("a500") is None
    assert copies(tmp_path) == []
    library.acquire("a500").release()
    assert copies(tmp_path) == ["a500.anchor"]
    assert library.open_ids == ("a500",)
    assert library.known_info("a500") is not None


def test_anchors_used_longest_ago_are_closed_unless_in_use(memory: Any, tiny: Path, cache: FileCache) -> None:
    fill(memory, tiny, "a", "b", "c", "d")
    library = Library([FOLDER], cache=cache, max_open=2)
    used = library.acquire("a")
    library.acquire("b").release()
    library.acquire("c").release()
    assert library.open_ids == ("a", "c")
    again = library.acquire("a")
    assert again.anchor is used.anchor
    used.release()
    used.release()
    library.acquire("d").release()
    assert library.open_ids == ("a", "d")
    again.release()
    library.acquire("c").release()
    assert library.open_ids == ("d", "c")


def test_more_anchors_than_the_maximum_may_be_in_use(memory: Any, tiny: Path, cache: FileCache) -> None:
    fill(memory, tiny, "a", "b")
    library = Library([FOLDER], cache=cache, max_open=1)
    both = [library.acquire(name) for name in "ab"]
    assert library.open_ids == ("a", "b")
    both[1].release()
    assert library.open_ids == ("a",)


def test_a_changed_object_is_fetched_again(memory: Any, tiny: Path, cache: FileCache) -> None:
    now = 0.0
    fill(memory, tiny, "ada")
    source = AnchorSource(f"{FOLDER}ada.anchor", cache, now=lambda: now)
    first = source.current()
    fill(memory, tiny, "ada")  # a new version
    assert source.current() is first
    now = FRESH_SECONDS + 1
    assert source.current().path != first.path
    memory.rm("/anchors/ada.anchor")
    now *= 2
    with pytest.raises(RefusedError, match="there is no") as refused:
        source.current()
    assert refused.value.status == 404


def test_a_copy_is_not_used_while_the_store_is_down(
    memory: Any, tiny: Path, cache: FileCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    fill(memory, tiny, "ada")
    source = AnchorSource(f"{FOLDER}ada.anchor", cache, now=lambda: now)
    source.current()

    def down(*args: object, **options: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(type(memory), "info", down)
    source.current()
    now = FRESH_SECONDS + 1
    with pytest.raises(StoreError, match="no route"):
        source.current()


def test_places_without_an_anchor(memory: Any, cache: FileCache) -> None:
    memory.pipe("/anchors/notes.txt", b"1")
    with pytest.raises(InputError, match=r"there is no NAME\.anchor in 'memory://anchors/'"):
        Library([FOLDER], cache=cache)
    with pytest.raises(InputError, match=r"there is no 'memory://anchors/ada\.anchor'"):
        Library([f"{FOLDER}ada.anchor"], cache=cache)


def test_a_studio_of_anchors_in_a_store(memory: Any, tiny: Path, tmp_path: Path) -> None:
    fill(memory, tiny, "ada", "grace")
    settings = Settings(anchors=(FOLDER,), keep=tmp_path / "kept", limits=Limits(open_anchors=1))
    with TestClient(create_app(settings), base_url=ADDRESS) as studio:
        ada, grace = studio.get("/v1/anchors").json()
        assert ada["width"] > 0  # the default is opened at the start
        assert (grace["id"], grace["name"], grace["width"]) == ("grace", "grace", None)
        library = studio.app.state.studio.library  # type: ignore[attr-defined]
        assert library.open_ids == ("ada",)
        with studio.websocket_connect(f"{SOCKETS}/v1/stream") as socket:
            socket.send_json({"anchor": "grace", "output": "none"})
            assert socket.receive_json()["anchor"] == "grace"
            assert library.open_ids == ("grace",)
            with studio.websocket_connect(f"{SOCKETS}/v1/stream") as other:
                other.send_json({"output": "none"})
                other.receive_json()
                assert library.open_ids == ("grace", "ada")
        until(lambda: len(library.open_ids) == 1)
        assert studio.get("/v1/anchors/grace").json()["width"] == ada["width"]
        assert studio.get("/v1/anchors/nobody").status_code == 404


@pytest.mark.slow
def test_a_studio_of_anchors_in_s3(bucket: str, tiny: Path, tmp_path: Path) -> None:
    import fsspec

    fsspec.filesystem("s3", skip_instance_cache=True).pipe("bucket/anchors/ada.anchor", tiny.read_bytes())
    settings = Settings(anchors=(f"{bucket}/anchors/",), keep=tmp_path / "kept")
    with TestClient(create_app(settings), base_url=ADDRESS) as studio:
        assert studio.get("/readyz").status_code == 200
        assert copies(tmp_path / "kept") == ["ada.anchor"]


@pytest.mark.parametrize(
    ("places", "found"),
    [
        (("builtin",), {"builtin": "builtin", "grid-s4": "builtin"}),
        (("grid-s4", "grid-s1"), {"builtin": "grid-s4", "grid-s4": "grid-s4", "grid-s1": "grid-s1"}),
        (("grid-s1",), {"grid-s1": "grid-s1"}),
        (("builtin", "grid-s4"), {"builtin": "builtin", "grid-s4": "grid-s4"}),
    ],
)
def test_bundled_anchors_are_found_by_all_their_names(
    cache: FileCache, places: tuple[str, ...], found: dict[str, str]
) -> None:
    library = Library(places, cache=cache)
    assert library.ids == places
    for name in ("builtin", "grid-s4", "grid-s1"):
        assert library.serves(name) == (name in found)
        if name in found:
            assert library.resolve(name) == library.id_of(name) == found[name]
            assert library.path(name) == library.path(found[name])
            assert library.name(name) == library.name(found[name])
        else:
            with pytest.raises(RefusedError, match=f"there is no anchor '{name}'; this studio has"):
                library.resolve(name)
    others = {place: [name for name, key in found.items() if key == place != name] for place in places}
    assert {place: library.aliases(place) for place in places} == others


def test_a_file_of_such_a_name_is_no_bundled_anchor(tiny: Path, tmp_path: Path, cache: FileCache) -> None:
    file = tmp_path / "grid-s4.anchor"
    file.write_bytes(tiny.read_bytes())
    library = Library([str(file)], cache=cache)
    assert library.path("grid-s4") == file
    assert not library.serves("builtin")
    library = Library([str(file), "builtin"], cache=cache)
    assert library.path("grid-s4") == file
    assert library.path("builtin") != file
    assert library.aliases("builtin") == []


def test_bundled_anchors_are_named_as_they_are_given(cache: FileCache) -> None:
    names = {place: AnchorSource(place, cache) for place in ("builtin", "grid-s1", "grid-s4")}
    assert [source.name for source in names.values()] == list(names)
    copies = [source.copy for source in names.values()]
    assert [copy.info.name[-1] for copy in copies if copy is not None] == ["4", "1", "4"]
