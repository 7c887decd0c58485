"""The evaluation as a web page: figures and what they mean, mouths to look at, and courses over time.

Knows how figures are worded, on the page and in the terminal's table. Its dress is that of the report on
footage.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
import numpy.typing as npt
from PIL import Image

from newscaster.evaluation.examples import Example
from newscaster.evaluation.metrics import Compared, Figures, figures
from newscaster.evaluation.reconstruction import CONDITIONS, Condition
from newscaster.evaluation.result import ClipResult, Evaluation
from newscaster.prepare.thumbnails import data_uri
from newscaster.reports.page import rendered_page
from newscaster.reports.plots import Line, Plot, plot

Array = npt.NDArray[np.float64]

CONDITION_NAMES: dict[Condition, str] = {
    "real": "the real video",
    "rendered": "true mouth, before encoding",
    "mouth": "true mouth",
    "sound": "its own sound",
}
_CONDITION_MEANINGS: dict[Condition, str] = {
    "real": "The footage itself, encoded as the others are, with nothing painted: no video file can be "
    "nearer.",
    "rendered": "The mouth shapes that were found in the footage, painted by the anchor; pictures as they "
    "leave the renderer.",
    "mouth": "The same in the video file.",
    "sound": "The mouth shapes that the anchor hears in the footage's sound.",
}
_COLOURS: dict[Condition, str] = {"real": "c1", "mouth": "c2", "sound": "c3"}
_STRIP_SIZE = (720, 14)
_RAMP = np.array([(24, 24, 48), (86, 44, 118), (190, 62, 92), (244, 142, 60), (252, 236, 160)], np.float64)
_CLIPS_SHOWN = 40


@dataclass(frozen=True)
class Measure:
    """How a figure is worded."""

    name: str
    """A field of Figures."""
    title: str
    format: Callable[[float], str]
    meaning: str


MEASURES: tuple[Measure, ...] = (
    Measure(
        "psnr",
        "PSNR, dB",
        "{:.2f}".format,
        "Peak signal-to-noise ratio of the pixels that the renderer paints (the mask), all frames together. "
        "The closest picture is not the sharpest: read it beside the sharpness.",
    ),
    Measure(
        "ssim",
        "SSIM",
        "{:.4f}".format,
        "Structural similarity inside the mask, of brightness (Wang et al., 2004); 1 is the same picture.",
    ),
    Measure(
        "sharpness",
        "sharpness",
        "{:.2f}".format,
        "Variance of the Laplacian well inside the lips, made over real: teeth, tongue and skin of the lips. "
        "1 is as sharp as the footage, less is soft.",
    ),
    Measure(
        "flicker",
        "flicker",
        "{:.2f}".format,
        "How much frames stand out from their two neighbours inside the mask, made over real. Above 1 the "
        "picture flickers, below it lacks the footage's own noise and quick motion.",
    ),
    Measure(
        "perceptual",
        "perceptual",
        "{:.3f}".format,
        "How different mask and surroundings look to a network that tells things apart (the first blocks of "
        "EfficientNet-Lite0); 0 is the same. To be compared at one size of region only.",
    ),
    Measure(
        "landmarks",
        "landmarks",
        "{:.4f}".format,
        "Landmarks are detected again in the video: the mean distance of the lips' 40 from the footage's, "
        "over the distance of the outer eye corners.",
    ),
    Measure(
        "correlation",
        "opening r",
        "{:.3f}".format,
        "Correlation of the mouth's opening, as detected in the video, with the footage's, at the best lag.",
    ),
    Measure("lag_ms", "lag, ms", lambda ms: f"{round(ms)}", "That lag: how much later the made mouth opens."),
    Measure(
        "passed_through",
        "passed",
        "{:.0f}".format,
        "Frames that kept the footage's own mouth, since no face was found in them.",
    ),
    Measure(
        "lost",
        "lost",
        "{:.0f}".format,
        "Frames in which no face was found in the video, where the footage shows one.",
    ),
)


def worded(row: Figures) -> list[str]:
    """A row of the table, in the order of MEASURES; a dash for what was not measured."""
    values = [getattr(row, measure.name) for measure in MEASURES]
    return [
        measure.format(value) if value is not None and np.isfinite(value) else "–"
        for measure, value in zip(MEASURES, values, strict=True)
    ]


def unmeasured(rows: Sequence[Figures]) -> list[str]:
    """A line for every row whose video could not be measured, with the reason."""
    return [
        f"{CONDITION_NAMES[row.condition]}: landmarks, opening r and lag could not be measured: "
        f"{row.unmeasured}"
        for row in rows
        if row.unmeasured
    ]


def table(rows: Sequence[Figures]) -> list[str]:
    """Lines of plain text: a head and a line for every row."""
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
    """A measure over all frames of all clips, as a line of colours."""

    label: str
    image: str


def evaluation_page(evaluation: Evaluation) -> str:
    """One self-contained page.

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
            (title, text, _sheet(some))
            for title, text, some in (
                ("The worst frames", "Largest error from the true mouth shapes.", examples.worst),
                (
                    "Frames that flicker",
                    "They stand out from their neighbours most, beyond what the real ones do.",
                    examples.flickering,
                ),
                ("Ordinary frames", "Their error is in the middle of all.", examples.median),
            )
        ],
        strips=_strips(evaluation),
        courses=[(_title(clip, place), _courses(clip, evaluation)) for clip, place in _shown(clips)],
        clips=[(c.name, [worded(r) for r in _rows(c, evaluation)][-1]) for c in clips[:_CLIPS_SHOWN]],
        clips_condition=CONDITION_NAMES[clips[0].compared[-1].condition],
        more_clips=max(0, len(clips) - _CLIPS_SHOWN),
    )


def _rows(clip: ClipResult, evaluation: Evaluation) -> list[Figures]:
    return [figures([compared], fps=evaluation.fps) for compared in clip.compared]


def _ranked(evaluation: Evaluation) -> list[ClipResult]:
    """The clips, those whose lips are farthest from the real ones first; without sound last."""

    def key(clip: ClipResult) -> tuple[int, float]:
        value = _rows(clip, evaluation)[-1].landmarks
        return len(clip.compared), value if np.isfinite(value) else 0.0

    return sorted(evaluation.clips, key=key, reverse=True)


def _shown(clips: Sequence[ClipResult]) -> list[tuple[ClipResult, str]]:
    middle = clips[len(clips) // 2]
    if len(clips) == 1:
        return [(clips[0], "")]
    return [(clips[0], "the clip whose lips are farthest from the real ones"), (middle, "an ordinary clip")]


def _title(clip: ClipResult, place: str) -> str:
    return f"{clip.name}: {place}" if place else clip.name


def _sheet(examples: Sequence[Example]) -> list[tuple[str, list[str]]]:
    """Rows of pictures: the captions first, then real and made ones."""
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


def _courses(clip: ClipResult, evaluation: Evaluation) -> list[Plot]:
    """Opening, error, distance of landmarks and flicker over a clip."""
    by_way = {compared.condition: compared for compared in clip.compared if compared.condition != "rendered"}
    seconds = float(clip.frames / evaluation.fps)
    real = clip.compared[0]

    def lines(of: Callable[[Compared], Array], first: Array | None = None) -> list[Line]:
        found = [Line("footage", first, "c1")] if first is not None else []
        found += [
            Line(CONDITION_NAMES[condition], of(c), _COLOURS[condition])
            for condition, c in by_way.items()
            if first is None or condition != "real"
        ]
        return found

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
    """Per measure its title, what its brightest colour stands for, and a strip for each way."""
    conditions: list[Condition] = [row.condition for row in evaluation.figures if row.condition != "rendered"]

    def joined(condition: Condition, of: Callable[[Compared], Array]) -> Array:
        parts = []
        for clip in evaluation.clips:
            compared = {c.condition: c for c in clip.compared}
            parts.append(of(compared[condition]) if condition in compared else np.full(clip.frames, np.nan))
        return np.concatenate(parts)

    measures: list[tuple[str, str, Callable[[Compared], Array]]] = [
        ("Error inside the mask, root mean square", "{:.1f}", lambda c: np.sqrt(c.error)),
        ("Distance of the lips' landmarks, % of the eye distance", "{:.1f}", lambda c: 100 * c.landmarks),
        ("Flicker beyond that of the footage", "{:.1f}", lambda c: c.flicker - c.real_flicker),
    ]
    found = []
    for title, form, of in measures:
        courses = {condition: joined(condition, of) for condition in conditions}
        finite = np.concatenate([course[np.isfinite(course)] for course in courses.values()])
        top = max(float(np.percentile(finite, 99.5)) if len(finite) else 1.0, 1e-6)
        strips = [
            _Strip(CONDITION_NAMES[condition], data_uri(strip(course, top=top)))
            for condition, course in courses.items()
        ]
        found.append((title, form.format(top), strips))
    return found


def strip(values: Array, *, top: float) -> Image.Image:
    """A line of colours, dark at 0 and below, bright at ``top`` and above, grey where values are NaN.

    Of frames that share a column the largest shows.
    """
    width, height = _STRIP_SIZE
    edges = np.linspace(0, len(values), min(width, len(values)) + 1).astype(int)
    columns = []
    for start, stop in itertools.pairwise(edges):
        finite = values[start:stop][np.isfinite(values[start:stop])]
        columns.append(float(finite.max()) if len(finite) else np.nan)
    place = np.clip(np.array(columns) / top, 0, 1) * (len(_RAMP) - 1)
    colours = np.stack([np.interp(place, np.arange(len(_RAMP)), channel) for channel in _RAMP.T], axis=-1)
    colours[np.isnan(place)] = 128
    line = Image.fromarray(colours.round().astype(np.uint8)[None])
    return line.resize((width, height), Image.Resampling.NEAREST)
