"""Anchors at work: speech in, pictures out. Never sees a landmark detector or PyTorch."""
