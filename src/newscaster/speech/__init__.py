"""Speech: waveform to the features that drive the mouth, voice activity, text to waveform and captions.

16 kHz mono float32 everywhere. Bottom up: spectral (spectra), windows (windows of long audio), encoder (the
speech model), features (the interface for the rest of newscaster); beside them activity, and for texts
script (their sentences), voices and captions.
"""
