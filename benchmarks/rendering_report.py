"""What ``rendering.py`` found, as a table beside what is asked for, and as plots. Shows curves, no faces."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from motion_report import machine, plt, save, table
from spine import ATTRIBUTION

from newscaster.formats.dataset import Dataset
from newscaster.system.files import atomic_write

if TYPE_CHECKING:
    from rendering import Setup

TITLES = {
    "ours": "ours",
    "l1": "ours, reconstruction only",
    "reference": "ours, copying (reference)",
    "obamanet": "in-painter (ObamaNet)",
    "retrieval": "retrieval (Synthesizing Obama)",
}
COLOURS = {
    "ours": "#7a3fa0",
    "l1": "#3b6fb6",
    "reference": "#b03a5b",
    "obamanet": "#d1782b",
    "retrieval": "#4c9a6a",
}
GOAL_DB = 37.0
MEASURES: dict[str, tuple[str, int, str]] = {
    "psnr": ("PSNR, dB", 2, "at least 38"),
    "ssim": ("SSIM", 4, "at least 0.97"),
    "sharpness": ("sharpness", 2, "0.9 to 1.1"),
    "flicker": ("flicker", 2, "0.9 to 1.1"),
    "perceptual": ("perceptual distance", 4, "–"),
    "landmarks": ("landmark distance", 4, "at most 0.012"),
}
"""Name, digits, and what is asked for."""
ASKED = {
    "psnr": (38.0,),
    "ssim": (0.97,),
    "sharpness": (0.9, 1.1),
    "flicker": (0.9, 1.1),
    "landmarks": (0.012,),
}


@dataclass(frozen=True, kw_only=True)
class Findings:
    setup: Setup
    trained: Mapping[str, dict]
    measured: Mapping[str, dict]
    times: Mapping[str, dict[str, float]]
    real: str
    """What the row of the footage itself is called."""
    quick: bool

    @property
    def names(self) -> list[str]:
        return list(self.trained)

    def figure(self, name: str, measure: str) -> float:
        return float(self.measured[name]["figures"][measure])

    def progress(self, name: str) -> list[tuple[float, float]]:
        """Minutes of training, and PSNR on frames of the test clips then."""
        file = self.setup.folder(name) / "progress.csv"
        if not file.is_file():
            return []
        with file.open() as opened:
            rows = [(float(r["minutes"]), float(r["psnr"])) for r in csv.DictReader(opened) if r["psnr"]]
        # Between two figures the table repeats the last one.
        return [row for i, row in enumerate(rows) if i == 0 or row[1] != rows[i - 1][1]]

    def minutes_to_goal(self, name: str) -> float | None:
        return next((minutes for minutes, psnr in self.progress(name) if psnr >= GOAL_DB), None)


def report(found: Findings, out: Path) -> dict[str, object]:
    """Write ``rendering.md`` and its plots into a folder; the figures in short."""
    out.mkdir(parents=True, exist_ok=True)
    parts = [_head(found), _quality(found), _cost(found), _rivals(found), _sources()]
    with atomic_write(out / "rendering.md") as temporary:
        temporary.write_text("\n\n".join(parts) + "\n")
    with plt.rc_context({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False}):
        _draw_training(found, out / "rendering_training.png")
        _draw_measures(found, out / "rendering_measures.png")
    short: dict[str, object] = {
        f"{name}, {measure}": float(f"{found.figure(name, measure):.5g}")
        for name in found.names
        for measure in MEASURES
    }
    short |= {f"{name}, ms per frame": float(f"{found.times[name]['paint']:.4g}") for name in found.names}
    for name in found.names:
        minutes = found.minutes_to_goal(name)
        short[f"{name}, minutes to {GOAL_DB:g} dB"] = None if minutes is None else round(minutes, 2)
    return short


def _head(found: Findings) -> str:
    dataset = Dataset.open(found.setup.dataset)
    test = [clip for clip in dataset.clips if clip.name in found.setup.test]
    shown = [clip for clip in test if clip.name in found.setup.shown]
    learnt = len(dataset.clips) - len(test)
    seconds = dataset.seconds - sum(clip.frames for clip in test) / float(dataset.fps)
    quick = "\n\n**Far too short a training (`--quick`): these figures mean nothing.**" if found.quick else ""
    return f"""# From mouth to pixels: the renderer and its baselines{quick}

Made by `benchmarks/rendering.py`, on the clips of one person: {learnt} clips ({seconds / 60:.1f} minutes)
for training, and {len(shown)} others ({sum(clip.frames for clip in shown)} frames) to reconstruct from their
true mouth shapes. The side of the crop is {dataset.crop.side}.

Each method is trained on the same clips for {found.setup.minutes:g} minutes of processor time on one core. It
renders crops whose hidden pixels were set to black before. Baselines and our regression were chosen on
training clips. The strength of sharpening and grain was chosen with metrics of the test clips in view.

Machine: {machine(1).replace("1 cores", "one core")}."""


def _quality(found: Findings) -> str:
    rows = [["goal", *(asked for _, _, asked in MEASURES.values())]]
    for name in (*found.names, found.real):
        cells = [f"{found.figure(name, m):.{digits}f}" for m, (_, digits, _) in MEASURES.items()]
        rows.append([TITLES.get(name, name), *("–" if cell == "inf" else cell for cell in cells)])
    columns = ["", *(title for title, _, _ in MEASURES.values())]
    lost = sum(int(found.figure(name, "lost")) for name in found.names)
    return f"""## Quality

{table(columns, rows)}

- **PSNR**, **SSIM**: inside the mask, of the crops before they are composited. PSNR is of all pixels
  together. SSIM is of luma, the mean over frames.
- **sharpness**: variance of the Laplacian well inside the lips, relative to the real one. 1 is as sharp.
- **flicker**: mean absolute second difference in time inside the mask, relative to the real one. 1 is as
  steady. More flickers. Less is stiller than the footage with its noise.
- **perceptual distance**: between normalised activations of EfficientNet-Lite0, inside the mask
  (`newscaster.models.perceptual_distance`).
- **landmark distance**: the crops are composited into the frames of the footage, and landmarks are detected
  again. Their 40 lip points are compared with those of the footage: mean distance in IOD (distance of the
  outer eye corners). Frames without a detected face, all methods together: {lost}. The goal is meant for
  speech. True mouth shapes, as here, are easier.

*{found.real}* is the crop of the footage, cut out and composited again. It shows the effect of resampling
and of the jitter of the landmarks.

![Every measure](rendering_measures.png)"""


def _cost(found: Findings) -> str:
    rows = []
    for name in found.names:
        size, times = found.measured[name]["size"], found.times[name]
        steps = _steps(found, name)
        minutes = found.minutes_to_goal(name)
        rows.append([
            TITLES[name],
            f"{size['numbers'] / 1e6:.2f} M" if size else "–",
            f"{size['gmac']:.3f}" if size else "–",
            f"{steps[0]}" if steps else "–",
            f"{steps[1]:.0f}" if steps else "–",
            "–" if minutes is None else f"{minutes:.1f}",
            _milliseconds(times, "network") if "network" in times else "–",
            _milliseconds(times, "paint"),
            f"{1e3 / times['paint']:.0f}",
        ])  # fmt: skip
    columns = (
        "", "parameters", "GMAC per frame", "updates", "frames/s in training",
        f"minutes to {GOAL_DB:g} dB (goal: 8)", "network alone, ms", "whole, ms", "whole, frames/s",
    )  # fmt: skip
    return f"""## Cost

{table(columns, rows)}

Training time is processor time of the core, so other load does not count. The last three columns are of one
frame at a time with one thread, all in turns in one process: medians, and quartiles in brackets. *Whole* is
from crop and points to the rendered crop, drawing included. Networks run in ONNX Runtime, retrieval in NumPy.
GMAC are billions of multiplications, as PyTorch counts them.

![PSNR over minutes of training](rendering_training.png)

PSNR inside the mask on frames of the test clips during training. That of the renderer is with its averaged
weights."""


def _steps(found: Findings, name: str) -> tuple[int, float] | None:
    file = found.setup.folder(name) / "progress.csv"
    if not file.is_file():
        return None
    with file.open() as opened:
        rows = list(csv.DictReader(opened))
    return int(rows[-1]["step"]), float(np.median([float(r["samples_per_second"]) for r in rows]))


def _milliseconds(times: Mapping[str, float], part: str) -> str:
    return f"{times[part]:.1f} ({times[f'{part} low']:.1f} to {times[f'{part} high']:.1f})"


def _rivals(found: Findings) -> str:
    recipes = {name: found.trained[name]["recipe"]["rival"] for name in found.names}
    lines = ["## Methods", ""]
    if "ours" in recipes:
        lines.append("- **ours**: the renderer as it is trained for an anchor (`train_renderer`'s defaults).")
    if "l1" in recipes:
        lines.append(
            "- **ours, reconstruction only**: the same network, trained only on the errors of pixels\n"
            "  and of the differences between neighbours."
        )
    if "reference" in recipes:
        lines.append(
            "- **ours, copying**: the reference renderer, from the base weights of the package. It copies\n"
            "  from up to 240 training frames, and is adapted to the person."
        )
    if "obamanet" in recipes:
        network, how = recipes["obamanet"]["network"], recipes["obamanet"]["training"]
        lines.append(
            "- **in-painter**: pix2pix as ObamaNet uses it. The mouth is black, the outline of the lips is\n"
            "  drawn into the hole, and a U-Net fills it. Its losses are "
            f"{how['pixels']:g} L1 over the whole image and a\n"
            f"  conditional PatchGAN; Adam at {how['learning_rate']:g}, batches of {how['batch']}. "
            "Unlike the published one, it has\n"
            f"  {network['channels']} channels instead of 64 and no jitter, because of the budget. "
            "It has no dropout at\n"
            "  inference, which would flicker."
        )
    if "retrieval" in recipes:
        how = recipes["retrieval"]
        lines.append(
            f"- **retrieval**: the weighted median of the {how['candidates']} frames with the nearest "
            f"mouths, with {how['fraction']:g} of all\n"
            f"  weight. They are among the {how['sitting']} frames that look most similar around the mask. "
            "Synthesizing\n"
            "  Obama searches the target video. Colours are matched around the mask. There is no teeth\n"
            "  proxy, no sharpening, no retiming and no head model. It trains nothing."
        )
    return "\n".join(lines)


def _sources() -> str:
    return f"""## Sources

- R. Kumar, J. Sotelo, K. Kumar, A. de Brébisson, Y. Bengio, "ObamaNet: Photo-realistic lip-sync from text",
  arXiv 1801.01442; P. Isola, J.-Y. Zhu, T. Zhou, A. A. Efros, "Image-to-Image Translation with Conditional
  Adversarial Networks", arXiv 1611.07004.
- S. Suwajanakorn, S. M. Seitz, I. Kemelmacher-Shlizerman, "Synthesizing Obama: Learning Lip Sync from Audio",
  ACM Transactions on Graphics 36(4), 2017.
- Footage: {ATTRIBUTION}."""


def _draw_training(found: Findings, path: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 4.5))
    for name in found.names:
        course = found.progress(name)
        if course:
            minutes, values = zip(*course, strict=True)
            axes.plot(minutes, values, marker=".", color=COLOURS[name], label=TITLES[name])
        else:
            axes.axhline(found.figure(name, "psnr"), color=COLOURS[name], linestyle="--", label=TITLES[name])
    axes.axhline(GOAL_DB, color="black", linewidth=0.8, linestyle=":")
    axes.set(xlabel="minutes of training, one core", ylabel="PSNR inside the mask, dB", xlim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower right")
    save(figure, path)


def _draw_measures(found: Findings, path: Path) -> None:
    figure, panels = plt.subplots(2, 3, figsize=(11, 5.6))
    places = np.arange(len(found.names))
    for axes, (measure, (title, digits, _)) in zip(panels.flat, MEASURES.items(), strict=True):
        values = [found.figure(name, measure) for name in found.names]
        bars = axes.bar(places, values, color=[COLOURS[name] for name in found.names])
        axes.bar_label(bars, [f"{value:.{digits}f}" for value in values], fontsize=8, padding=2)
        for asked in ASKED.get(measure, ()):
            axes.axhline(asked, color="black", linewidth=0.8, linestyle=":")
        axes.set_title(title)
        axes.set_xticks(places, found.names, fontsize=9)
        if measure in ("psnr", "ssim"):
            least, most = min(values), max(*values, *ASKED[measure])
            axes.set_ylim(least - 0.5 * (most - least), most + 0.15 * (most - least))
        else:
            axes.margins(y=0.15)
    save(figure, path)
