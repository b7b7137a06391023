"""Stage 2: a dataset to a model bundle, by data-parallel training."""
