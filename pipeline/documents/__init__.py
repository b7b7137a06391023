"""Text alone: segments, placeholders, translation memory, quality signals. No files of a lake."""
