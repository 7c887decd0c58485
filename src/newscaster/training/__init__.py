"""Networks, what they learn from, their loops and their export. The only importer of PyTorch."""
