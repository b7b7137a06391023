"""Text alone: segments, placeholders, translation memory and quality signals. Knows no files of a lake."""
