"""Evaluation: metrics of motion and of frames, and an anchor measured on held-out footage."""
