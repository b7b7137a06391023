"""Stage 4: a model's scores on a test set."""
