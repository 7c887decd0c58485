"""The evaluation as a web page: metrics with their meaning, example frames, and plots over time.

Formats the metrics, for the page and for the table in the terminal.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
from PIL import Image

from newscaster.evaluation.examples import Example
from newscaster.evaluation.metrics import Compared, Figures, figures
from newscaster.evaluation.reconstruction import CONDITIONS, Condition
from newscaster.evaluation.result import ClipResult, Evaluation
from newscaster.prepare.thumbnails import data_uri
from newscaster.reports.page import rendered_page
from newscaster.reports.plots import Line, Plot, plot
from newscaster.types import ArrayF64

CONDITION_NAMES: dict[Condition, str] = {
    "real": "the real video",
    "rendered": "true mouth, before encoding",
    "mouth": "true mouth",
    "sound": "its own audio",
}
_CONDITION_MEANINGS: dict[Condition, str] = {
    "real": "The footage itself after the same encoding, with nothing rendered. No video can be closer.",
    "rendered": "The mouth shapes of the footage, rendered by the anchor; frames before encoding.",
    "mouth": "The same in the video file.",
    "sound": "The mouth shapes that the anchor predicts from the audio of the footage.",
}
_COLOURS: dict[Condition, str] = {"real": "c1", "mouth": "c2", "sound": "c3"}
_STRIP_SIZE = (720, 14)
_RAMP = np.array([(24, 24, 48), (86, 44, 118), (190, 62, 92), (244, 142, 60), (252, 236, 160)], np.float64)
_CLIPS_SHOWN = 40


@dataclass(frozen=True)
class Measure:
    """Title, format and meaning of a metric."""

    name: str
    """Name of a field of Figures."""
    title: str
    format: Callable[[float], str]
    meaning: str


MEASURES: tuple[Measure, ...] = (
    Measure(
        "psnr",
        "PSNR, dB",
        "{:.2f}".format,
        "Peak signal-to-noise ratio of the pixels that the renderer fills (the mask), all frames together. "
        "The closest image is not the sharpest: read it together with the sharpness.",
    ),
    Measure(
        "ssim",
        "SSIM",
        "{:.4f}".format,
        "Structural similarity of luma inside the mask (Wang et al., 2004); 1 is the same image.",
    ),
    Measure(
        "sharpness",
        "sharpness",
        "{:.2f}".format,
        "Variance of the Laplacian inside the lips, rendered over real: teeth, tongue and skin of the lips. "
        "1 is as sharp as the footage, less is softer.",
    ),
    Measure(
        "flicker",
        "flicker",
        "{:.2f}".format,
        "How much frames differ from their two neighbours inside the mask, rendered over real. Above 1 the "
        "video flickers. Below 1 it lacks noise and quick motion of the footage.",
    ),
    Measure(
        "perceptual",
        "perceptual",
        "{:.3f}".format,
        "Distance of mask and surroundings in the features of an image classifier (the first blocks of "
        "EfficientNet-Lite0); 0 is the same. Compare values at one crop size only.",
    ),
    Measure(
        "landmarks",
        "landmarks",
        "{:.4f}".format,
        "Mean distance of the 40 landmarks of the lips, detected in the video, from those of the footage, "
        "over the distance of the outer eye corners.",
    ),
    Measure(
        "correlation",
        "opening r",
        "{:.3f}".format,
        "Correlation of the mouth's opening, as detected in the video, with the footage's, at the best lag.",
    ),
    Measure("lag_ms", "lag, ms", lambda ms: f"{round(ms)}", "Delay of the rendered mouth: that lag."),
    Measure(
        "passed_through",
        "passed",
        "{:.0f}".format,
        "Frames of the footage without a face, which keep their own mouth.",
    ),
    Measure(
        "lost",
        "lost",
        "{:.0f}".format,
        "Frames whose face is in the footage but was not found in the video.",
    ),
)


def worded(row: Figures) -> list[str]:
    """Return a row of the table, in the order of MEASURES, with a dash for values not measured."""
    values = [getattr(row, measure.name) for measure in MEASURES]
    return [
        measure.format(value) if value is not None and np.isfinite(value) else "–"
        for measure, value in zip(MEASURES, values, strict=True)
    ]


def unmeasured(rows: Sequence[Figures]) -> list[str]:
    """Return a line with the reason for every row whose video could not be measured."""
    return [
        f"{CONDITION_NAMES[row.condition]}: landmarks, opening r and lag could not be measured: "
        f"{row.unmeasured}"
        for row in rows
        if row.unmeasured
    ]


def table(rows: Sequence[Figures]) -> list[str]:
    """Return lines of plain text: a header and a line for every row."""
    cells = [
        ["", *(m.title for m in MEASURES)],
        *([CONDITION_NAMES[row.condition], *worded(row)] for row in rows),
    ]
    widths = [max(len(line[k]) for line in cells) for k in range(len(cells[0]))]
    return [
        "  ".join(
            [line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))]
        )
        for line in cells
    ]


@dataclass(frozen=True)
class _Strip:
    """A metric over all frames of all clips, as a line of colours."""

    label: str
    image: str


def evaluation_page(evaluation: Evaluation) -> str:
    """Return one self-contained page.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    template = resources.files("newscaster.evaluation").joinpath("evaluation.html").read_text("utf-8")
    examples = evaluation.examples
    clips = _ranked(evaluation)
    return rendered_page(
        template,
        evaluation=evaluation,
        measures=MEASURES,
        unmeasured=unmeasured(evaluation.figures),
        rows=[
            (CONDITION_NAMES[r.condition], _CONDITION_MEANINGS[r.condition], worded(r))
            for r in evaluation.figures
        ],
        sheets=[
            (title, text, _sheet(chosen))
            for title, text, chosen in (
                ("The worst frames", "Largest error with the true mouth shapes.", examples.worst),
                (
                    "Frames that flicker",
                    "They differ most from their neighbours, beyond what the real frames do.",
                    examples.flickering,
                ),
                ("Ordinary frames", "Their error is the median.", examples.median),
            )
        ],
        strips=_strips(evaluation),
        courses=[(_title(clip, rank), _plots(clip, evaluation)) for clip, rank in _shown(clips)],
        clips=[(c.name, [worded(r) for r in _rows(c, evaluation)][-1]) for c in clips[:_CLIPS_SHOWN]],
        clips_condition=CONDITION_NAMES[clips[0].compared[-1].condition],
        more_clips=max(0, len(clips) - _CLIPS_SHOWN),
    )


def _rows(clip: ClipResult, evaluation: Evaluation) -> list[Figures]:
    return [figures([compared], fps=evaluation.fps) for compared in clip.compared]


def _ranked(evaluation: Evaluation) -> list[ClipResult]:
    """Sort the clips: those whose lips are farthest from the real ones first, those without audio last."""

    def key(clip: ClipResult) -> tuple[int, float]:
        value = _rows(clip, evaluation)[-1].landmarks
        return len(clip.compared), value if np.isfinite(value) else 0.0

    return sorted(evaluation.clips, key=key, reverse=True)


def _shown(clips: Sequence[ClipResult]) -> list[tuple[ClipResult, str]]:
    middle = clips[len(clips) // 2]
    if len(clips) == 1:
        return [(clips[0], "")]
    return [(clips[0], "the clip whose lips are farthest from the real ones"), (middle, "an ordinary clip")]


def _title(clip: ClipResult, rank: str) -> str:
    return f"{clip.name}: {rank}" if rank else clip.name


def _sheet(examples: Sequence[Example]) -> list[tuple[str, list[str]]]:
    """Return rows of images: the captions first, then the footage and each condition."""
    conditions = [
        condition for condition in CONDITIONS if any(condition in example.images for example in examples)
    ]
    rows = []
    for condition in conditions:
        label = "footage" if condition == "real" else CONDITION_NAMES[condition]
        rows.append(
            (label, [data_uri(e.images[condition]) if condition in e.images else "" for e in examples])
        )
    captions = [f"{e.clip}, {e.seconds:.2f} s: {e.figure:.1f}" for e in examples]
    return [("", captions), *rows]


def _plots(clip: ClipResult, evaluation: Evaluation) -> list[Plot]:
    """Plot opening, error, distance of landmarks and flicker over a clip."""
    by_condition = {c.condition: c for c in clip.compared if c.condition != "rendered"}
    seconds = float(clip.frames / evaluation.fps)
    real = clip.compared[0]

    def lines(of: Callable[[Compared], ArrayF64], footage: ArrayF64 | None = None) -> list[Line]:
        series = [Line("footage", footage, "c1")] if footage is not None else []
        series += [
            Line(CONDITION_NAMES[condition], of(c), _COLOURS[condition])
            for condition, c in by_condition.items()
            if footage is None or condition != "real"
        ]
        return series

    return [
        plot(
            "Opening of the mouth, % of the eye distance, as detected in footage and videos",
            lines(lambda c: 100 * c.opening, 100 * real.real_opening),
            seconds=seconds,
        ),
        plot(
            "Distance of the lips' landmarks, % of the eye distance",
            lines(lambda c: 100 * c.landmarks),
            seconds=seconds,
        ),
        plot("Error inside the mask, root mean square", lines(lambda c: np.sqrt(c.error)), seconds=seconds),
        plot("Flicker", lines(lambda c: c.flicker, real.real_flicker), seconds=seconds),
    ]


def _strips(evaluation: Evaluation) -> list[tuple[str, str, list[_Strip]]]:
    """Return for each metric its title, the value of the brightest colour, and a strip per condition."""
    conditions: list[Condition] = [row.condition for row in evaluation.figures if row.condition != "rendered"]

    def joined(condition: Condition, of: Callable[[Compared], ArrayF64]) -> ArrayF64:
        parts = []
        for clip in evaluation.clips:
            compared = {c.condition: c for c in clip.compared}
            parts.append(of(compared[condition]) if condition in compared else np.full(clip.frames, np.nan))
        return np.concatenate(parts)

    measures: list[tuple[str, str, Callable[[Compared], ArrayF64]]] = [
        ("Error inside the mask, root mean square", "{:.1f}", lambda c: np.sqrt(c.error)),
        ("Distance of the lips' landmarks, % of the eye distance", "{:.1f}", lambda c: 100 * c.landmarks),
        ("Flicker beyond that of the footage", "{:.1f}", lambda c: c.flicker - c.real_flicker),
    ]
    rows = []
    for title, form, of in measures:
        values = {condition: joined(condition, of) for condition in conditions}
        finite = np.concatenate([series[np.isfinite(series)] for series in values.values()])
        top = max(float(np.percentile(finite, 99.5)) if len(finite) else 1.0, 1e-6)
        strips = [
            _Strip(CONDITION_NAMES[condition], data_uri(strip(series, top=top)))
            for condition, series in values.items()
        ]
        rows.append((title, form.format(top), strips))
    return rows


def strip(values: ArrayF64, *, top: float) -> Image.Image:
    """Return a line of colours: dark at 0 and below, bright at ``top`` and above, grey for NaN.

    A column that several frames share shows their largest value.
    """
    width, height = _STRIP_SIZE
    edges = np.linspace(0, len(values), min(width, len(values)) + 1).astype(int)
    columns = []
    for start, stop in itertools.pairwise(edges):
        finite = values[start:stop][np.isfinite(values[start:stop])]
        columns.append(float(finite.max()) if len(finite) else np.nan)
    position = np.clip(np.array(columns) / top, 0, 1) * (len(_RAMP) - 1)
    colours = np.stack([np.interp(position, np.arange(len(_RAMP)), channel) for channel in _RAMP.T], axis=-1)
    colours[np.isnan(position)] = 128
    line = Image.fromarray(colours.round().astype(np.uint8)[None])
    return line.resize((width, height), Image.Resampling.NEAREST)
