"""One offline page about a run, or about what differs between two."""
