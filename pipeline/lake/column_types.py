"""One schema for files whose columns differ."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from lingo_model import InputError


def joined_schema(schemas: Mapping[str, pa.Schema]) -> pa.Schema:
    """One schema for all files; a column that a file lacks is null there, and of two types the
    wider is taken where it holds every value of the other.

    Raises:
        InputError: a column has types in two files of which neither holds the other, or is spelled
            otherwise; names both.
    """
    fields: dict[str, pa.Field] = {}
    spelled: dict[str, str] = {}
    first_seen: dict[str, str] = {}
    for path, schema in schemas.items():
        for field in schema:
            known = fields.get(field.name)
            spelling = spelled.setdefault(field.name.casefold(), field.name)
            if spelling != field.name:  # SQL engines ignore case
                raise InputError(
                    f"{path}: column {field.name!r} is {spelling!r} in {first_seen[spelling]}, and "
                    "case does not tell columns apart; spell them alike"
                )
            if known is None:
                fields[field.name] = field.with_nullable(True).remove_metadata()
                first_seen[field.name] = path
                continue
            kind = joined_type(known.type, field.type)
            if kind is None:
                raise InputError(
                    f"{path}: column {field.name!r} is {field.type}, in {first_seen[field.name]} "
                    f"it is {known.type}; cast one, or translate them into two tables"
                )
            if kind != known.type:
                fields[field.name] = known.with_type(kind)
                first_seen[field.name] = path
    return pa.schema(fields.values())


def joined_type(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The narrowest type that holds every value of both, None where there is none."""
    if one == other:
        return one
    for a, b in ((one, other), (other, one)):
        if pa.types.is_null(a):
            return b
        if pa.types.is_dictionary(a):
            return joined_type(a.value_type, b)
    if (one in _WIDER) and (other in _WIDER):
        common = [kind for kind in _WIDER[one] if kind in _WIDER[other]]
        return common[0] if common else None
    both = (one, other)
    if all(pa.types.is_list(t) or pa.types.is_large_list(t) for t in both):
        value = joined_type(one.value_type, other.value_type)
        large = any(pa.types.is_large_list(t) for t in both)
        return value and (pa.large_list(value) if large else pa.list_(value))
    if all(map(pa.types.is_timestamp, both)) and one.tz == other.tz:
        # Not to nanoseconds, which end in 2262.
        unit = next((u for u in ("us", "ms") if u in (one.unit, other.unit)), "s")
        return pa.timestamp(unit, one.tz) if "ns" not in (one.unit, other.unit) else None
    return None


_INTS = [pa.int8(), pa.int16(), pa.int32(), pa.int64()]
_UINTS = [pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]

# For each type those that hold all its values, the narrowest first.
_WIDER: dict[pa.DataType, list[pa.DataType]] = {
    **{_INTS[i]: _INTS[i:] + [pa.float32()] * (i < 2) + [pa.float64()] * (i < 3) for i in range(4)},
    **{
        _UINTS[i]: _UINTS[i:] + _INTS[i + 1 :] + [pa.float32()] * (i < 2) + [pa.float64()] * (i < 3)
        for i in range(4)
    },
    pa.float16(): [pa.float16(), pa.float32(), pa.float64()],
    pa.float32(): [pa.float32(), pa.float64()],
    pa.float64(): [pa.float64()],
    pa.string(): [pa.string(), pa.large_string()],
    pa.large_string(): [pa.large_string()],
    pa.binary(): [pa.binary(), pa.large_binary()],
    pa.large_binary(): [pa.large_binary()],
    pa.date32(): [pa.date32(), pa.date64()],
    pa.date64(): [pa.date64()],
}
