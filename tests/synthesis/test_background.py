"""Backgrounds from end to end: parsed, put behind a person, in files and live."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import newscaster
from newscaster import Anchor, media, provenance
from newscaster.errors import AnchorError, InputError, MediaError, OutputError
from newscaster.media.backdrop import constant_planes
from newscaster.synthesis.background import Background, background_change
from newscaster.synthesis.options import Outputs, SigningOptions, Style
from tiny_anchor import speech_like, tiny_matte, write_tiny_anchor

SIZE = (96, 80)
OUTSIDE, INSIDE = (slice(0, 16), slice(0, 96)), (slice(28, 80), slice(32, 64))
BARE = {"label": "", "watermark": False}


@pytest.fixture(scope="module")
def anchor(tmp_path_factory: pytest.TempPathFactory) -> Anchor:
    folder = tmp_path_factory.mktemp("anchor")
    return newscaster.open(write_tiny_anchor(folder / "x.anchor", matte=tiny_matte(10, SIZE)))


def lossless(anchor: Anchor, speech: Path, out: Path, background: str | Path | None) -> list[np.ndarray]:
    """Luma of all frames, as encoded without loss."""
    style = Style(background=background, **BARE)
    made = anchor.speak(speech, out, outputs=Outputs(crf=0), style=style)
    with av.open(str(made.path)) as file:
        return [frame.to_ndarray()[: SIZE[1]] for frame in file.decode(video=0)]


def test_a_colour_replaces_the_background_alone(anchor: Anchor, wav: Path, tmp_path: Path) -> None:
    own = lossless(anchor, wav, tmp_path / "own.mp4", None)
    green = lossless(anchor, wav, tmp_path / "green.mp4", "green")
    value = constant_planes((0, 255, 0), anchor.target.image(0))[0]
    assert len(own) == len(green) > 20
    for a, b in zip(own, green, strict=True):
        assert (b[OUTSIDE] == value).all()
        assert np.array_equal(a[INSIDE], b[INSIDE])  # new mouths included


def test_an_image_and_a_video(anchor: Anchor, wav: Path, tmp_path: Path) -> None:
    Image.new("RGB", (50, 50), (200, 200, 200)).save(tmp_path / "x.png")
    shown = lossless(anchor, wav, tmp_path / "image.mp4", tmp_path / "x.png")
    assert np.ptp(shown[5][OUTSIDE]) == 0
    frames = (np.full((80, 96, 3), 40 + 50 * i, np.uint8) for i in range(4))
    media.write_video(tmp_path / "x.mp4", frames, fps=anchor.fps, audio=None, crf=0)
    shown = lossless(anchor, wav, tmp_path / "video.mp4", str(tmp_path / "x.mp4"))
    values = [frame[OUTSIDE].mean() for frame in shown]
    np.testing.assert_allclose(values[:4], values[4:8], atol=1)
    assert np.diff(values[:4]).min() > 30


def test_blur_keeps_the_mean_and_not_the_detail(anchor: Anchor, wav: Path, tmp_path: Path) -> None:
    own = lossless(anchor, wav, tmp_path / "own.mp4", None)[3]
    blurred = lossless(anchor, wav, tmp_path / "blur.mp4", "blur")[3]
    assert np.array_equal(own[INSIDE], blurred[INSIDE])
    assert abs(own[OUTSIDE].mean() - blurred[OUTSIDE].mean()) < 8
    assert not np.array_equal(own[OUTSIDE], blurred[OUTSIDE])


@pytest.mark.parametrize("name", ["x.webm", "x.mov", "x_%03d.png"])
def test_alpha_with_a_label(anchor: Anchor, wav: Path, tmp_path: Path, name: str) -> None:
    made = anchor.speak(wav, tmp_path / name, style=Style(background="alpha", label="made"))
    if name.endswith(".png"):
        image = np.asarray(Image.open(tmp_path / "x_001.png"))
        assert (made.unsigned_because or "").startswith("C2PA signs only")
        assert made.kept_speech == tmp_path / "x.wav"
        assert len(list(tmp_path.glob("*.png"))) == made.frames
    else:
        with av.open(str(made.path)) as file:
            stream = file.streams.video[0]
            decoder = av.CodecContext.create("libvpx-vp9", "r") if name == "x.webm" else stream.codec_context
            packets = [packet for packet in file.demux(stream) if packet.size]
            frames = [frame for packet in [*packets, None] for frame in decoder.decode(packet)]
        assert len(frames) == made.frames
        image = frames[0].to_ndarray(format="rgba")
        assert provenance.verify(made.path, watermark=False).verdict == "untrusted"
    alpha = image[: SIZE[1], : SIZE[0], 3]
    assert (alpha[INSIDE] >= 250).all()
    assert (alpha[:16] <= 5).mean() > 0.7  # all but the label
    beside = np.concatenate([alpha[:, :20], alpha[:, 76:]], axis=1)
    assert (beside >= 250).sum() > 100  # the label, which is opaque


def test_the_manifest_names_the_change(anchor: Anchor, wav: Path, tmp_path: Path) -> None:
    made = anchor.speak(wav, tmp_path / "x.mp4", style=Style(background="blur"))
    found = provenance.verify(made.path, watermark=False).statement
    assert found is not None
    assert found.background == "blurred"
    assert [background_change(value) for value in (None, "Alpha", "green", Path("x.png"))] == [
        None,
        "removed",
        "replaced",
        "replaced",
    ]


def test_live_frames(anchor: Anchor) -> None:
    value = constant_planes((255, 255, 255), anchor.target.image(0))[0]
    with anchor.live(style=Style(background="white", **BARE)) as live:
        live.push(speech_like(0.4))
        live.flush()
        for frame in itertools.islice(live.frames(paced=False), 12):
            assert frame.image is not None
            assert (frame.image.planes[0][OUTSIDE] == value).all()
    with anchor.live(style=Style(background="alpha", **BARE)) as live:
        image = next(live.frames(paced=False)).image
        assert image is not None
        assert image.alpha is not None
        assert (image.alpha[OUTSIDE] == 0).all()


@pytest.mark.parametrize(
    ("value", "rgb"),
    [
        ("green", (0, 255, 0)),
        ("Green", (0, 255, 0)),
        ("lime", (0, 255, 0)),
        ("#008000", (0, 128, 0)),
        ("#0A0", (0, 170, 0)),
        ("rebeccapurple", (102, 51, 153)),
        ("rgb(1, 2, 3)", (1, 2, 3)),
    ],
)
def test_colours(value: str, rgb: tuple[int, int, int]) -> None:
    background = Background.of(value)
    assert background is not None
    assert (background.kind, background.rgb) == ("colour", rgb)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("gren", InputError, "'gren'; expected a colour .*blur or alpha"),
        ("#12345", InputError, "expected a colour"),
        ("#ff000080", InputError, "has an opacity"),
        ("", InputError, "expected a colour"),
        ("none.jpg", MediaError, r"none\.jpg' is no file"),
        ("folder/none", MediaError, "is no file"),
        (Path("blur"), MediaError, "is no file"),
    ],
)
def test_values_that_are_no_background(
    anchor: Anchor, wav: Path, tmp_path: Path, value: str | Path, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        anchor.speak(wav, tmp_path / "x.mp4", style=Style(background=value))
    with pytest.raises(error, match=message):
        anchor.live(style=Style(background=value))
    assert not (tmp_path / "x.mp4").exists()


def test_outputs_that_cannot_carry_it(anchor: Anchor, wav: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"\.mp4 cannot carry alpha; accepted are \.mov, \.webm or \.png"):
        anchor.speak(wav, tmp_path / "x.mp4", style=Style(background="alpha"))
    with pytest.raises(OutputError, match=r"no place for a subtitle track; accepted are \.mp4"):
        anchor.speak(None, tmp_path / "x_%d.png", text="Yes.", outputs=Outputs(subtitles=True))
    signing = SigningOptions(timestamp="http://127.0.0.1:1/")
    with pytest.raises(InputError, match="cannot be signed"):
        anchor.speak(wav, tmp_path / "x_%d.png", signing=signing)
    Image.new("RGB", (9, 9)).save(tmp_path / "b_1.png")
    with pytest.raises(OutputError, match=r"b_1\.png' exists"):
        anchor.speak(wav, tmp_path / "b_%d.png", style=Style(background=tmp_path / "b_1.png"))
    media.write_video(
        tmp_path / "b.mp4", iter([np.zeros((32, 32, 3), np.uint8)] * 3), fps=anchor.fps, audio=None
    )
    with pytest.raises(OutputError, match="is the background itself"):
        anchor.speak(wav, tmp_path / "b.mp4", style=Style(background=tmp_path / "b.mp4"))


def test_images_in_a_folder(anchor: Anchor, wav: Path, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    made = anchor.speak(wav, folder, style=Style(background="alpha"))
    assert made.path == folder / "frame_%05d.png"
    assert (folder / "frame_00001.png").is_file()
    assert made.kept_speech == folder / "audio.wav"


def test_a_damaged_matte(wav: Path, tmp_path: Path) -> None:
    for number, matte in enumerate((tiny_matte(9, SIZE), b"no matte at all")):
        opened = newscaster.open(write_tiny_anchor(tmp_path / f"{number}.anchor", matte=matte))
        opened.speak(wav, tmp_path / "own.mp4")  # only a background needs it
        with pytest.raises(AnchorError, match=r"matte\.bin: it"):
            opened.speak(wav, tmp_path / "x.mp4", style=Style(background="blur"))
