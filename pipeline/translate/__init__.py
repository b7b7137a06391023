"""Stage 3: translates the new rows of a lake into one run of a translation table."""
