"""Cuts a file into units, which are ranges of its rows."""

from __future__ import annotations

from collections.abc import Iterator

from lingo_model import BundleManifest
from pipeline.lake.files import InspectedFile
from pipeline.storage.hashing import KEY_DIGITS, fingerprint_of
from pipeline.table.manifest import Unit
from pipeline.translate.config import TranslateConfig, settings_key_of


def units_of(
    inspected: InspectedFile, model: BundleManifest, config: TranslateConfig
) -> Iterator[Unit]:
    """The units of a file, in order."""
    settings_key = settings_key_of(config, model)
    file = inspected.file
    n_rows = file.n_rows if config.limit is None else min(file.n_rows, config.limit)
    for first_row, size in unit_ranges(n_rows, inspected.group_rows, config.rows_per_unit):
        content = [file.path, file.sha256, first_row, size, settings_key]
        content_id = fingerprint_of(content)[:KEY_DIGITS]
        yield Unit(
            unit_id=unit_id(content_id, model),
            content_id=content_id,
            path=file.path,
            first_row=first_row,
            n_rows=size,
        )


def unit_id(content_id: str, model: BundleManifest) -> str:
    """Id of a unit: hash of its content id and the model."""
    return fingerprint_of([content_id, model.model_id])[:KEY_DIGITS]


def unit_ranges(
    n_rows: int, group_rows: list[int] | None, rows_per_unit: int
) -> Iterator[tuple[int, int]]:
    """First row and number of rows of each unit of a file, at most ``rows_per_unit``.

    Args:
        n_rows: rows of the file to cut.
        group_rows: sizes of the file's Parquet row groups; None for other formats. Small groups
            are packed whole into units, large ones are split.
        rows_per_unit: the largest size of a unit.
    """
    first = end = 0
    for group_size in group_rows if group_rows is not None else [n_rows]:
        size = min(group_size, n_rows - end)
        if end + size - first > rows_per_unit and end > first:
            yield first, end - first
            first = end
        end += size
        while end - first > rows_per_unit:
            yield first, rows_per_unit
            first += rows_per_unit
    if end > first:
        yield first, end - first
