"""File formats: every format yields rows with named columns."""
