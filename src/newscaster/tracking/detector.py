"""Face detection: boxes and keypoints of the faces in a frame.

MediaPipe's two detectors (Google, Apache-2.0; Bazarevsky et al. 2019, BlazeFace): one for faces up to 5 m
away, one for close ones. tools/convert_face_models.py makes the packaged files. This module contains their
anchors, and decodes and merges their boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from newscaster.tracking.models import face_session
from newscaster.tracking.roi import FaceRoi
from newscaster.tracking.sampling import SquareSampler, square_matrix
from newscaster.types import ArrayF64, ImageU8

KEYPOINTS = 6
"""Eyes (the image's left, right), nose tip, mouth, and tragi (left, right)."""
_MAX_LOGIT = 100.0
_MAX_OVERLAP = 0.3
"""Boxes that overlap more belong to one face."""


@dataclass(frozen=True, eq=False)
class Detections:
    """The faces in a frame, in pixels, by falling score."""

    boxes: ArrayF64
    """(n, 4): left, top, right, bottom."""
    keypoints: ArrayF64
    """(n, 6, 2)"""
    scores: ArrayF64
    """(n,): 0 to 1."""

    def __len__(self) -> int:
        return len(self.scores)

    def rois(self) -> list[FaceRoi]:
        """Return the ROIs for the mesh network."""
        return [
            FaceRoi.around(box, eyes[0], eyes[1])
            for box, eyes in zip(self.boxes, self.keypoints, strict=True)
        ]


@dataclass(frozen=True)
class _Network:
    file: str
    side: int
    """Side of its input in pixels."""
    grids: tuple[tuple[int, int], ...]
    """Cells along a side, and anchors in each cell."""
    min_score: float

    def anchors(self) -> ArrayF64:
        """Return the centres (A, 2) of the anchors, 0 to 1, in the order of the network's rows."""
        parts = []
        for cells, per_cell in self.grids:
            centers = (np.arange(cells) + 0.5) / cells
            x, y = np.meshgrid(centers, centers)
            parts.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), per_cell, axis=0))
        return np.concatenate(parts)


FULL_RANGE = _Network("face_detector_full.onnx", 192, ((48, 1),), 0.6)
"""Faces up to 5 m away."""
SHORT_RANGE = _Network("face_detector_short.onnx", 128, ((16, 2), (8, 6)), 0.5)
"""Faces up to 2 m away: those that fill much of the frame."""


class FaceDetector:
    """A face detector, for one thread at a time.

    Args:
        networks: run in this order, until one finds a face.
        threads: threads of one operator.
    """

    def __init__(self, networks: Sequence[_Network] = (FULL_RANGE, SHORT_RANGE), *, threads: int = 1) -> None:
        self._detectors = [_NetworkDetector(network, threads) for network in networks]

    def detect(self, frame: ImageU8) -> Detections:
        """Return the faces in a frame (H, W, 3) uint8 RGB."""
        for detector in self._detectors[:-1]:
            if len(detections := detector.detect(frame)):
                return detections
        return self._detectors[-1].detect(frame)


class _NetworkDetector:
    """One network with its working memory."""

    def __init__(self, network: _Network, threads: int) -> None:
        self._network = network
        self._session = face_session(network.file, threads)
        self._anchors = network.anchors()
        self._sampler = SquareSampler(network.side)
        self._input = np.empty((1, 3, network.side, network.side), np.float32)

    def detect(self, frame: ImageU8) -> Detections:
        height, width = frame.shape[:2]
        square, side = max(height, width), self._network.side
        matrix = square_matrix((width / 2, height / 2), square, 0.0, side)
        self._sampler.cut(frame, matrix, self._input[0], zeros_outside=True)
        outputs = self._session.run(frames=self._input)
        logits = np.clip(outputs["scores"][0, :, 0].astype(np.float64), -_MAX_LOGIT, _MAX_LOGIT)
        scores = 1 / (1 + np.exp(-logits))
        rows = np.flatnonzero(scores >= self._network.min_score)
        raw = outputs["boxes"][0, rows].astype(np.float64).reshape(len(rows), 2 + KEYPOINTS, 2) / side
        raw[:, 0] += self._anchors[rows]
        raw[:, 2:] += self._anchors[rows, None]
        corners = np.stack([raw[:, 0] - raw[:, 1] / 2, raw[:, 0] + raw[:, 1] / 2], axis=1)
        points = np.concatenate([corners, raw[:, 2:]], axis=1)
        merged, best = _merge(points, scores[rows])
        placed = (merged - 0.5) * square + np.array([width, height]) / 2
        return Detections(placed[:, :2].reshape(-1, 4), placed[:, 2:], best)


def _merge(points: ArrayF64, scores: ArrayF64) -> tuple[ArrayF64, ArrayF64]:
    """Merge detections by weighted non-maximum suppression: the mean, by score, of overlapping boxes.

    Args:
        points: (n, 2 + 6, 2): corners of the boxes, then keypoints.
        scores: (n,)

    Returns:
        (m, 2 + 6, 2) and (m,), by falling score.
    """
    rest = np.argsort(-scores, kind="stable")
    merged, best = [], []
    while len(rest):
        overlaps = _overlaps(points[rest[0], :2], points[rest, :2])
        near = overlaps > _MAX_OVERLAP
        near[0] = True
        weights = scores[rest[near]]
        merged.append(np.tensordot(weights, points[rest[near]], axes=1) / weights.sum())
        best.append(scores[rest[0]])
        rest = rest[~near]
    return np.array(merged).reshape(-1, *points.shape[1:]), np.array(best)


def _overlaps(box: ArrayF64, boxes: ArrayF64) -> ArrayF64:
    """Return the intersection over union of a box (2, 2), as corners, with each of (n, 2, 2)."""
    sides = np.maximum(np.minimum(box[1], boxes[:, 1]) - np.maximum(box[0], boxes[:, 0]), 0)
    intersection = sides.prod(axis=1)
    union = np.prod(box[1] - box[0]) + np.prod(boxes[:, 1] - boxes[:, 0], axis=1) - intersection
    return np.asarray(intersection / np.maximum(union, 1e-12))
