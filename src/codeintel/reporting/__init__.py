"""A finished run told to others: an offline page about it, or about what differs between two, and exports."""
