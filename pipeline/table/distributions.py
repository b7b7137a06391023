"""Histograms of the quality signals of a run's rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipeline.settings import Settings

RANGES = {
    "score": (-5.0, 0.0),
    "length_ratio": (0.0, 3.0),
    "repetition": (0.0, 1.0),
    "copy_rate": (0.0, 1.0),
    "unknown_rate": (0.0, 1.0),
}
"""The measures whose distribution a run records, and the range of its bins."""


_N_BINS = 50


class Distribution(Settings):
    """How a measure is spread over rows: their number, mean and extremes, and counts in bins of
    equal width from ``low`` to ``high``, where what lies beyond is in the outermost."""

    n_rows: int
    mean: float
    least: float
    most: float
    low: float
    high: float
    counts: tuple[int, ...]


class DistributionBuilder:
    """Gathers the distributions of the measures, a table at a time."""

    def __init__(self) -> None:
        self._counts = {name: np.zeros(_N_BINS, np.int64) for name in RANGES}
        self._sums = dict.fromkeys(RANGES, 0.0)
        self._least = dict.fromkeys(RANGES, np.inf)
        self._most = dict.fromkeys(RANGES, -np.inf)

    def add(self, table: pa.Table) -> None:
        """Take in a table with a column of each measure; nulls do not count."""
        for name, (low, high) in RANGES.items():
            values = table[name].drop_null().to_numpy()
            if len(values):
                inside = np.clip(values, low, high)
                self._counts[name] += np.histogram(inside, _N_BINS, (low, high))[0]
                self._sums[name] += float(values.sum())
                self._least[name] = min(self._least[name], float(values.min()))
                self._most[name] = max(self._most[name], float(values.max()))

    def distributions(self) -> dict[str, Distribution]:
        """Of each measure that any row had."""
        found = {}
        for name, (low, high) in RANGES.items():
            n_rows = int(self._counts[name].sum())
            if n_rows:
                found[name] = Distribution(
                    n_rows=n_rows,
                    mean=self._sums[name] / n_rows,
                    least=float(self._least[name]),
                    most=float(self._most[name]),
                    low=low,
                    high=high,
                    counts=tuple(self._counts[name].tolist()),
                )
        return found
