"""The stage ``prepare``: from raw parallel text to a dataset."""
