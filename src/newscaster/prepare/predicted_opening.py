"""The mouth opening that the motion network of a bundled anchor predicts from audio alone, for any voice.

Compared with the detected mouth, it shows whether audio and frames match, and with which lag. Loudness shows
much less. In 41 of 42 clips of other people, 3 to 60 s long, the prediction correlates with the mouth by 0.69
to 0.95, best at the right lag. The loudness finds the right lag in 9 of them.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from newscaster.face.mouth_basis import MouthBasis, opening
from newscaster.formats.anchor import MOTION, AnchorFile
from newscaster.formats.bundled_anchors import anchor_path
from newscaster.inference import Session
from newscaster.speech.encoder import SpeechEncoder, load_encoder
from newscaster.speech.features import FeatureSpec, extract
from newscaster.types import ArrayF32, ArrayF64

PREDICTED_HZ = 25
_ANCHOR = "grid-s1"
"""The bundled anchor whose motion network is used: the one with more footage."""
_CHUNK_SAMPLES = 60 * 16_000


class OpeningPredictor:
    """The motion network of a bundled anchor, with its features and mouth basis.

    Raises:
        AnchorError: this installation lacks the bundled anchor.
    """

    def __init__(self) -> None:
        file = AnchorFile(anchor_path(_ANCHOR))
        self._features: FeatureSpec = file.info.features
        self._basis: MouthBasis = file.face().basis
        self._encoder: SpeechEncoder | None = None
        if self._features.needs_encoder:
            own = None if file.info.shared_encoder is not None else file.speech_encoder()
            self._encoder = load_encoder(own, windowing=self._features.windowing, threads=1)
        self._network = Session(file.read(MOTION), threads=1, name=MOTION, trusted=True)

    def openings(self, speech: ArrayF32) -> ArrayF64:
        """Predict openings (T,) at 25 Hz from speech (N,) at 16 kHz; the k-th is at the time k/25."""
        parts = [
            self._part(speech[first : first + _CHUNK_SAMPLES])
            for first in range(0, len(speech), _CHUNK_SAMPLES)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _part(self, speech: ArrayF32) -> ArrayF64:
        features = extract(speech, self._features, self._encoder)
        shape = (1, len(features), self._basis.size)
        coefficients = self._network.run_one("coefficients", shape, features=features[None])[0]
        return opening(self._basis.reconstruct(coefficients))


def predicted_openings(speech: ArrayF32) -> ArrayF64:
    """Predict openings (T,) from speech (N,), see :meth:`OpeningPredictor.openings`; (0,) without speech."""
    return load_opening_predictor().openings(speech) if len(speech) else np.zeros(0)


@cache
def load_opening_predictor() -> OpeningPredictor:
    """Load the predictor, once per process."""
    return OpeningPredictor()
