"""What footage is good for: measures with a verdict, the reason for each threshold, and what to do.

Pure arithmetic on what was found in the files. Leaves finding it to ``inspect_file`` and ``findings``, and
showing it to ``report``.
"""

from __future__ import annotations

from newscaster.prepare.audio_measures import audio_measures
from newscaster.prepare.findings import Findings
from newscaster.prepare.measure import Measure
from newscaster.prepare.video_measures import video_measures


def measure(findings: Findings) -> tuple[Measure, ...]:
    """All measures, those of the frames first."""
    return (*video_measures(findings), *audio_measures(findings))
