"""The directory that holds everything a build keeps: objects, Delta tables, runs."""
