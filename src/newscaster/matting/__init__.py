"""Matting of the person in a clip: alpha, and the person's colours without the old background.

A small segmentation network (`network`) runs on the frame and on crops of its people (`components`); colour
decides at the edge (`color`, `refine`); static pixels keep their alpha (`temporal`; `steady`, in whole
clips). The package does not depend on files, anchors or landmarks.
"""

from __future__ import annotations

from newscaster.matting.matte import FaceBox, Matte, PersonMatte, composite
from newscaster.matting.network import PersonNetwork, load_person_network

__all__ = ["FaceBox", "Matte", "PersonMatte", "PersonNetwork", "composite", "load_person_network"]
