"""Faces in frames: where they are, and whose they are."""
