"""newscaster's own files: the anchor and the dataset. `docs/formats.md` specifies both, field by field."""
