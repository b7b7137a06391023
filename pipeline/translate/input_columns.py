"""The input's columns: renamed, checked, and written beside the output's columns."""

from __future__ import annotations

import base64

import pyarrow as pa
import pyarrow.parquet as pq

from lingo_model import InputError
from pipeline.errors import one_line
from pipeline.schemas import QUARANTINE_COLUMNS, TRANSLATION_COLUMNS
from pipeline.storage.location import Location, location
from pipeline.table.manifest import PARTITIONS, RunPlan, schema_of
from pipeline.translate.config import TranslateConfig


def input_root(plan: RunPlan) -> Location:
    """The folder that the paths of a plan are relative to."""
    source = location(plan.input)
    return source if source.is_dir() else source.parent


def planned_schema(plan: RunPlan) -> pa.Schema:
    """Schema of the input columns of a planned run."""
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
            f"{source}: Parquet cannot hold its columns ({one_line(error)}); remove "
            "that column, or give it values"
        ) from error
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def output_schema(path: Location, schema: pa.Schema, config: TranslateConfig) -> pa.Schema:
    """A file's schema with the columns renamed as they appear in the output.

    Raises:
        InputError: the text or id column is missing or has the wrong type, a name is repeated, or
            the output uses a name itself.
    """
    schema = pa.schema([f.with_name(config.rename.get(f.name, f.name)) for f in schema])
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
    if taken := [name for name in schema.names if name.casefold() in reserved]:
        raise InputError(
            f"{path}: column {taken[0]!r} has a name that the output uses itself; "
            f"use --rename {taken[0]}=source_{taken[0]}"
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
    """The schema with the text column as a string, if it is a dictionary of strings."""
    at = schema.get_field_index(text_column)
    kind = schema.field(at).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        schema = schema.set(at, schema.field(at).with_type(kind))
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise InputError(f"{path}: column {text_column!r} is {kind}: needs text; cast it")
    return schema


def _check_id_type(path: Location, schema: pa.Schema, id_column: str) -> None:
    kind = schema.field(id_column).type
    if pa.types.is_floating(kind) or pa.types.is_nested(kind):
        raise InputError(
            f"{path}: id column {id_column!r} is {kind}: needs text or whole numbers; cast it"
        )
