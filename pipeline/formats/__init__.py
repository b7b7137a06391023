"""File formats. Every format gives rows with named columns."""
