"""Readers of untrusted files: each checks sizes and types against a stated limit before it uses a value."""
