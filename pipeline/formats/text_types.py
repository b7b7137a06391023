"""The Arrow types that hold text."""

from __future__ import annotations

from typing import TypeAlias

import pyarrow as pa
from pyarrow import types

_Column: TypeAlias = "pa.Array | pa.ChunkedArray"


def is_string_type(column_type: pa.DataType) -> bool:
    """Whether a type is one of Arrow's string types, or a dictionary of one of them."""
    if types.is_dictionary(column_type):
        column_type = column_type.value_type
    return bool(
        types.is_string(column_type)
        or types.is_large_string(column_type)
        or types.is_string_view(column_type)
    )


def is_text_type(column_type: pa.DataType) -> bool:
    """Whether a type can hold text: strings, binary, or a dictionary of them."""
    if types.is_dictionary(column_type):
        column_type = column_type.value_type
    return bool(
        is_string_type(column_type)
        or types.is_binary(column_type)
        or types.is_large_binary(column_type)
        or types.is_binary_view(column_type)
    )


def as_text_column(column: _Column) -> _Column:
    """A column of a text type as ``large_string``. Does not check that the bytes are UTF-8."""
    return column.cast(pa.large_string(), safe=False)
