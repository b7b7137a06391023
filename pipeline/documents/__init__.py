"""Translates text, independent of input files: segments, translation memory, quality signals."""
