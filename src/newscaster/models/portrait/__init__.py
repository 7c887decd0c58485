"""Full-face maps to whole frames, for synthetic targets."""
