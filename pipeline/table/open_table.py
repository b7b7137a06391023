"""Opens a translation table on a disk or on S3."""

from __future__ import annotations

from pipeline.storage.location import Location
from pipeline.storage.s3 import S3Path
from pipeline.table.disk_table import DiskTable
from pipeline.table.s3_table import S3Table
from pipeline.table.table import Table


def open_table(root: Location) -> Table:
    """The table in a folder. The folder need not exist."""
    return S3Table(root) if isinstance(root, S3Path) else DiskTable(root)
