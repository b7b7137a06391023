"""The reading functions of :class:`Dataset`, for callers that hold a path and a manifest."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa

from pipeline.dataset.dataset import READ_ERRORS as UNREADABLE
from pipeline.dataset.dataset import Dataset, unreadable
from pipeline.dataset.manifest import DatasetManifest
from pipeline.dataset.splits import Split

__all__ = ["UNREADABLE", "read_encoded", "read_pairs", "unreadable"]


def read_pairs(path: Path, manifest: DatasetManifest, split: Split) -> pa.Table:
    """See :meth:`Dataset.pairs`."""
    return Dataset(path, manifest).pairs(split)


def read_encoded(path: Path, manifest: DatasetManifest, split: Split) -> pa.Table:
    """See :meth:`Dataset.encoded`."""
    return Dataset(path, manifest).encoded(split)
