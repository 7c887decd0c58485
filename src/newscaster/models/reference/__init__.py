"""The reference renderer: it copies the person's own pixels from other frames, and corrects them."""
