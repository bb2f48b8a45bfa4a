"""The code property graph as one value, `PIPELINE`."""
