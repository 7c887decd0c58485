"""Quality measures of footage, with a verdict, the reason for each threshold, and advice.

Pure arithmetic on the results of ``inspect_file`` and ``findings``. ``report`` shows the measures.
"""

from __future__ import annotations

from newscaster.prepare.audio_measures import audio_measures
from newscaster.prepare.findings import Findings
from newscaster.prepare.measure import Measure
from newscaster.prepare.video_measures import video_measures


def measure(findings: Findings) -> tuple[Measure, ...]:
    """Return all measures, those of the frames first."""
    return (*video_measures(findings), *audio_measures(findings))
