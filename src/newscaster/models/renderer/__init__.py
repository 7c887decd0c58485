"""Landmark maps to face crops."""
