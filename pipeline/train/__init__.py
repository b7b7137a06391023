"""Stage 2: data-parallel training. It turns a dataset into a model bundle."""
