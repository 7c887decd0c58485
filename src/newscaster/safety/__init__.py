"""Readers of untrusted files. Each checks sizes and types against a named limit before it uses a value."""
