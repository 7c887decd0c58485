from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load, save

from making_mouths import talking_clip
from newscaster.errors import AnchorError
from newscaster.face.references import MAX_REFERENCES, References
from newscaster.formats.anchor_references import references_from_bytes, references_to_bytes

CLIP = talking_clip(6, side=64)
ANGLES = np.linspace(-20, 20, 18, dtype=np.float32).reshape(6, 3)
REFERENCES = References(list(CLIP.crops), np.asarray(CLIP.points / 64, np.float32), ANGLES)
DATA = references_to_bytes(REFERENCES)


def test_what_is_written_is_read() -> None:
    read = references_from_bytes(DATA, side=64)
    assert len(read) == 6
    assert (read.points == REFERENCES.points).all()
    assert read.angles is not None
    assert (read.angles == ANGLES).all()
    for before, after in zip(REFERENCES.crops, read.crops, strict=True):
        assert after.shape == (64, 64, 3)
        assert np.abs(after.astype(int) - before).mean() < 2
    assert read.crops[3] is read.crops[3], "each is decoded once"
    assert references_to_bytes(read) == DATA, "no image is encoded again"
    with pytest.raises(ValueError, match="read-only"):
        read.crops[0][:] = 0


def test_anchors_without_angles_are_read() -> None:
    arrays = {name: array for name, array in load(DATA).items() if name != "angles"}
    assert references_from_bytes(save(arrays), side=64).angles is None


def changed(**arrays: np.ndarray) -> bytes:
    return save({**load(DATA), **arrays})


ENDS, POINTS = load(DATA)["ends"], load(DATA)["points"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        DATA[:-1],
        save({"points": POINTS}),
        changed(points=POINTS[:-1]),
        changed(angles=ANGLES[:-1]),
        changed(angles=ANGLES * np.float32(np.nan)),
        changed(angles=ANGLES.astype(np.float64)),
        changed(points=POINTS * np.float32(np.nan)),
        changed(points=POINTS * np.float32(1e6)),
        changed(points=POINTS.astype(np.float64)),
        changed(ends=ENDS[::-1].copy()),
        changed(ends=ENDS + 1),
        changed(ends=np.zeros(0, np.int64), points=np.zeros((0, 57, 2), np.float32)),
        changed(
            ends=np.arange(1, MAX_REFERENCES + 2),
            points=np.zeros((MAX_REFERENCES + 1, 57, 2), np.float32),
        ),
    ],
    ids=str,
)
def test_damaged_references_are_refused(data: bytes) -> None:
    with pytest.raises(AnchorError):
        references_from_bytes(data, side=64)


def test_images_of_another_size_or_kind_are_refused_when_they_are_read() -> None:
    with pytest.raises(AnchorError, match="reference 0 is not a JPEG image of 128 x 128"):
        references_from_bytes(DATA, side=128).crops[0]
    broken = references_from_bytes(changed(images=np.zeros_like(load(DATA)["images"])), side=64)
    with pytest.raises(AnchorError, match="reference 2 is not a JPEG image"):
        broken.crops[2]
