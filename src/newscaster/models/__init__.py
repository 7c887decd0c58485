"""Networks, each with its data, losses and training task."""
