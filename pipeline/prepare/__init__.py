"""Stage 1: raw parallel text to a dataset."""
