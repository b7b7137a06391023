"""The columns that a retry's rows have beside the input's columns."""

from __future__ import annotations

import pyarrow as pa

from pipeline.schemas import PLACE_COLUMNS, QUARANTINE_COLUMNS
from pipeline.translate.row_ids import ROW_ID


def retry_fields(schema: pa.Schema) -> list[pa.Field]:
    """The row's id, and its place unless the input has a column of that name.

    Args:
        schema: the input's columns.
    """
    fields = [QUARANTINE_COLUMNS.field(ROW_ID).with_nullable(True)]
    own_names = {name.casefold() for name in schema.names}
    if own_names.isdisjoint(PLACE_COLUMNS):
        fields += [QUARANTINE_COLUMNS.field(name) for name in PLACE_COLUMNS]
    return fields
