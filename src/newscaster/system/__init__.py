"""Operating system: processors, files, locks. Independent of newscaster's functions."""
