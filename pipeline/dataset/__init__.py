"""A dataset at rest: what `prepare` writes and `train` and `evaluate` read."""
