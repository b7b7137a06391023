"""The cleaning rules: repairs, then checks, on batches of pairs."""
