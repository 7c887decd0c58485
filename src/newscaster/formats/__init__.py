"""File formats: the anchor and the prepared dataset. `docs/formats.md` specifies them field by field."""
