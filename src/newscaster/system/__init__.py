"""What the operating system gives: processors, files, locks. Imports nothing of what newscaster does."""
