"""How far the mouth opens by its audio alone: what the packaged motion network predicts, for any voice.

Compared with the mouth that is seen, it shows whether audio and frames belong together, and in time. Loudness
shows much less: in 41 of 42 clips of other people, 3 to 60 s long, the prediction correlates with the mouth
by 0.69 to 0.95, best at the right lag; the loudness finds the right lag in 9 of them.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from newscaster.face.mouth_basis import MouthBasis, opening
from newscaster.formats.anchor import MOTION, AnchorFile, bundled_anchor
from newscaster.inference import Session
from newscaster.speech.encoder import SpeechEncoder, load_encoder
from newscaster.speech.features import FeatureSpec, extract

Array = npt.NDArray[np.float64]

PREDICTED_HZ = 25
_CHUNK_SAMPLES = 60 * 16_000


class OpeningPredictor:
    """The motion network of the built-in anchor, and what it needs.

    Raises:
        AnchorError: this installation lacks the built-in anchor.
    """

    def __init__(self) -> None:
        file = AnchorFile(bundled_anchor())
        self._features: FeatureSpec = file.info.features
        self._basis: MouthBasis = file.face().basis
        self._encoder: SpeechEncoder | None = None
        if self._features.needs_encoder:
            own = None if file.info.shared_encoder is not None else file.speech_encoder()
            self._encoder = load_encoder(own, windowing=self._features.windowing, threads=1)
        self._network = Session(file.read(MOTION), threads=1, name=MOTION, trusted=True)

    def openings(self, speech: npt.NDArray[np.float32]) -> Array:
        """Openings (T,) of speech (N,) at 16 kHz, at 25 Hz; the k-th is that of the time k/25."""
        parts = [
            self._part(speech[first : first + _CHUNK_SAMPLES])
            for first in range(0, len(speech), _CHUNK_SAMPLES)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _part(self, speech: npt.NDArray[np.float32]) -> Array:
        features = extract(speech, self._features, self._encoder)
        shape = (1, len(features), self._basis.size)
        coefficients = self._network.run_one("coefficients", shape, features=features[None])[0]
        return opening(self._basis.reconstruct(coefficients))


def predicted_openings(speech: npt.NDArray[np.float32]) -> Array:
    """Openings (T,) of speech (N,) at 16 kHz, see :meth:`OpeningPredictor.openings`; (0,) without any."""
    return load_opening_predictor().openings(speech) if len(speech) else np.zeros(0)


@cache
def load_opening_predictor() -> OpeningPredictor:
    """The predictor, loaded once in each process."""
    return OpeningPredictor()
