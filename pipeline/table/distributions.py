"""Histograms of the quality signals of a run's rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from pydantic import Field

from pipeline.settings import Settings

RANGES = {
    "score": (-5.0, 0.0),
    "length_ratio": (0.0, 3.0),
    "repetition": (0.0, 1.0),
    "copy_rate": (0.0, 1.0),
    "unknown_rate": (0.0, 1.0),
}
"""The quality signals whose distribution a run records, with the range of the histogram."""


_N_BINS = 50


class Distribution(Settings):
    """The distribution of a quality signal over the rows that have it.

    The histogram has bins of equal width. Values outside of its range are counted in the first or
    last bin.
    """

    n_rows: int
    mean: float
    minimum: float
    maximum: float
    range_low: float = Field(description="lower edge of the first bin")
    range_high: float = Field(description="upper edge of the last bin")
    counts: tuple[int, ...] = Field(description="rows in each bin")


class DistributionBuilder:
    """Computes the distributions of the quality signals, one table at a time."""

    def __init__(self) -> None:
        self._counts = {name: np.zeros(_N_BINS, np.int64) for name in RANGES}
        self._sums = dict.fromkeys(RANGES, 0.0)
        self._minima = dict.fromkeys(RANGES, np.inf)
        self._maxima = dict.fromkeys(RANGES, -np.inf)

    def add(self, table: pa.Table) -> None:
        """Add the rows of a table. It has a column for each signal; nulls are not counted."""
        for name, (low, high) in RANGES.items():
            values = table[name].drop_null().to_numpy()
            if len(values):
                clipped = np.clip(values, low, high)
                self._counts[name] += np.histogram(clipped, _N_BINS, (low, high))[0]
                self._sums[name] += float(values.sum())
                self._minima[name] = min(self._minima[name], float(values.min()))
                self._maxima[name] = max(self._maxima[name], float(values.max()))

    def distributions(self) -> dict[str, Distribution]:
        """The distribution of each signal, by name. Signals that no row has are left out."""
        distributions = {}
        for name, (low, high) in RANGES.items():
            n_rows = int(self._counts[name].sum())
            if n_rows:
                distributions[name] = Distribution(
                    n_rows=n_rows,
                    mean=self._sums[name] / n_rows,
                    minimum=float(self._minima[name]),
                    maximum=float(self._maxima[name]),
                    range_low=low,
                    range_high=high,
                    counts=tuple(self._counts[name].tolist()),
                )
        return distributions
