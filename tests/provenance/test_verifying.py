from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import av
import c2pa
import pytest
from PIL import Image

from newscaster.errors import InputError
from newscaster.media.containers import container_of
from newscaster.provenance import Credentials, FurtherPerson, find_credentials, verify
from newscaster.provenance.credentials import user_credentials
from newscaster.provenance.store import (
    MalformedManifestError,
    check_store,
    check_uncovered_boxes,
    embedded_store,
)
from signing import signed, statement, write_certificate

ClipMaker = Callable[..., Path]
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
ENDINGS = ("mp4", "m4v", "mov", "mkv")


@pytest.fixture
def local() -> Credentials:
    return find_credentials()


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_was_signed_is_read_again(
    make_clip: ClipMaker, tmp_path: Path, local: Credentials, ending: str
) -> None:
    path = signed(make_clip(name=f"clip.{ending}"), tmp_path / f"news.{ending}", local)
    found = verify(path)
    assert (found.verdict, found.holds, found.local, found.reasons) == ("untrusted", True, True, ())
    assert found.statement == statement()
    assert found.generator.startswith("newscaster ")
    assert found.source_types == ("compositeWithTrainedAlgorithmicMedia",)
    assert found.ingredients == (
        "target video of the anchor 'Ada'",
        "the speech, text-to-speech",
        "the anchor 'Ada'",
    )
    sidecar = tmp_path / "news.c2pa"
    assert found.sidecar == (sidecar if ending == "mkv" else None)
    assert sidecar.exists() == (ending == "mkv")
    assert not list(tmp_path.glob(".*"))


def test_further_people_are_named(make_clip: ClipMaker, tmp_path: Path, local: Credentials) -> None:
    speaks = FurtherPerson(
        anchor="Bob",
        anchor_id="d" * 64,
        anchor_created="2026-11-03T10:00:00+00:00",
        consent={"statement": "Bob agreed"},
        attribution=("Footage: Bob",),
        speech_sha256="e" * 64,
        speech_seconds=2.5,
        synthetic_voice=True,
    )
    silent = FurtherPerson(anchor="Eve", anchor_id="f" * 64, anchor_created="2026-11-04T10:00:00+00:00")
    found = verify(signed(make_clip(), tmp_path / "news.mp4", local, others=(speaks, silent)))
    assert found.statement == statement(others=(speaks, silent))
    assert found.ingredients.count("the speech, text-to-speech") == 2
    assert {"the anchor 'Ada'", "the anchor 'Bob'", "the anchor 'Eve'"} <= set(found.ingredients)


def test_people_who_are_known_from_the_source(
    make_clip: ClipMaker, tmp_path: Path, local: Credentials
) -> None:
    """There is no anchor to name: the source is the parent."""
    source = {"source_title": "talk.mp4", "source_sha256": "9" * 64, "target_sha256": None}
    other = FurtherPerson(
        anchor="Bob", anchor_id="d" * 64, anchor_created="2026-11-03T10:00:00+00:00", from_source=True
    )
    claims = {**source, "from_source": True, "others": (other,)}
    found = verify(signed(make_clip(), tmp_path / "news.mp4", local, **claims))
    assert found.holds
    assert found.statement == statement(**claims)
    assert found.ingredients == ("talk.mp4", "the speech, text-to-speech")
    actions = statement(**claims).definition(mime_type="video/mp4")["assertions"][0]["data"]["actions"]
    assert actions[1]["description"] == (
        "The mouths were rendered to match the speeches, with models of 'Ada', 'Bob' that were made from the "
        "video itself."
    )
    mixed = statement(**source, others=(other,)).definition(mime_type="video/mp4")
    assert "with the anchor 'Ada' and with models of 'Bob' that" in str(mixed)


def test_a_synthetic_target_and_another_one(make_clip: ClipMaker, tmp_path: Path, local: Credentials) -> None:
    clip = make_clip()
    synthetic_target = verify(signed(clip, tmp_path / "synthetic.mp4", local, synthetic_target=True))
    assert synthetic_target.source_types == ("trainedAlgorithmicMedia",)
    other = verify(signed(clip, tmp_path / "other.mp4", local, target_sha256=None, label="AI-generated"))
    assert other.holds
    assert other.ingredients == ("the speech, text-to-speech", "the anchor 'Ada'")
    assert other.statement == statement(target_sha256=None, label="AI-generated")


def test_signing_leaves_frames_and_audio_unchanged(
    make_clip: ClipMaker, tmp_path: Path, local: Credentials
) -> None:
    clip = make_clip()
    path = signed(clip, tmp_path / "news.mp4", local)
    before, after = clip.read_bytes(), path.read_bytes()
    assert before[before.find(b"mdat") :] == after[after.find(b"mdat") :]


def test_who_is_trusted(make_clip: ClipMaker, tmp_path: Path, local: Credentials) -> None:
    chain, key, authority = write_certificate(tmp_path / "newsroom")
    path = signed(make_clip(), tmp_path / "news.mp4", user_credentials(chain, key))
    found = verify(path)
    assert (found.verdict, found.local, found.signer) == ("untrusted", False, "Evening News, Evening News")
    assert verify(path, trust=authority).verdict == "trusted"
    other = write_certificate(tmp_path / "other", name="Morning News")[2]
    assert verify(path, trust=other).verdict == "untrusted"


@pytest.mark.parametrize("ending", ENDINGS)
def test_one_bit_of_video_or_audio(
    make_clip: ClipMaker, tmp_path: Path, local: Credentials, ending: str
) -> None:
    path = signed(make_clip(name=f"clip.{ending}"), tmp_path / f"news.{ending}", local)
    data = path.read_bytes()
    first = data.find(b"mdat") + 4 if ending != "mkv" else 0
    chance = random.Random(1)
    for place in sorted(chance.sample(range(first, len(data)), 25)):
        path.write_bytes(_flipped(data, place, chance))
        found = verify(path, watermark=False)
        assert found.verdict == "broken", place
        assert "signed" in found.reasons[0]
    path.write_bytes(data[:-1])
    assert not verify(path, watermark=False).holds


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_one_bit_of_the_manifest(
    make_clip: ClipMaker, tmp_path: Path, local: Credentials, ending: str
) -> None:
    path = signed(make_clip(name=f"clip.{ending}"), tmp_path / f"news.{ending}", local)
    held = path.with_suffix(".c2pa") if ending == "mkv" else path
    data = held.read_bytes()
    begin = 0 if ending == "mkv" else data.find(b"uuid") - 4
    end = len(data) if ending == "mkv" else begin + int.from_bytes(data[begin : begin + 4], "big")
    chance = random.Random(2)
    for place in range(begin + chance.randrange(23), end, 23):
        held.write_bytes(_flipped(data, place, chance))
        assert not verify(path, watermark=False).holds, place - begin


def test_bits_that_no_signature_covers(make_clip: ClipMaker, tmp_path: Path, local: Credentials) -> None:
    """Each is found by newscaster's own check alone: boxes' kinds and toggles, and the padding."""
    path = signed(make_clip(), tmp_path / "news.mp4", local)
    store = embedded_store(path)
    check_store(store)
    padding = store.find(b"\xa1\x63pad") + 20
    kinds = [place + 4 for place in range(len(store)) if store.startswith(b"jumd", place)]
    assert len(kinds) == 12
    for place in (
        padding,
        padding + 300,
        *kinds,
        *(kind + 9 for kind in kinds),
        *(kind + 16 for kind in kinds),
    ):
        with pytest.raises(MalformedManifestError):
            check_store(_flipped(store, place, random.Random(place)))
    with pytest.raises(MalformedManifestError):
        check_store(store + b"\0")
    data = path.read_bytes()
    begin = data.find(b"uuid") - 4
    for place in range(begin + 24, begin + 45):  # version, purpose and offset of the box
        path.write_bytes(_flipped(data, place, random.Random(place)))
        assert not verify(path, watermark=False).holds, place


@pytest.fixture(params=["faststart", "fragmented", "fragmented mov", "recording"])
def container(
    request: pytest.FixtureRequest, make_clip: ClipMaker, tmp_path: Path, local: Credentials
) -> Path:
    """A signed file of each form that newscaster writes."""
    clip, ending = make_clip(), "mov" if request.param.endswith("mov") else "mp4"
    if request.param != "faststart":
        row = container_of(clip.with_suffix(f".{ending}"))
        assert row is not None
        flags = (
            row.live_options["movflags"] if request.param != "recording" else "hybrid_fragmented+delay_moov"
        )
        clip = _remuxed(clip, tmp_path / f"other.{ending}", flags)
    return signed(clip, tmp_path / f"news.{ending}", local)


def _remuxed(clip: Path, path: Path, flags: str) -> Path:
    with av.open(str(clip)) as source, av.open(str(path), "w", options={"movflags": flags}) as target:
        tracks = {stream: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = tracks[packet.stream]
                target.mux(packet)
    return path


def _box(kind: bytes, content: bytes) -> bytes:
    return (8 + len(content)).to_bytes(4, "big") + kind + content


@pytest.mark.parametrize(
    "added",
    [
        _box(b"free", b"anything"),
        _box(b"free", bytes(1000)),
        _box(b"skip", b"anything"),
        _box(b"skip", b""),
        b"\0\0\0\0free" + b"a file of another kind",
        b"\0\0\0\1free" + (24).to_bytes(8, "big") + b"anything",
        _box(b"ftyp", b"isom\0\0\2\0isom"),
        _box(b"free", b"") * 2,
    ],
    ids=["free", "zeros", "skip", "empty", "to the end", "64 bits", "ftyp", "twice"],
)
def test_boxes_that_c2pa_leaves_out_of_its_hash(container: Path, added: bytes) -> None:
    assert verify(container, watermark=False).holds
    data = container.read_bytes()
    container.write_bytes(data + added)
    found = verify(container, watermark=False)
    assert (found.verdict, found.unchanged) == ("broken", False)
    begin = int.from_bytes(data[:4], "big")
    container.write_bytes(data[:begin] + added + data[begin:])
    assert not verify(container, watermark=False).unchanged


def test_every_bit_of_the_boxes_that_c2pa_leaves_out(container: Path) -> None:
    """Brands, and the index of fragments, but for the times in it, which stay in order."""
    data = container.read_bytes()
    places = list(range(int.from_bytes(data[:4], "big")))
    index = len(data)
    if data[-12:-8] == b"mfro":  # the last four bytes are the size of the index
        index -= int.from_bytes(data[-4:], "big")
        check_uncovered_boxes(container)
        places += range(index, len(data))
        places = [place for place in places if not _is_low_part_of_a_time(data, index, place)]
    for place in places:
        container.write_bytes(_flipped(data, place, random.Random(place)))
        if index <= place < index + 8:  # a box of another kind or size, which is in the hash
            assert not verify(container, watermark=False).unchanged, place
        else:
            with pytest.raises(MalformedManifestError):
                check_uncovered_boxes(container)


def _is_low_part_of_a_time(data: bytes, index: int, place: int) -> bool:
    at = index + 8
    while data[at + 4 : at + 8] == b"tfra":
        size = int.from_bytes(data[at : at + 4], "big")
        if at + 24 <= place < at + size and (place - at - 24) % 19 < 8:
            return True
        at += size
    return False


def test_without_a_manifest(make_clip: ClipMaker, tmp_path: Path, local: Credentials) -> None:
    found = verify(make_clip())
    assert (found.verdict, found.holds, found.reasons) == ("unsigned", False, ("it holds no manifest",))
    assert verify(make_clip(name="clip.mkv")).verdict == "unsigned"
    assert verify(make_clip(name="clip.mkv").rename(tmp_path / "clip.ts")).verdict == "unsigned"
    video = signed(make_clip(name="clip.mkv"), tmp_path / "news.mkv", local)
    shutil.copy(make_clip(name="other.mkv"), video)
    assert verify(video).verdict == "broken"
    (tmp_path / "news.c2pa").write_bytes(b"no manifest")
    assert (verify(video).verdict, verify(video).unchanged) == ("malformed", False)


def test_a_manifest_of_anothers(tmp_path: Path) -> None:
    chain, key, authority = write_certificate(tmp_path / "camera", name="Camera Maker")
    action = {"action": "c2pa.created", "digitalSourceType": f"{SOURCE_TYPES}digitalCapture"}
    definition = {
        "claim_generator_info": [{"name": "Camera", "version": "2"}],
        "assertions": [{"label": "c2pa.actions", "data": {"actions": [action]}}],
    }
    who = user_credentials(chain, key)
    signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(who.algorithm, who.chain, who.key, None))
    plain, path = tmp_path / "plain.png", tmp_path / "image.png"
    Image.new("RGB", (16, 16)).save(plain)
    with c2pa.Context.from_dict({}, signer=signer) as context:
        c2pa.Builder(definition, context=context).sign_file(plain, path)
    found = verify(path, trust=authority)
    assert (found.verdict, found.statement, found.local) == ("trusted", None, False)
    assert found.generator.startswith("Camera 2")
    assert found.source_types == ("digitalCapture",)
    data = path.read_bytes()
    place = data.find(b"IDAT") + 8
    path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    assert verify(path).verdict == "broken"


def test_other_files(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "image.jpg")
    assert verify(tmp_path / "image.jpg").verdict == "unsigned"
    (tmp_path / "text.txt").write_text("news")
    for name in ("text.txt", "text.mp4", "text.mkv", "text.jpg"):
        (tmp_path / name).write_text("news")
        with pytest.raises(
            InputError, match=r"is a text, which holds no manifest\. Give a video that ends in"
        ):
            verify(tmp_path / name)
    (tmp_path / "noise.bin").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="of a format that holds no manifests"):
        verify(tmp_path / "noise.bin")
    (tmp_path / "drawn.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    with pytest.raises(InputError, match="of a format that holds no manifests"):  # the toolkit decides
        verify(tmp_path / "drawn.svg")
    (tmp_path / "news.c2pa").write_bytes(b"")
    with pytest.raises(InputError, match="Give the video beside it"):
        verify(tmp_path / "news.c2pa")
    with pytest.raises(InputError, match="no such file"):
        verify(tmp_path / "no.mp4")
    with pytest.raises(InputError, match=r"--trust: '.*text.txt' holds no PEM certificates"):
        verify(tmp_path / "image.jpg", trust=tmp_path / "text.txt")


def _flipped(data: bytes, place: int, chance: random.Random) -> bytes:
    return data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]
