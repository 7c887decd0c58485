"""What ``motion.py`` found, as tables beside the published ones, and as pictures. Shows curves, no faces."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from spine import ATTRIBUTION

from newscaster.speech.features import MOTION_HZ
from newscaster.system.files import atomic_write

matplotlib.use("Agg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from motion import Task

DELAYED, BIDIRECTIONAL, TCN, PAIR = "delayed LSTM", "bidirectional LSTM", "non-causal TCN", "adversarial TCN"
PAPER = (
    'R. Zheng, Z. Zhu, B. Song, C. Ji, "A Neural Lip-Sync Framework for Synthesizing Photorealistic Virtual'
)
PUBLISHED: dict[str, tuple[float, float, float]] = {
    DELAYED: (0.00366, 0.0465, 0.00735),
    BIDIRECTIONAL: (0.00357, 0.0458, 0.00712),
    TCN: (0.00155, 0.0278, 0.00122),
    PAIR: (0.00141, 0.0261, 0.00132),
}
"""MSE, MAE, Int-MSE."""
PUBLISHED_TIMES: dict[str, tuple[float, float, float]] = {
    DELAYED: (0.069, 67.43, 2.272),
    BIDIRECTIONAL: (0.124, 114.58, 3.376),
    TCN: (0.068, 35.82, 0.011),
}
"""Seconds per batch, minutes of training, seconds for a minute of audio. Of the TCN they do not say which."""
FIGURES = ("mse", "mae", "int_mse", "r")
SCALES = {"mse": 1e5, "mae": 1e3, "int_mse": 1e5, "r": 1.0}
COLOURS = {
    DELAYED: "#d1782b",
    BIDIRECTIONAL: "#a3352b",
    "causal TCN": "#4c9a6a",
    TCN: "#3b6fb6",
    PAIR: "#7a3fa0",
}


@dataclass(frozen=True, kw_only=True)
class Findings:
    results: Mapping[Task, dict]
    tuned: Mapping[Task, dict]
    """Trainings of the delayed LSTM with every delay, and the one that was chosen."""
    delay: int
    times: dict
    timed_on: str
    courses: Mapping[str, np.ndarray]
    """The mouth's opening in one clip: the real one, and every model's."""
    lengths: Mapping[str, tuple[int, float]]
    """Clips and minutes to learn from, to choose by and to test on."""
    cores: int
    jobs: int
    quick: bool

    @property
    def models(self) -> list[str]:
        return list(dict.fromkeys(task.model for task in self.results))

    @property
    def inputs(self) -> list[str]:
        return list(dict.fromkeys(task.input for task in self.results))

    def of(self, model: str, kind: str) -> list[dict]:
        return [r for task, r in self.results.items() if (task.model, task.input) == (model, kind)]

    def spread(self, model: str, kind: str, figure: str, split: str = "test") -> tuple[float, float]:
        """Mean and standard deviation over the seeds."""
        values = [result[split][figure] for result in self.of(model, kind)]
        return statistics.mean(values), statistics.stdev(values) if len(values) > 1 else 0.0


def report(found: Findings, out: Path) -> dict[str, object]:
    """Write ``motion.md`` and its pictures into a folder; the figures in short."""
    out.mkdir(parents=True, exist_ok=True)
    parts = [_head(found), _accuracy(found), _times(found), _choices(found), _sources()]
    with atomic_write(out / "motion.md") as temporary:
        temporary.write_text("\n\n".join(parts) + "\n")
    with plt.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        _draw_opening(found, out / "motion_opening.png")
        _draw_errors(found, out / "motion_errors.png")
        _draw_times(found, out / "motion_time.png")
    short: dict[str, object] = {}
    for kind in found.inputs:
        for model in found.models:
            for figure in FIGURES:
                short[f"{model}, {kind}, {figure}"] = found.spread(model, kind, figure)[0]
    for engine in ("torch", "onnx"):
        for model, by_length in found.times[engine].items():
            short[f"{model}, 1 min of audio, ms ({engine})"] = 1e3 * by_length["60"]["median"]
    return {key: float(f"{value:.4g}") for key, value in short.items()} | {"delay": found.delay}


def report_steady(results: Mapping[Task, dict], out: Path) -> dict[str, float]:
    """Write ``motion_steady.md`` into a folder; the figures in short."""
    out.mkdir(parents=True, exist_ok=True)
    rows, short = [], {}
    for model in dict.fromkeys(task.model for task in results):
        of_model = [result for task, result in results.items() if task.model == model]
        cells = [model, str(len(of_model))]
        for split in ("val", "test"):
            for figure in FIGURES:
                values = [SCALES[figure] * result[split][figure] for result in of_model]
                spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
                cells.append(f"{statistics.mean(values):.{3 if figure == 'r' else 2}f}{spread}")
                short[f"{model}, {split}, {figure}"] = float(f"{statistics.mean(values):.4g}")
        rows.append(cells)
    columns = (
        "model", "seeds", "validation: MSE, 1e-5", "MAE, 1e-3", "Int-MSE, 1e-5", "r",
        "test: MSE, 1e-5", "MAE, 1e-3", "Int-MSE, 1e-5", "r",
    )  # fmt: skip
    task, result = next(iter(results.items()))
    network, how = (result["recipe"][part] for part in ("network", "training"))
    fraction = network["smoothing"]
    quick = "\n\n**Far too few updates (`--quick`): these figures mean nothing.**" if task.quick else ""
    text = f"""# The pair with smoothed predictions{quick}

Made by `benchmarks/motion.py --steady`, on the clips of [the first tables](motion.md) and with their
models and losses, on {task.input}. In training, every feature has noise of {how["feature_noise"]:g} of its
standard deviation, and there are {how["steps"]} updates. The last layer of a trained network is a mean over
three steps ({fraction:g}, {1 - 2 * fraction:g}, {fraction:g}), so the delayed LSTM predicts one step later
still. Noise and mean were chosen with the non-causal TCN, on the validation clips.

{table(columns, rows)}"""
    with atomic_write(out / "motion_steady.md") as temporary:
        temporary.write_text(text + "\n")
    return short


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(line)} |" for line in (columns, *rows)]
    return "\n".join([lines[0], f"|{'---|' * len(columns)}", *lines[1:]])


def _head(found: Findings) -> str:
    clips = ", ".join(
        f"{count} clips ({minutes:.1f} minutes) {what}"
        for (count, minutes), what in zip(
            (found.lengths[split] for split in ("learn", "val", "test")),
            ("for training", "for validation", "for the test"),
            strict=True,
        )
    )
    quick = "\n\n**Far too few updates (`--quick`): these figures mean nothing.**" if found.quick else ""
    return f"""# From speech to mouth: the adversarial pair and its baselines{quick}

Made by `benchmarks/motion.py`, on the clips of one person: {clips}.

All models are trained on the same clips with the same losses (absolute errors of positions and of their
differences from frame to frame), optimiser, segments and number of updates. The adversarial TCN is the
non-causal one with an additional discriminator of motion.

Machine: {machine(found.cores)}."""


def _accuracy(found: Findings) -> str:
    rows = []
    for model in found.models:
        for kind in found.inputs:
            ours = []
            for figure in FIGURES:
                mean, std = (SCALES[figure] * value for value in found.spread(model, kind, figure))
                digits = 3 if figure == "r" else 2
                ours.append(f"{mean:.{digits}f} ± {std:.{digits}f}")
            theirs = [f"{value:.3g}" for value in PUBLISHED[model]] if model in PUBLISHED else ["–"] * 3
            rows.append([model, kind, *ours, *theirs])
    columns = (
        "model", "input", "MSE, 1e-5", "MAE, 1e-3", "Int-MSE, 1e-5", "r of the opening",
        "published MSE", "MAE", "Int-MSE",
    )  # fmt: skip
    seeds = max(len(found.of(model, kind)) for model in found.models for kind in found.inputs)
    still = next(iter(found.results.values()))["test"]["still_mse"]
    return f"""## Accuracy

On the test clips, mean ± standard deviation over seeds, of which there are {seeds}. A mouth that keeps its
mean shape has an MSE of {still * 1e5:.1f}e-5.

{table(columns, rows)}

- **MSE**, **MAE**: mean squared and mean absolute error of mouth shapes, over 57 points of lips and jaw,
  both axes and all frames with a face, in IOD (distance of the outer eye corners), in the frame of the
  head, against raw landmarks.
- **Int-MSE**: mean squared error of the differences from frame to frame. The paper does not define its own;
  this definition is ours. It fits: errors that are independent from frame to frame give 2 MSE, as the
  published LSTMs have, and smooth motion gives less.
- **r of the opening**: Pearson's correlation of the distance between the inner lips with the real one,
  without a lag, over all clips together.

The published figures are of private data and of another scale. Only the order and the ratios compare.

[A second table](motion_steady.md) has smoothed predictions of the pair: noise on features, a mean over steps.

{_ratios(found)}

![Errors of every model and input](motion_errors.png)

![Opening of the mouth in the first test clip](motion_opening.png)

The opening in the first test clip, with {found.timed_on}, seed 0."""


def _ratios(found: Findings) -> str:
    if DELAYED not in found.models:
        return ""
    rows = []
    for model in (m for m in found.models if m != DELAYED):
        cells = ["–"]
        if model in PUBLISHED:
            cells = [_slashed(a / b for a, b in zip(PUBLISHED[model], PUBLISHED[DELAYED], strict=True))]
        for kind in found.inputs:
            pairs = ((found.spread(m, kind, f)[0] for m in (model, DELAYED)) for f in FIGURES[:3])
            cells.append(_slashed(ours / theirs for ours, theirs in pairs))
        rows.append([model, *cells])
    columns = ["over the delayed LSTM's: MSE / MAE / Int-MSE", "published", *found.inputs]
    return table(columns, rows)


def _slashed(values: object) -> str:
    return " / ".join(f"{value:.2f}" for value in values)


def _times(found: Findings) -> str:
    times, rows = found.times, []
    for model in found.times["torch"]:
        results = found.of(model, found.timed_on)
        theirs = [f"{value:g}" for value in PUBLISHED_TIMES[model]] if model in PUBLISHED_TIMES else ["–"] * 3
        rows.append([
            model,
            f"{results[0]['parameters'] / 1e3:.0f} k",
            f"{times['batch'][model]['median']:.3f}",
            f"{statistics.mean(r['minutes'] for r in results):.2f}",
            _milliseconds(times["torch"][model]["60"]),
            _milliseconds(times["onnx"][model]["60"]),
            *theirs,
        ])  # fmt: skip
    columns = (
        "model", "parameters", "batch, s", "training, min", "1 min of audio, ms: PyTorch", "ONNX Runtime",
        "published: batch, s", "training, min", "1 min of audio, s",
    )  # fmt: skip
    return f"""## Time

On {found.timed_on}. A batch (an update on 16 segments of 3 s, with one thread) and a minute of audio, from
features to coefficients, with {times["threads"]} threads, are timed with the models in turns in one process:
medians, and minimum and maximum in brackets. The load of the machine before was {times["load"]:.1f}.
Whole trainings are timed as they ran, with one thread each, {found.jobs} at a time, mean over the seeds. The
published times are on a GPU. The kind of their TCN is unknown; its time is in the row of the non-causal one.

{table(columns, rows)}

{_time_ratios(found)}

![Time against length of audio](motion_time.png)"""


def _milliseconds(values: Mapping[str, float]) -> str:
    return f"{1e3 * values['median']:.1f} ({1e3 * values['least']:.1f} to {1e3 * values['most']:.1f})"


def _time_ratios(found: Findings) -> str:
    if TCN not in found.times["torch"]:
        return ""
    rows = []
    for model in (m for m in (DELAYED, BIDIRECTIONAL) if m in found.times["torch"]):
        cells = [f"{PUBLISHED_TIMES[model][2] / PUBLISHED_TIMES[TCN][2]:.0f}"]
        for engine in ("torch", "onnx"):
            ours = found.times[engine]
            cells.append(f"{ours[model]['60']['median'] / ours[TCN]['60']['median']:.1f}")
        rows.append([f"{model} / non-causal TCN", *cells])
    return table(("time of 1 min of audio", "published", "PyTorch", "ONNX Runtime"), rows)


def _choices(found: Findings) -> str:
    lines = ["## Choices", "", "Nothing was chosen on the test clips."]
    if found.tuned:
        rows = [
            [task.input, str(task.delay), f"{1e5 * r['val']['mse']:.2f}", f"{1e5 * r['val']['int_mse']:.2f}"]
            for task, r in found.tuned.items()
        ]
        rows.sort(key=lambda row: (row[0], int(row[1])))
        lines += [
            "",
            f"The delayed LSTM predicts **{found.delay} steps** ({found.delay * 1000 // MOTION_HZ} ms) late, "
            "which has the smallest mean MSE over these inputs on the validation clips.",
            "",
            table(("input", "delay, steps", "MSE, 1e-5", "Int-MSE, 1e-5"), rows),
        ]
    rows = []
    for kind in found.inputs:
        recipes = {model: found.of(model, kind)[0]["recipe"] for model in found.models}
        network, how = (recipes[found.models[0]][part] for part in ("network", "training"))
        dropouts = dict.fromkeys(f"{recipe['network']['dropout']:g}" for recipe in recipes.values())
        entering = network["dropout"] if network["input_dropout"] is None else network["input_dropout"]
        rows.append([
            kind, str(network["inputs"]), str(how["steps"]), " / ".join(dropouts), f"{entering:g}",
            f"{how['velocity']:g}", f"{how['learning_rate']:g}",
        ])  # fmt: skip
    columns = (
        "input", "width", "updates", "dropout: LSTMs / TCNs", "dropout of the input",
        "weight of velocities", "learning rate",
    )  # fmt: skip
    pair = next((r["recipe"]["training"]["pair"] for t, r in found.results.items() if t.model == PAIR), None)
    lines += [
        "",
        "All models share these settings except dropout. It follows every convolution of a TCN, and the "
        "outputs of an LSTM.",
        "",
        table(columns, rows),
    ]
    if pair:
        values = {**pair["loss"], **pair["ramp"]}
        said = ", ".join(f"{key} {value:g}" for key, value in values.items())
        lines += ["", f"The pair (`PairTraining`): {said}."]
    return "\n".join(lines)


def _sources() -> str:
    return f"""## Sources

- Published figures: {PAPER} News Anchors", ICPR 2020, arXiv 2002.08700.
- Footage: {ATTRIBUTION}."""


def machine(cores: int) -> str:
    model = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(
            (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model
        )
    return f"{cores} cores of {model}, no GPU used"


def _draw_opening(found: Findings, path: Path) -> None:
    courses = found.courses
    groups = [[m for m in found.models if kind in m] for kind in ("LSTM", "TCN")]
    groups = [group for group in groups if group]
    seconds = np.arange(len(courses["real"])) / MOTION_HZ
    figure, rows = plt.subplots(len(groups), 1, figsize=(9, 3 * len(groups)), sharex=True, squeeze=False)
    for axes, group in zip(rows[:, 0], groups, strict=True):
        axes.plot(seconds, courses["real"], color="black", linewidth=2.4, label="real")
        for model in group:
            course = courses[model][: len(seconds)]
            axes.plot(seconds[: len(course)], course, color=COLOURS[model], linewidth=1.6, label=model)
        axes.set_ylabel("opening, outer-eye distances")
        axes.legend(frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    rows[-1, 0].set_xlabel("seconds")
    save(figure, path)


def _draw_errors(found: Findings, path: Path) -> None:
    figure, panels = plt.subplots(1, 2, figsize=(11, 4.2))
    shades = ["#9aa5b1", "#5b7fa6", "#d59a3c", "#7a3fa0"]
    marks = ["o", "s", "^", "D"]
    places = np.arange(len(found.models))
    for axes, measure, name in zip(panels, ("mse", "int_mse"), ("MSE", "Int-MSE"), strict=True):
        for i, kind in enumerate(found.inputs):
            spreads = [found.spread(model, kind, measure) for model in found.models]
            means, stds = (1e5 * np.array(values) for values in zip(*spreads, strict=True))
            shift = 0.16 * (i - (len(found.inputs) - 1) / 2)
            axes.errorbar(places + shift, means, stds, fmt=marks[i], color=shades[i], capsize=3, label=kind)
        axes.set_xticks(places, [model.replace(" ", "\n") for model in found.models])
        axes.set_ylabel(f"{name}, 1e-5 squared outer-eye distances")
        axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
        axes.grid(axis="y", alpha=0.3)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    save(figure, path)


def _draw_times(found: Findings, path: Path) -> None:
    figure, panels = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True)
    for axes, engine, name in zip(panels, ("torch", "onnx"), ("PyTorch", "ONNX Runtime"), strict=True):
        for model, by_length in found.times[engine].items():
            seconds = [int(length) for length in by_length]
            medians = [1e3 * values["median"] for values in by_length.values()]
            style = "--" if model == PAIR else "-"
            axes.plot(seconds, medians, style, marker=".", color=COLOURS[model], label=model)
        axes.set(xscale="log", yscale="log", xlabel="length of audio, s", title=name)
        axes.set_xticks(seconds, [str(s) for s in seconds])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("time from features to coefficients, ms")
    panels[0].legend(frameon=False)
    save(figure, path)


def save(figure: plt.Figure, path: Path) -> None:
    figure.tight_layout()
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png", bbox_inches="tight")
    plt.close(figure)
