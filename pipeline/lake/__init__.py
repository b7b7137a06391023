"""The lake at rest: the files to translate."""
