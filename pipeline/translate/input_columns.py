"""The input's columns: renamed, checked, and written beside the output's columns."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from lingo_model import InputError
from pipeline.errors import one_line
from pipeline.formats.text_types import is_string_type, is_text_type
from pipeline.lake.column_types import joined_schema
from pipeline.schemas import PLACE_COLUMNS, QUARANTINE_COLUMNS, TRANSLATION_COLUMNS
from pipeline.storage.location import Location, location
from pipeline.table.manifest import PARTITIONS, RunHeader, RunPlan, schema_of
from pipeline.translate.config import TranslateConfig
from pipeline.translate.run_config import selection_of


def input_root(plan: RunPlan) -> Location:
    """The folder that the paths of a plan are relative to."""
    source = location(plan.input)
    return source if source.is_dir() else source.parent


def planned_schema(plan: RunHeader) -> pa.Schema:
    """Schema of the input columns of a planned or published run."""
    return schema_of(plan.schema_base64)


def encoded_schema(source: Location, schema: pa.Schema) -> str:
    """The schema of all input columns as text, for a plan.

    Raises:
        InputError: Parquet cannot hold one of the columns.
    """
    try:
        with pq.ParquetWriter(pa.BufferOutputStream(), schema):
            pass
    except pa.ArrowException as error:
        raise InputError(
            f"{source}: Parquet cannot hold its columns ({one_line(error)}); leave "
            "that column out with --drop"
        ) from error
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def output_schema(path: Location, schema: pa.Schema, config: TranslateConfig) -> pa.Schema:
    """A file's schema with the columns that the output has, under their names there.

    Raises:
        InputError: the text or id column is missing or has the wrong type, a name is repeated, or
            the output uses a name itself.
    """
    names = selection_of(config).output_names(schema.names)
    schema = pa.schema(
        [field.with_name(name) for field, name in zip(schema, names, strict=True) if name]
    )
    _check_unique_names(path, schema)
    for column, option in ((config.text_column, "text"), (config.id_column, "id")):
        if column is not None and column not in schema.names:
            raise InputError(
                f"{path}: has no column {column!r}; its columns are "
                f"{', '.join(schema.names) or 'none'}; set --{option}-column"
            )
    schema = _with_plain_text(path, schema, config.text_column)
    if config.id_column is not None:
        _check_id_type(path, schema, config.id_column)
    reserved = {*TRANSLATION_COLUMNS.names, *QUARANTINE_COLUMNS.names, *PARTITIONS.names}
    reserved -= {*PLACE_COLUMNS}  # the quarantine can do without them
    if taken := [name for name in schema.names if name.casefold() in reserved]:
        raise InputError(
            f"{path}: column {taken[0]!r} has a name that the output uses itself; "
            f"use --rename {taken[0]}=source_{taken[0]}, or --drop {taken[0]}"
        )
    return schema


def _check_unique_names(path: Location, schema: pa.Schema) -> None:
    # SQL engines ignore case: to them, Score and score are one column.
    folded = [name.casefold() for name in schema.names]
    for name in schema.names:
        if folded.count(name.casefold()) > 1:
            raise InputError(
                f"{path}: column {name!r} occurs twice (ignoring case); rename one with --rename"
            )


def _with_plain_text(path: Location, schema: pa.Schema, text_column: str) -> pa.Schema:
    """The schema with the text column as a string, if it is of another type that holds text."""
    at = schema.get_field_index(text_column)
    kind = plain = schema.field(at).type
    if not (is_text_type(kind) or types.is_null(kind)):
        raise InputError(f"{path}: column {text_column!r} is {kind}: needs text; cast it")
    if types.is_dictionary(plain):
        plain = plain.value_type
    if types.is_large_binary(plain):
        plain = pa.large_string()
    elif not (types.is_large_string(plain) or types.is_null(plain)):
        plain = pa.string()
    return schema.set(at, schema.field(at).with_type(plain))


def joined_columns(schemas: Mapping[str, pa.Schema], config: TranslateConfig) -> pa.Schema:
    """The schema that holds the columns of all files.

    Args:
        schemas: the output schema of each file, by path.
        config: the settings of the run.

    Raises:
        InputError: columns do not fit together, or the same id would have two texts in two files.
    """
    joined = joined_schema(schemas)
    first: tuple[str, str] | None = None
    for path, schema in schemas.items():
        if config.id_column not in schema.names:
            continue
        kind = _id_kind(schema.field(config.id_column).type)
        if not kind:
            continue
        if first is not None and first[1] != kind:
            raise InputError(
                f"{path}: id column {config.id_column!r} is {kind}, in {first[0]} it is "
                f"{first[1]}, so the same id would have two texts; cast one"
            )
        first = first or (path, kind)
    return joined


def _check_id_type(path: Location, schema: pa.Schema, id_column: str) -> None:
    kind = schema.field(id_column).type
    if _id_kind(kind) is None:
        raise InputError(
            f"{path}: id column {id_column!r} is {kind}, which has no exact text: needs text, "
            "whole numbers, decimals, binary, UUIDs, dates or timestamps of at most microseconds; "
            "cast it, or leave out --id-column"
        )


def _id_kind(column_type: pa.DataType) -> str | None:
    """How a type's values become the text of an id. None if the type is not accepted."""
    if types.is_dictionary(column_type):
        return _id_kind(column_type.value_type)
    if isinstance(column_type, pa.UuidType):
        return "UUIDs"
    if isinstance(column_type, pa.BaseExtensionType):
        return _id_kind(column_type.storage_type)
    if types.is_null(column_type):
        return ""
    if is_string_type(column_type):
        return "text"
    if is_text_type(column_type) or types.is_fixed_size_binary(column_type):
        return "binary"
    if types.is_date(column_type):
        return "dates"
    if types.is_timestamp(column_type) and column_type.unit != "ns":
        return f"timestamps, time zone {column_type.tz}"
    if types.is_integer(column_type):
        return "whole numbers"
    if types.is_decimal(column_type):
        n_digits = column_type.scale
        return f"decimals with {n_digits} digits after the point" if n_digits else "whole numbers"
    return None
