"""The networks that are trained: PyTorch modules without loops or data."""
