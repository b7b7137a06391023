"""The input's columns: renamed, checked, and written beside the output's."""

from __future__ import annotations

import base64

import pyarrow as pa
import pyarrow.parquet as pq

from lingo_model import InputError
from pipeline.schemas import QUARANTINE_COLUMNS, TRANSLATION_COLUMNS
from pipeline.storage.location import Location
from pipeline.table.manifest import RunPlan, schema_of
from pipeline.translate.config import TranslateConfig

_PARTITION_KEYS = ("run_date", "run")


def encoded_schema(source: Location, schema: pa.Schema) -> str:
    """The schema of all files as a plan holds it, if it can be written at all."""
    try:
        with pq.ParquetWriter(pa.BufferOutputStream(), schema):
            pass
    except pa.ArrowException as error:
        raise InputError(
            f"{source}: Parquet cannot hold its columns ({' '.join(str(error).split())}); leave "
            "that column out, or give it values"
        ) from error
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def planned_schema(plan: RunPlan) -> pa.Schema:
    """Schema of the input columns of a planned run."""
    return schema_of(plan.schema_base64)


def _renamed(path: Location, schema: pa.Schema, config: TranslateConfig) -> pa.Schema:
    """The schema with columns renamed, checked against what the output needs."""
    schema = pa.schema([f.with_name(config.rename.get(f.name, f.name)) for f in schema])
    names = schema.names
    # SQL engines ignore case, so that Score beside score would be one column there.
    folded = [name.casefold() for name in names]
    if len(set(folded)) != len(folded):
        twice = next(name for name in names if folded.count(name.casefold()) > 1)
        raise InputError(f"{path}: column {twice!r} stands twice (case aside); use --rename")
    for column, option in ((config.text_column, "text"), (config.id_column, "id")):
        if column is not None and column not in names:
            raise InputError(
                f"{path}: has no column {column!r}: it has {', '.join(names) or 'none'}; "
                f"set --{option}-column"
            )
    at = schema.get_field_index(config.text_column)
    kind = schema.field(at).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
        schema = schema.set(at, schema.field(at).with_type(kind))
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise InputError(f"{path}: column {config.text_column!r} is {kind}: needs text; cast it")
    if config.id_column is not None:
        kind = schema.field(config.id_column).type
        if pa.types.is_floating(kind) or pa.types.is_nested(kind):
            raise InputError(
                f"{path}: id column {config.id_column!r} is {kind}: needs text or whole numbers; "
                "cast it"
            )
    ours = {*TRANSLATION_COLUMNS.names, *QUARANTINE_COLUMNS.names, *_PARTITION_KEYS}
    if taken := [name for name in names if name.casefold() in ours]:
        raise InputError(
            f"{path}: column {taken[0]!r} has a name that the output uses itself; "
            f"use --rename {taken[0]}=source_{taken[0]}"
        )
    return schema
