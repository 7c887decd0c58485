"""Speech: waveform to the features that drive the mouth, voice activity, text to waveform and captions.

16 kHz mono float32 everywhere. From below: spectral (spectra), windows (how a long sound is cut), encoder
(the speech model), features (what the rest of newscaster asks for); beside them activity, and for texts
script (their sentences), voices and captions.
"""
