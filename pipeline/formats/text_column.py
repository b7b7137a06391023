"""The column name of plain text. Light to import, because it is the default of a setting."""

TEXT_COLUMN = "text"
"""The one column of a plain text file, and the default name of the column to translate."""
