"""Joins the schemas of files with different columns into one schema."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from lingo_model import InputError


def joined_schema(schemas: Mapping[str, pa.Schema]) -> pa.Schema:
    """The schema that holds the columns of all files.

    A column that a file does not have is null there. A column with different types gets the
    narrowest type that holds all values of all of them; see :func:`joined_type`.

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
                    f"it is {known.type}; cast one, or translate them into two tables"
                )
            if column_type != known.type:
                fields[field.name] = known.with_type(column_type)
                first_path[field.name] = path
    return pa.schema(fields.values())


def joined_type(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    """The narrowest type that holds every value of both types, or None if there is none."""
    # Not pa.unify_schemas(promote_options="permissive"), because it also joins types that do not
    # hold each other's values: int64 and double to double (rounds 2**53 + 1), uint64 and int64 to
    # int64 (2**63 overflows), decimal and double to double, any timestamps to nanoseconds (which
    # end in 2262), text and binary to binary. And it refuses a string with a dictionary of strings.
    if left == right:
        return left
    for one, other in ((left, right), (right, left)):
        if pa.types.is_null(one):
            return other
        if pa.types.is_dictionary(one):
            return joined_type(one.value_type, other)
    if left in _WIDER_TYPES and right in _WIDER_TYPES:
        return next((wide for wide in _WIDER_TYPES[left] if wide in _WIDER_TYPES[right]), None)
    if _is_list(left) and _is_list(right):
        return _joined_list(left, right)
    if pa.types.is_timestamp(left) and pa.types.is_timestamp(right):
        return _joined_timestamp(left, right)
    return None


def _is_list(column_type: pa.DataType) -> bool:
    return bool(pa.types.is_list(column_type) or pa.types.is_large_list(column_type))


def _joined_list(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    values = joined_type(left.value_type, right.value_type)
    if values is None:
        return None
    is_large = pa.types.is_large_list(left) or pa.types.is_large_list(right)
    return pa.large_list(values) if is_large else pa.list_(values)


def _joined_timestamp(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    units = (left.unit, right.unit)
    # Other units reach beyond 2262, where nanoseconds end.
    if left.tz != right.tz or "ns" in units:
        return None
    return pa.timestamp(next(unit for unit in ("us", "ms", "s") if unit in units), left.tz)


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
    pa.large_string(): (pa.large_string(),),
    pa.binary(): (pa.binary(), pa.large_binary()),
    pa.large_binary(): (pa.large_binary(),),
    pa.date32(): (pa.date32(), pa.date64()),
    pa.date64(): (pa.date64(),),
}
