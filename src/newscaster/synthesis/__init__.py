"""Synthesis: speech in, video frames out. Imports neither a landmark detector nor PyTorch."""
