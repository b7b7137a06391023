"""The whole pipeline on a generated English-Spanish corpus."""
