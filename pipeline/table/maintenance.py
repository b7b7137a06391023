"""Discards the unfinished run of a translation table, and deletes its orphan files.

Neither changes a published row or the view ``latest``.
"""

from __future__ import annotations

from pipeline.storage.files import remove_tree
from pipeline.storage.location import Location
from pipeline.table.manifest import IDENTITY, TableIdentity
from pipeline.table.open_table import open_table


def abort_unfinished(root: Location) -> str | None:
    """Discard a table's unfinished run, even if its plan is damaged.

    On S3, stop every other process that works on the run first.

    Returns:
        the run's id, or None if there is no unfinished run.

    Raises:
        InputError: ``root`` is not a table, or another process writes to it.
    """
    TableIdentity.load(root / IDENTITY)
    table = open_table(root)
    with table.locked():
        return table.discard_unfinished()


def remove_orphan_files(root: Location, *, dry_run: bool = False) -> dict[Location, int]:
    """Delete the files and folders that no run refers to, which killed processes leave behind.

    Args:
        root: the table's folder.
        dry_run: only list the orphans. Writes nothing, not even a lock, so the files that another
            process writes meanwhile may be listed, too.

    Returns:
        the orphans with their sizes in bytes.

    Raises:
        InputError: ``root`` is not a table, or another process writes to it.
    """
    TableIdentity.load(root / IDENTITY)
    table = open_table(root)
    if dry_run:
        return table.orphan_files()
    with table.locked():
        orphans = table.orphan_files()
        for path in orphans:
            remove_tree(path)
    return orphans
