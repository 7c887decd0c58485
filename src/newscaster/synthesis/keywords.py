"""Old keywords of `Anchor.speak` and `Anchor.live` that became fields of their option objects."""

from __future__ import annotations

from newscaster.deprecation import Grouped
from newscaster.synthesis.options import LiveLimits, Outputs, SigningOptions, Style

OUTPUTS = Grouped(
    "outputs",
    Outputs,
    {
        "captions": "captions",
        "subtitles": "subtitles",
        "motion_out": "motion",
        "keep_speech": "speech",
        "crf": "crf",
    },
)
SIGNING = Grouped("signing", SigningOptions, {"sign": ("certificate", "key"), "timestamp": "timestamp"})
STYLE = Grouped(
    "style",
    Style,
    {
        "reading": "reading",
        "articulation": "articulation",
        "look_ahead_ms": "look_ahead_ms",
        "stage_start": "target_start",
        "label": "label",
        "watermark": "watermark",
    },
)
LIMITS = Grouped(
    "limits",
    LiveLimits,
    {
        "most_pushed_seconds": "max_pending_audio_seconds",
        "most_text": "max_pending_chars",
        "made_ahead_seconds": "prefetch_seconds",
    },
)
