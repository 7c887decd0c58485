"""Renderers to measure ours against: for benchmarks alone, no anchor holds one."""
