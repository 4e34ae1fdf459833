"""Storage: atomic files, URLs, the store of a run, and threads that prefetch and write."""
