"""A file is cut into units, and a unit's id depends on every setting that can change its output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lingo_model import read_bundle_manifest
from pipeline.decoding import DecodeConfig
from pipeline.lake.files import inspect_file
from pipeline.translate.config import TranslateConfig
from pipeline.translate.units import unit_ranges, units_of

CONFIG = TranslateConfig(rows_per_unit=20)


@pytest.mark.parametrize(
    ("n_rows", "group_rows", "expected"),
    [
        (0, None, []),
        (7, None, [(0, 7)]),
        (10, None, [(0, 10)]),
        (25, None, [(0, 10), (10, 10), (20, 5)]),
        (12, [4, 4, 4], [(0, 8), (8, 4)]),  # small groups are packed
        (16, [6, 6, 4], [(0, 6), (6, 10)]),
        (25, [25], [(0, 10), (10, 10), (20, 5)]),  # a large group is split
        (30, [3, 23, 4], [(0, 3), (3, 10), (13, 10), (23, 7)]),
        (5, [3, 23, 4], [(0, 5)]),  # --limit
        (0, [], []),
    ],
)
def test_row_groups_are_packed_or_split_into_units(
    n_rows: int, group_rows: list[int] | None, expected: list[tuple[int, int]]
) -> None:
    assert list(unit_ranges(n_rows, group_rows, 10)) == expected


@pytest.mark.parametrize(
    "changed", [{"precision": "int8"}, {"beam_size": 3}, {"length_penalty_alpha": 0.5}]
)
def test_the_id_of_a_unit_depends_on_every_decoding_setting(
    filled_lake: Path, bundle: Path, changed: dict[str, Any]
) -> None:
    model = read_bundle_manifest(bundle)
    files = [inspect_file(filled_lake, name) for name in ("a.parquet", "b.parquet")]

    def unit_ids(config: TranslateConfig) -> set[str]:
        return {unit.unit_id for file in files for unit in units_of(file, model, config)}

    ids = unit_ids(CONFIG)
    assert len(ids) == 5
    assert unit_ids(CONFIG) == ids
    assert not ids & unit_ids(CONFIG.model_copy(update={"decode": DecodeConfig(**changed)}))
