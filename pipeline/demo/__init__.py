"""The demo: the whole pipeline on a generated English-Spanish corpus."""
