"""The modules Hamilton builds its graph from: one function for each kind of task, one node for each task."""
