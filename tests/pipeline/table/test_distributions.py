"""Histograms of quality signals, computed by hand."""

from __future__ import annotations

import pyarrow as pa
import pytest

from pipeline.table.distributions import RANGES, DistributionBuilder


def signals(**values: list[float | None]) -> pa.Table:
    """A table with the given quality signals; the others are null."""
    n_rows = len(next(iter(values.values())))
    columns = {name: values.get(name, [None] * n_rows) for name in RANGES}
    return pa.table({name: pa.array(column, pa.float64()) for name, column in columns.items()})


def test_distributions_of_several_tables() -> None:
    builder = DistributionBuilder()
    builder.add(signals(repetition=[0.0, 0.01, None, 1.0], length_ratio=[1.0, 2.0, 50.0, None]))
    builder.add(signals(repetition=[0.5]))
    distributions = builder.distributions()
    assert set(distributions) == {"repetition", "length_ratio"}  # the others have no values
    repetition = distributions["repetition"]
    assert (repetition.n_rows, repetition.minimum, repetition.maximum) == (4, 0.0, 1.0)
    assert repetition.mean == pytest.approx(1.51 / 4)
    # Fifty bins of 0.02: two in the first, one in the middle, one in the last.
    assert {i: n for i, n in enumerate(repetition.counts) if n} == {0: 2, 25: 1, 49: 1}
    ratio = distributions["length_ratio"]
    assert (ratio.maximum, ratio.counts[49], sum(ratio.counts)) == (
        50.0,
        1,
        3,
    )  # 50.0 is in the last bin
