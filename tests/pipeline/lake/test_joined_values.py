"""Files with different types of one column are read as the joined type, and no value changes."""

from __future__ import annotations

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.lake.column_selection import ColumnSelection
from pipeline.lake.column_types import joined_schema, joined_type
from pipeline.lake.files import inspect_file
from pipeline.lake.range_reader import RangeReader
from pipeline.storage.local_copies import LocalCopies


def read_joined(folder: Path, names: list[str]) -> list[list[Any]]:
    """The column ``c`` of each file, read as the type that holds the values of all files.

    Two rows are read at a time.
    """
    schema = joined_schema({name: inspect_file(folder, name).schema for name in names})
    columns = []
    for name in names:
        n_rows = inspect_file(folder, name).file.n_rows
        reader = RangeReader(LocalCopies(folder), ColumnSelection(), schema)
        ranges = [reader.read(name, first, 2).table for first in range(0, n_rows, 2)]
        table = pa.concat_tables(ranges)
        table.validate(full=True)
        pq.write_table(table, folder / "output.pq")  # as a run writes it
        columns.append(pq.read_table(folder / "output.pq")["c"].to_pylist())
    return columns


def integers(column_type: pa.DataType) -> st.SearchStrategy[int]:
    n_bits = column_type.bit_width
    if pa.types.is_signed_integer(column_type):
        return st.integers(-(2 ** (n_bits - 1)), 2 ** (n_bits - 1) - 1)
    return st.integers(0, 2**n_bits - 1)


def decimals(column_type: pa.DataType) -> st.SearchStrategy[decimal.Decimal]:
    largest = 10**column_type.precision - 1
    context = decimal.Context(prec=76)
    return st.integers(-largest, largest).map(
        lambda digits: decimal.Decimal(digits).scaleb(-column_type.scale, context)
    )


def values_of(column_type: pa.DataType) -> st.SearchStrategy[Any]:
    """Values of a type, nulls included."""
    if pa.types.is_integer(column_type):
        values: st.SearchStrategy[Any] = integers(column_type)
    elif pa.types.is_decimal(column_type):
        values = decimals(column_type)
    elif pa.types.is_floating(column_type):
        values = st.floats(width=column_type.bit_width, allow_nan=False)
    elif pa.types.is_struct(column_type):
        values = st.fixed_dictionaries({f.name: values_of(f.type) for f in column_type})
    elif pa.types.is_map(column_type):
        values = st.lists(st.tuples(st.text(max_size=3), values_of(column_type.item_type)))
    elif pa.types.is_fixed_size_list(column_type):
        size = column_type.list_size
        values = st.lists(values_of(column_type.value_type), min_size=size, max_size=size)
    elif pa.types.is_nested(column_type):
        values = st.lists(values_of(column_type.value_type), max_size=3)
    else:
        values = st.text(max_size=20)
    return st.none() | values


LEAVES = [
    *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
    *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.float32(), pa.float64()),
    *(pa.string(), pa.large_string(), pa.string_view()),
]
DECIMALS = st.one_of(
    [
        st.tuples(st.integers(1, n), st.integers(0, n)).map(
            lambda p, make=make: make(p[0], min(p))  # type: ignore[misc]
        )
        for make, n in (
            (pa.decimal32, 9),
            (pa.decimal64, 18),
            (pa.decimal128, 38),
            (pa.decimal256, 76),
        )
    ]
)


def nested(types: st.SearchStrategy[pa.DataType]) -> st.SearchStrategy[pa.DataType]:
    names = st.sampled_from(["a", "b", "c"])
    return st.one_of(
        st.dictionaries(names, types, min_size=1, max_size=3).map(lambda f: pa.struct(f.items())),
        types.map(pa.list_),
        types.map(pa.large_list),
        types.map(lambda t: pa.list_(t, 2)),
        types.map(lambda t: pa.map_(pa.string(), t)),
    )


TYPES = st.recursive(st.sampled_from(LEAVES) | DECIMALS, nested, max_leaves=3)


def completed(value: Any, column_type: pa.DataType) -> Any:
    """A value as the joined type has it: fields that it does not have are null."""
    if isinstance(value, dict):
        return {f.name: completed(value.get(f.name), f.type) for f in column_type}
    if isinstance(value, list) and pa.types.is_map(column_type):
        return [(key, completed(item, column_type.item_type)) for key, item in value]
    if isinstance(value, list):
        return [completed(item, column_type.value_type) for item in value]
    return value


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_every_value_of_both_files_is_kept(tmp_path: Path, data: st.DataObject) -> None:
    left = data.draw(TYPES)
    right = data.draw(TYPES | st.just(left))
    joined = joined_type(left, right)
    if joined is None:
        return
    columns = []
    for name, column_type in (("a.parquet", left), ("b.parquet", right)):
        values = data.draw(st.lists(values_of(column_type), min_size=1, max_size=4))
        table = pa.table({"c": pa.array(values, column_type)})
        pq.write_table(table, tmp_path / name)
        columns.append(table["c"].to_pylist())

    read = read_joined(tmp_path, ["a.parquet", "b.parquet"])

    assert read == [[completed(value, joined) for value in column] for column in columns]


@pytest.mark.parametrize(
    "column_type",
    [
        pa.struct([("a", pa.string_view())]),
        pa.list_(pa.binary_view()),
        pa.map_(pa.string_view(), pa.string_view()),
        pa.struct([("a", pa.struct([("b", pa.string_view())]))]),
    ],
    ids=str,
)
def test_views_within_other_types_are_written(tmp_path: Path, column_type: pa.DataType) -> None:
    pq.write_table(pa.table({"c": pa.array([None] * 3, column_type)}), tmp_path / "a.parquet")
    assert read_joined(tmp_path, ["a.parquet"]) == [[None] * 3]


DAY = datetime.date(2026, 11, 25)
UUID = bytes(range(16))


@pytest.mark.parametrize(
    ("left", "right", "values"),
    [
        (pa.decimal128(20, 2), pa.decimal128(22, 2), (["1.25"], ["99999999999999999999.99"])),
        (pa.decimal128(38, 0), pa.decimal128(38, 30), (["9" * 38], ["0." + "9" * 30])),
        (pa.int64(), pa.decimal128(10, 2), ([2**63 - 1, -(2**63)], ["0.01"])),
        (pa.time32("s"), pa.time64("us"), ([3], [datetime.time(1, 2, 3, 4)])),
        (pa.duration("s"), pa.duration("us"), ([5], [datetime.timedelta(microseconds=7)])),
        (pa.binary(2), pa.binary(3), ([b"ab"], [b"abc"])),
        (pa.binary(2), pa.binary_view(), ([b"ab"], [b"a" * 30])),
        (pa.binary(16), pa.uuid(), ([b"a" * 16], [UUID])),
        (pa.dictionary(pa.int8(), pa.string()), pa.string_view(), (["a", None], ["b"])),
        (pa.dictionary(pa.int8(), pa.string()), pa.large_string(), (["a", None], ["b"])),
        (pa.list_(pa.int8(), 2), pa.list_(pa.int8(), 3), ([[1, 2], None], [[1, 2, 3]])),
        (pa.null(), pa.map_(pa.string(), pa.int8()), ([None], [[("a", 1)]])),
        (pa.map_(pa.string(), pa.int32()), pa.map_(pa.string(), pa.int64()), ([[("a", 1)]], [[]])),
    ],
)
def test_values_of_rarer_types_are_kept(
    tmp_path: Path, left: pa.DataType, right: pa.DataType, values: tuple[list[Any], list[Any]]
) -> None:
    columns = []
    for name, column_type, column in zip("ab", (left, right), values, strict=True):
        if pa.types.is_decimal(column_type):
            column = [decimal.Decimal(value) for value in column]
        table = pa.table({"c": pa.array(column, column_type)})
        pq.write_table(table, tmp_path / f"{name}.parquet")
        storage = column if pa.types.is_binary(column_type) else table["c"].to_pylist()
        columns.append([getattr(value, "bytes", value) for value in storage])

    assert read_joined(tmp_path, ["a.parquet", "b.parquet"]) == columns
    assert read_joined(tmp_path, ["b.parquet", "a.parquet"]) == columns[::-1]


@pytest.mark.parametrize(
    "lines",
    [
        (['{"c": {"a": 1}}'], ['{"c": {"a": 1, "b": 2}}']),
        (['{"c": {"a": 1}}'], ['{"c": {}}', '{"c": null}']),
        (['{"c": {}}'], ['{"c": {}}']),
        (['{"c": {}}'], ['{"c": {"a": {"b": "x"}}}']),
        (['{"c": {"a": {}}}'], ['{"c": {"a": {"b": [1]}}}']),
        (['{"c": [{}]}'], ['{"c": [{"b": [{"d": true}]}]}']),
        (['{"c": []}'], ['{"c": [{"b": "x"}]}']),
        (['{"c": {"a": null}}'], ['{"c": {"b": {"a": "x"}}}', '{"c": {"a": [1]}}']),
        (['{"c": {"a": {"x": 1}, "b": []}}'], ['{"c": {"b": [{}], "a": {"y": 1.5}}}']),
    ],
)
def test_json_objects_are_joined_by_their_keys(
    tmp_path: Path, lines: tuple[list[str], list[str]]
) -> None:
    """A key that an object does not have is null. So is an object that never has a key."""

    def stripped(value: Any) -> Any:
        if isinstance(value, dict):
            items = {key: stripped(item) for key, item in value.items()}
            return {key: item for key, item in items.items() if item is not None} or None
        if isinstance(value, list):
            return [stripped(item) for item in value]
        return value

    columns = []
    for name, rows in zip("ab", lines, strict=True):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows) + "\n")
        columns.append([json.loads(row)["c"] for row in rows])

    for order in (["a.jsonl", "b.jsonl"], ["b.jsonl", "a.jsonl"]):
        read = read_joined(tmp_path, order)
        expected = columns if order[0] == "a.jsonl" else columns[::-1]
        assert [stripped(column) for column in read] == [stripped(column) for column in expected]
