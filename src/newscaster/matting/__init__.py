"""The person of a clip, cut out of every frame: alpha, and the person's colours without the old background.

A small segmentation network (`network`) looks at the frame and at crops of its people (`regions`); colour
decides at the edge (`color`, `refine`); what does not move stays as it was (`temporal`). Knows nothing of
files, anchors or landmarks.
"""

from __future__ import annotations

from newscaster.matting.matte import FaceBox, Matte, PersonMatte, composite
from newscaster.matting.network import PersonNetwork, load_person_network

__all__ = ["FaceBox", "Matte", "PersonMatte", "PersonNetwork", "composite", "load_person_network"]
