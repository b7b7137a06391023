"""Stage 4: score a model on a test set."""
