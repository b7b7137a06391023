"""Rows of different lengths come back in any order, and take few bytes."""

from __future__ import annotations

import random
import tracemalloc

import numpy as np
import pytest

from pipeline.prepare.ragged import RaggedColumn


def column_of(rows: list[list[int]], *, rows_per_append: int, dtype: type) -> RaggedColumn:
    column = RaggedColumn(dtype)
    for start in range(0, len(rows), rows_per_append):
        part = rows[start : start + rows_per_append]
        column.append(np.array([v for row in part for v in row], dtype), list(map(len, part)))
    return column


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
@pytest.mark.parametrize("rows_per_append", [1, 7, 1000])
def test_rows_are_taken_in_any_order(dtype: type, rows_per_append: int) -> None:
    draw = random.Random(1)
    rows = [[draw.randrange(200) for _ in range(draw.choice((0, 0, 1, 2, 9)))] for _ in range(100)]
    column = column_of(rows, rows_per_append=rows_per_append, dtype=dtype)
    assert len(column) == 100
    order = np.array([draw.randrange(100) for _ in range(60)])
    values, lengths = column.take(order)
    assert values.dtype == dtype
    assert lengths.tolist() == [len(rows[i]) for i in order]
    assert values.tolist() == [value for i in order for value in rows[i]]


def test_rows_can_be_added_after_some_were_taken() -> None:
    column = column_of([[1, 2], [3]], rows_per_append=1, dtype=np.uint16)
    assert column.take(np.array([1]))[0].tolist() == [3]
    column.append(np.array([4, 5]), [2])
    assert column.take(np.array([2, 0]))[0].tolist() == [4, 5, 1, 2]


def test_no_rows() -> None:
    column = RaggedColumn(np.uint16)
    values, lengths = column.take(np.arange(0))
    assert (len(column), values.tolist(), lengths.tolist()) == (0, [], [])


def test_a_row_takes_the_bytes_of_its_values_and_few_more() -> None:
    n_rows, n_values = 50_000, 20
    part = np.arange(1000 * n_values, dtype=np.int32) % 60_000
    tracemalloc.start()
    column = RaggedColumn(np.uint16)
    for _ in range(n_rows // 1000):
        column.append(part, np.full(1000, n_values))
    column.take(np.arange(8))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 2 bytes for a value, 12 for a row, and room to grow.
    assert peak_bytes / n_rows < 1.5 * (2 * n_values + 12)
