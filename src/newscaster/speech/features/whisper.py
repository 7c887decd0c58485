"""States of Whisper's encoder, 50 per second."""

from __future__ import annotations

from newscaster.speech.encoder import STATE_CHANNELS
from newscaster.speech.features.feature import EncoderFeature

WHISPER = EncoderFeature(rate_hz=50, channels=STATE_CHANNELS)
