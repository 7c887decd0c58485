from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from newscaster import cli, media
from newscaster.errors import InputError
from newscaster.face.topology import LANDMARKS, MOUTH
from newscaster.media.strap import SCALES, Strap
from newscaster.synthesis.anchor import Anchor
from newscaster.synthesis.labelling import PlacedLabel
from newscaster.synthesis.name_strap import PlacedStrap, check_strap, place_strap
from newscaster.synthesis.options import Outputs, Style
from tiny_anchor import speech_like
from virtual_clock import VirtualClock

SIZE = (720, 576)
FPS = Fraction(25)


def face(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    """Landmarks of one frame whose mouth fills this box."""
    landmarks = np.full((1, LANDMARKS, 3), 300, np.float32)
    corners = np.array([(x, y, 0) for x in (left, right) for y in (top, bottom)], np.float32)
    landmarks[:, list(MOUTH)] = np.resize(corners, (len(MOUTH), 3))
    return landmarks


def strap_and_label(title: str, mouth: tuple[int, int, int, int], corner: tuple[int, int]) -> PlacedStrap:
    label = PlacedLabel(media.Label("AI-generated", size=SIZE), corner)
    placed = place_strap(title, "newscaster", face(*mouth), size=SIZE, fps=FPS, label=label)
    for block in (label.box, mouth):
        left, top, right, bottom = placed.box
        assert left >= block[2] or block[0] >= right or top >= block[3] or block[1] >= bottom
    assert placed.box[0] >= 0.05 * SIZE[0]
    assert placed.box[2] <= 0.95 * SIZE[0]
    assert 0.05 * SIZE[1] <= placed.box[1] < placed.box[3] <= 0.95 * SIZE[1]
    return placed


@pytest.mark.parametrize(
    ("mouth", "corner", "where"),
    [
        ((310, 390, 400, 420), (530, 522), "lower left"),
        ((310, 390, 400, 420), (12, 522), "lower right"),
        ((310, 390, 400, 420), (12, 12), "lower left"),
        ((150, 440, 300, 520), (530, 522), "upper left"),
        ((150, 440, 300, 520), (12, 12), "upper right"),
    ],
)
def test_it_keeps_clear_of_mouth_and_label(
    mouth: tuple[int, int, int, int], corner: tuple[int, int], where: str
) -> None:
    left, top, *_ = strap_and_label("Jane Doe", mouth, corner).box
    assert where == f"{'lower' if top > 288 else 'upper'} {'left' if left < 150 else 'right'}"


def test_long_texts_are_reduced_then_refused() -> None:
    mouth, corner = (310, 390, 400, 420), (530, 522)
    short, long = (strap_and_label(name, mouth, corner).strap for name in ("J", "Alexandra Wellington-Smith"))
    assert long.size[1] < short.size[1]
    with pytest.raises(InputError, match=r"the title .* makes a name strap of \d+ pixels .* shorter title"):
        strap_and_label("Alexandra Wellington-Smith " * 6, mouth, corner)


def test_texts_too_long_for_one_line_are_folded_at_their_place(caplog) -> None:
    """Two lines at the bottom, rather than one line at the top."""
    mouth, corner = (310, 390, 400, 420), (530, 522)
    name = "Alexandra Wellington-Smith of Northumberland and Kent"
    assert all(Strap(name, size=SIZE, scale=scale).size[0] > 480 for scale in SCALES)
    placed = strap_and_label(name, mouth, corner)
    assert placed.box[1] > 288
    assert placed.strap.size[1] > strap_and_label("Jane", mouth, corner).strap.size[1]
    assert caplog.records == []


def test_a_strap_at_the_top_is_a_warning(caplog) -> None:
    placed = place_strap("Jane", "", face(20, 400, 700, 550), size=SIZE, fps=FPS)
    assert placed.box[3] < 288
    assert "the name strap of 'Jane' is at the top of the frames" in caplog.text


def test_a_mouth_that_fills_the_frame_is_an_error() -> None:
    with pytest.raises(InputError, match="the face fills the frame"):
        place_strap("Jane", "", face(20, 20, 700, 550), size=SIZE, fps=FPS)


def test_it_fades_in_and_out_within_the_video() -> None:
    placed = place_strap("Jane", "", face(310, 390, 400, 420), size=SIZE, fps=FPS)
    opacities = [placed.opacity(number) for number in range(200)]
    assert opacities[:13] == [0.0] * 13
    assert opacities[23:165] == [1.0] * 142
    assert opacities[175:] == [0.0] * 25
    steps = np.abs(np.diff(opacities))
    assert 0 < steps.max() <= 0.1 + 1e-9
    assert placed.ending(50).opacity(50) == 0.0
    assert placed.ending(50).opacity(30) == 1.0
    assert placed.ending(5000) == placed


@pytest.mark.parametrize("frames", [1, 10, 20, 24, 25, 30, 40, 50, 57, 58, 100, 500])
def test_it_is_shown_whole_however_short_the_video(frames: int) -> None:
    """For a second, or all of a shorter video; it never appears at once if there is time to fade."""
    placed = place_strap("Jane", "", face(310, 390, 400, 420), size=SIZE, fps=FPS).ending(frames)
    opacities = np.array([placed.opacity(number) for number in range(frames)])
    assert (opacities == 1).sum() >= min(frames, 24)
    if frames > 30:
        assert opacities[0] == 0
        assert opacities[-1] < 0.3
    assert opacities[frames // 2 : 150].min(initial=1) >= min(opacities[-1], 1)


def test_captions_make_room_while_it_is_seen() -> None:
    cues = [media.Cue(start_ms=t, stop_ms=t + 900, lines=("a",)) for t in (0, 6500, 7000)]
    low = place_strap("Jane", "", face(310, 390, 400, 420), size=SIZE, fps=FPS)
    assert [cue.at_top for cue in low.free_cues(cues)] == [True, True, False]
    high = place_strap("Jane", "", face(20, 400, 700, 550), size=SIZE, fps=FPS)
    assert high.box[3] < 288
    assert high.free_cues(cues) == cues


def test_a_subtitle_needs_a_title() -> None:
    with pytest.raises(InputError, match="a subtitle is given without a title"):
        check_strap(None, "newscaster")
    with pytest.raises(InputError, match="UTF-8"):
        check_strap("\udce9", None)
    for empty in ("", "  "):
        with pytest.raises(InputError, match="the title of the name strap is empty"):
            check_strap(empty, None)
    check_strap(None, None)


def test_files_and_live_streams_show_it(larger_anchor: Anchor, tmp_path: Path) -> None:
    speech, style = speech_like(1.6), Style(title="J", subtitle="D", watermark=False)
    strap = larger_anchor.checked().marks(style).strap
    assert strap is not None
    left, top, right, bottom = strap.box
    shown = {}
    for name, used in (("with", style), ("without", Style(watermark=False))):
        made = larger_anchor.speak(speech, tmp_path / f"{name}.mp4", outputs=Outputs(crf=0), style=used)
        shown[name] = np.stack(list(media.read_frames(made.path))).astype(int)
    changed = np.abs(shown["with"] - shown["without"])[:, top:bottom, left:right].mean(axis=(1, 2, 3))
    assert changed[0] == 0
    assert changed[len(changed) // 2] > 20
    assert changed[-1] < changed.max() / 3
    with larger_anchor.live(clock=VirtualClock(), style=style) as stream:
        stream.push(speech, 16_000)
        stream.flush()
        images = [frame.image for frame in itertools.islice(stream, 30)]
    boxes = [image.planes[0][top:bottom, left:right].astype(int) for image in images if image is not None]
    assert np.abs(boxes[25] - boxes[2]).mean() > 20


def test_the_command_names_what_is_wrong(larger_anchor: Anchor, tmp_path: Path, capsys) -> None:
    wav = tmp_path / "speech.wav"
    media.write_wav(wav, speech_like(0.4), 16_000)
    arguments = ["speak", str(wav), "-a", str(larger_anchor.path), "-o", str(tmp_path / "x.mp4")]
    assert cli.run([*arguments, "--subtitle", "newscaster"]) != 0
    assert "a subtitle is given without a title" in capsys.readouterr().err
    assert not (tmp_path / "x.mp4").exists()
