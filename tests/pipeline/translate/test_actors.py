"""Units are dealt to tasks of about equal size."""

from __future__ import annotations

import pytest

from pipeline.table.manifest import Unit
from pipeline.translate.actors import task_groups


def unit(n_rows: int, number: int = 0) -> Unit:
    """A unit of some rows."""
    return Unit(unit_id=f"u{number}", content_id="c", path="a", first_row=0, n_rows=n_rows)


@pytest.mark.parametrize(
    ("sizes", "unfinished", "n_actors", "expected"),
    [
        ([5, 5, 5, 5], [0, 1, 2, 3], 1, [[0], [1], [2], [3]]),
        ([1] * 20, list(range(20)), 1, [[i, i + 1] for i in range(0, 20, 2)]),
        ([1] * 40 + [10], list(range(41)), 1, [[*range(i, i + 6)] for i in range(0, 36, 6)]
         + [[36, 37, 38, 39], [40]]),
        ([10, 1, 1, 90], [1, 3], 1, [[1], [3]]),
    ],
)  # fmt: skip
def test_small_units_share_a_task(
    sizes: list[int], unfinished: list[int], n_actors: int, expected: list[list[int]]
) -> None:
    units = [unit(n_rows, number) for number, n_rows in enumerate(sizes)]
    groups = task_groups(units, unfinished, n_actors, rows_per_task=10)
    assert groups == expected
    assert [i for group in groups for i in group] == unfinished
