"""Joins the schemas of files with different columns into one schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pyarrow as pa
from pyarrow import types

from lingo_model import InputError


def joined_schema(schemas: Mapping[str, pa.Schema]) -> pa.Schema:
    """The schema that holds the columns of all files.

    A column that a file does not have is null there. A column with different types gets the
    narrowest type that holds all values of all of them; see :func:`joined_type`. A column of
    objects without keys is null, because Parquet has no type for them.

    Args:
        schemas: the schema of each file, by path.

    Raises:
        InputError: no type holds all values of a column, or the spelling of a column's name differs
            only in case. The message names both files.
    """
    fields: dict[str, pa.Field] = {}
    first_spelling: dict[str, str] = {}
    first_path: dict[str, str] = {}
    for path, schema in schemas.items():
        for field in schema:
            field = field.with_type(writable_type(field.type))
            known = fields.get(field.name)
            spelling = first_spelling.setdefault(field.name.casefold(), field.name)
            if spelling != field.name:  # SQL engines ignore case
                raise InputError(
                    f"{path}: column {field.name!r} is {spelling!r} in {first_path[spelling]}, and "
                    "names that differ only in case are one column in SQL; spell them alike"
                )
            if known is None:
                fields[field.name] = field.with_nullable(True).remove_metadata()
                first_path[field.name] = path
                continue
            column_type = joined_type(known.type, field.type)
            if column_type is None:
                raise InputError(
                    f"{path}: column {field.name!r} is {field.type}, in {first_path[field.name]} "
                    f"it is {known.type}, and no type holds every value of both; cast one, or "
                    f"leave the column out with --drop {field.name}"
                )
            if column_type != known.type:
                fields[field.name] = known.with_type(column_type)
                first_path[field.name] = path
    return pa.schema(fields.values())


def joined_type(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    """The narrowest type that holds every value of both types, or None if there is none.

    Structs are joined by the names of their fields. A field that only one of them has is null in
    the values of the other.
    """
    # Not pa.unify_schemas(promote_options="permissive"), because it also joins types that do not
    # hold each other's values: int64 and double to double (rounds 2**53 + 1), uint64 and int64 to
    # int64 (2**63 overflows), decimal and double to double, any timestamps to nanoseconds (which
    # end in 2262), text and binary to binary. And it refuses a string with a dictionary of strings.
    if left == right:
        return left
    for one, other in ((left, right), (right, left)):
        if types.is_null(one):
            return other
        if types.is_dictionary(one):
            return joined_type(one.value_type, other)
        if isinstance(one, pa.BaseExtensionType):  # such as UUID
            return joined_type(one.storage_type, other)
        if types.is_fixed_size_binary(one):
            return joined_type(pa.binary(), other)
    if left in _WIDER_TYPES and right in _WIDER_TYPES:
        return next((wide for wide in _WIDER_TYPES[left] if wide in _WIDER_TYPES[right]), None)
    for is_kind, join in _JOINS:
        if is_kind(left) and is_kind(right):
            return join(left, right)
    return None


def writable_type(column_type: pa.DataType) -> pa.DataType:
    """The type of the same values that Parquet files can have in any slice.

    A struct without fields becomes null. Views within structs, maps and lists become text or
    binary, because Arrow cannot write slices of such views.
    """
    if types.is_struct(column_type):
        fields = [field.with_type(_within(field.type)) for field in column_type]
        return pa.struct(fields) if fields else pa.null()
    if types.is_map(column_type):
        return pa.map_(_within(column_type.key_type), _within(column_type.item_type))
    if types.is_list(column_type):
        return pa.list_(_within(column_type.value_type))
    if types.is_large_list(column_type):
        return pa.large_list(_within(column_type.value_type))
    return column_type


def _within(inner_type: pa.DataType) -> pa.DataType:
    if types.is_string_view(inner_type):
        return pa.string()
    if types.is_binary_view(inner_type):
        return pa.binary()
    return writable_type(inner_type)


def _joined_struct(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    joined: dict[str, pa.DataType] = {}
    for struct in (left, right):
        if len({field.name for field in struct}) < struct.num_fields:
            return None
        for field in struct:
            field_type = joined_type(joined.get(field.name, pa.null()), field.type)
            if field_type is None:
                return None
            joined[field.name] = field_type
    if len({name.casefold() for name in joined}) < len(joined):  # to SQL engines one field
        return None
    return pa.struct(joined.items())


def _joined_map(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    keys = joined_type(left.key_type, right.key_type)
    values = joined_type(left.item_type, right.item_type)
    return None if keys is None or values is None else pa.map_(keys, values)


def _is_list(column_type: pa.DataType) -> bool:
    return bool(
        types.is_list(column_type)
        or types.is_fixed_size_list(column_type)
        or types.is_large_list(column_type)
    )


def _joined_list(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    values = joined_type(left.value_type, right.value_type)
    if values is None:
        return None
    are_fixed = types.is_fixed_size_list(left) and types.is_fixed_size_list(right)
    if are_fixed and left.list_size == right.list_size:
        return pa.list_(values, left.list_size)
    is_large = types.is_large_list(left) or types.is_large_list(right)
    return pa.large_list(values) if is_large else pa.list_(values)


def _joined_time_of_day(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    unit = _finer_unit(left.unit, right.unit)
    return pa.time32(unit) if unit in ("s", "ms") else pa.time64(unit)


def _joined_timestamp(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    # Nanoseconds end in 2262. Other units reach further.
    if left.tz != right.tz or "ns" in (left.unit, right.unit):
        return None
    return pa.timestamp(_finer_unit(left.unit, right.unit), left.tz)


def _joined_duration(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    if "ns" in (left.unit, right.unit):  # at most 292 years
        return None
    return pa.duration(_finer_unit(left.unit, right.unit))


def _finer_unit(left: str, right: str) -> str:
    return max(left, right, key=("s", "ms", "us", "ns").index)


def _is_number(column_type: pa.DataType) -> bool:
    return bool(types.is_decimal(column_type) or types.is_integer(column_type))


def _joined_decimal(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    """A decimal with the digits of both types. One of them may be an integer."""
    digits = (_digits(left), _digits(right))
    n_fraction = max(fraction for _, fraction in digits)
    n_digits = max(whole for whole, _ in digits) + n_fraction
    bits = max(one.bit_width for one in (left, right) if types.is_decimal(one))
    for make, size, max_digits in _DECIMALS:
        if size >= bits and n_digits <= max_digits:
            return make(n_digits, n_fraction)
    return None


def _digits(column_type: pa.DataType) -> tuple[int, int]:
    """The number of decimal digits before and after the point."""
    if types.is_decimal(column_type):
        return column_type.precision - column_type.scale, column_type.scale
    is_signed = types.is_signed_integer(column_type)
    return len(str(2 ** (column_type.bit_width - is_signed) - 1)), 0


_DECIMALS: tuple[tuple[Callable[[int, int], pa.DataType], int, int], ...] = (
    (pa.decimal32, 32, 9),
    (pa.decimal64, 64, 18),
    (pa.decimal128, 128, 38),
    (pa.decimal256, 256, 76),
)
"""The kinds of decimals, their bits and their largest number of digits."""

_JOINS: tuple[
    tuple[
        Callable[[pa.DataType], bool],
        Callable[[pa.DataType, pa.DataType], pa.DataType | None],
    ],
    ...,
] = (
    (types.is_struct, _joined_struct),
    (types.is_map, _joined_map),
    (_is_list, _joined_list),
    (types.is_time, _joined_time_of_day),
    (types.is_timestamp, _joined_timestamp),
    (types.is_duration, _joined_duration),
    (_is_number, _joined_decimal),
)
"""How two types of one kind are joined. Numbers of which none is a decimal are in
``_WIDER_TYPES``."""

# For each type, the types that hold all its values, the narrowest first. float32 holds integers of
# up to 24 bits, float64 of up to 53 bits.
_WIDER_TYPES: dict[pa.DataType, tuple[pa.DataType, ...]] = {
    pa.int8(): (pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64()),
    pa.int16(): (pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64()),
    pa.int32(): (pa.int32(), pa.int64(), pa.float64()),
    pa.int64(): (pa.int64(),),
    pa.uint8(): (
        *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
        *(pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64()),
    ),
    pa.uint16(): (
        *(pa.uint16(), pa.uint32(), pa.uint64()),
        *(pa.int32(), pa.int64(), pa.float32(), pa.float64()),
    ),
    pa.uint32(): (pa.uint32(), pa.uint64(), pa.int64(), pa.float64()),
    pa.uint64(): (pa.uint64(),),
    pa.float16(): (pa.float16(), pa.float32(), pa.float64()),
    pa.float32(): (pa.float32(), pa.float64()),
    pa.float64(): (pa.float64(),),
    pa.string(): (pa.string(), pa.large_string()),
    pa.string_view(): (pa.string(), pa.large_string()),
    pa.large_string(): (pa.large_string(),),
    pa.binary(): (pa.binary(), pa.large_binary()),
    pa.binary_view(): (pa.binary(), pa.large_binary()),
    pa.large_binary(): (pa.large_binary(),),
    pa.date32(): (pa.date32(), pa.date64()),
    pa.date64(): (pa.date64(),),
}
