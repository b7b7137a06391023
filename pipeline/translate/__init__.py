"""Stage 3: what is new in a lake to one run of a translation table."""
