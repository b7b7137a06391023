"""Columns of rows of different lengths, in few bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

_Values = npt.NDArray[Any]
_Lengths = npt.NDArray[np.int32]


class RaggedColumn:
    """Rows of numbers, one after the other in one array that grows.

    Takes the bytes of the values, and 12 bytes for each row. Python lists or Arrow tables that are
    reordered take several times as much.

    Args:
        dtype: the type of the values.
    """

    def __init__(self, dtype: npt.DTypeLike) -> None:
        self._dtype = np.dtype(dtype)
        self._values = bytearray()
        self._lengths = bytearray()
        self._ends: npt.NDArray[np.int64] | None = None

    def append(self, values: _Values, lengths: Sequence[int] | _Lengths) -> None:
        """Add rows.

        Args:
            values: the values of all rows, concatenated.
            lengths: the number of values of each row.
        """
        self._values += np.ascontiguousarray(values, self._dtype).data.cast("B")
        self._lengths += np.asarray(lengths, np.int32).data.cast("B")
        self._ends = None

    def __len__(self) -> int:
        return len(self._lengths) // np.dtype(np.int32).itemsize

    def take(self, rows: npt.NDArray[np.int64]) -> tuple[_Values, _Lengths]:
        """Some rows in the given order, in the form that :meth:`append` takes."""
        all_lengths = np.frombuffer(self._lengths, np.int32)
        if self._ends is None:
            self._ends = np.cumsum(all_lengths, dtype=np.int64)
        lengths = all_lengths[rows]
        starts = self._ends[rows] - lengths
        new_starts = np.cumsum(lengths, dtype=np.int64) - lengths
        positions = np.repeat(starts - new_starts, lengths) + np.arange(lengths.sum())
        return np.frombuffer(self._values, self._dtype)[positions], lengths
