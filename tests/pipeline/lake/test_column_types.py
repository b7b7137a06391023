"""Types are joined only if no value is lost."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lingo_model import InputError
from pipeline.lake.column_types import joined_schema, joined_type


def test_schemas_are_joined_or_refused_by_name() -> None:
    a = pa.schema([("text", pa.string()), ("n", pa.int64())])
    b = pa.schema([("text", pa.string()), ("day", pa.date32())])

    assert joined_schema({"a": a, "b": b}).names == ["text", "n", "day"]
    with pytest.raises(InputError, match=r"^c: column 'n' is string, in a it is int64"):
        joined_schema({"a": a, "c": pa.schema([("n", pa.string())])})


@pytest.mark.parametrize(
    ("left", "right", "joined"),
    [
        (pa.int32(), pa.int64(), pa.int64()),
        (pa.uint8(), pa.int8(), pa.int16()),
        (pa.uint32(), pa.int32(), pa.int64()),
        (pa.uint64(), pa.int64(), None),
        (pa.int32(), pa.float64(), pa.float64()),
        (pa.int64(), pa.float64(), None),  # 2**53 + 1 would be rounded
        (pa.int16(), pa.float32(), pa.float32()),
        (pa.int32(), pa.float32(), pa.float64()),
        (pa.float32(), pa.float64(), pa.float64()),
        (pa.string(), pa.large_string(), pa.large_string()),
        (pa.dictionary(pa.int8(), pa.string()), pa.string(), pa.string()),
        (pa.null(), pa.date32(), pa.date32()),
        (pa.timestamp("s"), pa.timestamp("us"), pa.timestamp("us")),
        (pa.timestamp("us"), pa.timestamp("ns"), None),
        (pa.timestamp("s", "UTC"), pa.timestamp("s"), None),
        (pa.list_(pa.int8()), pa.large_list(pa.int32()), pa.large_list(pa.int32())),
        (pa.list_(pa.int8()), pa.list_(pa.string()), None),
        (pa.string(), pa.int64(), None),
        (pa.bool_(), pa.int8(), None),
    ],
)
def test_types_are_joined_if_no_value_is_lost(
    left: pa.DataType, right: pa.DataType, joined: pa.DataType | None
) -> None:
    assert joined_type(left, right) == joined_type(right, left) == joined


def test_a_column_that_differs_only_in_case_is_refused() -> None:
    schemas = {
        name: pa.schema([(column, pa.string())]) for name, column in (("a", "T"), ("b", "t"))
    }
    with pytest.raises(InputError, match=r"^b: column 't' is 'T' in a, .*; spell them alike$"):
        joined_schema(schemas)
