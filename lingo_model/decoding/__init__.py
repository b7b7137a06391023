"""Decoding: search settings, the decoding engine and the translator of texts."""
