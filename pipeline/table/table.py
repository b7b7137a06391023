"""A translation table's folder: who may write to it, and how a run becomes visible.

:class:`~pipeline.table.disk_table.DiskTable` and :class:`~pipeline.table.s3_table.S3Table` are the
two kinds. Open a table with :func:`~pipeline.table.open_table.open_table`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable
from contextlib import AbstractContextManager

from lingo_model import InputError
from lingo_model.atomic_files import LOCK
from pipeline.storage.files import files_in, stamp_of, write_json
from pipeline.storage.location import Location
from pipeline.table.manifest import (
    IDENTITY,
    MEMORY_FOLDER,
    QUARANTINE_FOLDER,
    RUN_MANIFEST,
    RUN_REPORT,
    TOMBSTONES_FOLDER,
    RunHeader,
    RunManifest,
    RunPlan,
    TableIdentity,
    restored_file,
    run_number,
)


def new_run_id(published: Iterable[RunManifest]) -> str:
    """The number after the last run's, and four random hexadecimal digits.

    The digits keep the folders of two runs apart if both were given the same number, which
    happens when the first one was killed.
    """
    last = max((run_number(run.run_id) for run in published), default=0)
    return f"{last + 1:06d}-{os.urandom(2).hex()}"


class Table(ABC):
    """The folder of a translation table.

    Attributes:
        root: the table's folder.
        data: the folder of the published runs.
        staging: the folder of unfinished runs.
    """

    def __init__(self, root: Location) -> None:
        self.root = root
        self.data = root / "data"
        self.staging = root / "_staging"

    @abstractmethod
    def locked(self) -> AbstractContextManager[None]:
        """Lock the table for writing. The lock ends with the process. S3 has no locks.

        Raises:
            InputError: another process holds the lock; names that process.
        """

    @abstractmethod
    def staged(self, run: RunHeader) -> Location:
        """The folder in which a run is built."""

    @abstractmethod
    def plan_file(self, run_id: str) -> Location:
        """The file of an unfinished run's plan."""

    @abstractmethod
    def _unfinished_plan_file(self) -> Location | None:
        """The plan file of the unfinished run, if there is one."""

    @abstractmethod
    def begin(self, plan: RunPlan) -> RunPlan:
        """Make ``plan`` the table's unfinished run.

        Returns:
            the plan to work on. On S3 this is another process's plan if that process was first.

        Raises:
            RunError: a run was published after this one was planned.
        """

    @abstractmethod
    def publish(self, manifest: RunManifest) -> RunManifest:
        """Make a staged run visible, without its deferred units.

        Returns:
            the published manifest. On S3 this is another process's manifest if that process
            worked on the same run and was first.
        """

    @abstractmethod
    def discard_unfinished(self) -> str | None:
        """Delete the unfinished run with its plan, even if the plan is damaged.

        Returns:
            the run's id, or None if there is no unfinished run. On S3 a damaged plan gives the
            run's number.
        """

    @abstractmethod
    def orphan_files(self) -> dict[Location, int]:
        """Files and folders that no run refers to, with their sizes in bytes.

        Killed processes leave them. An unfinished run keeps its own files.
        """

    def unfinished(self) -> RunPlan | None:
        """The plan of the unfinished run, if there is one. Another process may be working on it.

        Raises:
            InputError: the plan is damaged or of another version.
        """
        file = self._unfinished_plan_file()
        return None if file is None else RunPlan.load(file)

    def scratch(self, run_id: str) -> Location:
        """The folder for files that only this run needs while it is built."""
        return self.staging / run_id

    def check_identity(self, identity: TableIdentity) -> None:
        """Compare ``identity`` with the table's own, if the table exists.

        Raises:
            InputError: the folder holds something else, or a table of another version or with
                another setting.
        """
        if stamp_of(self.root / IDENTITY) is None:
            if any(path.name != LOCK for path in files_in(self.root, "*")):
                raise InputError(
                    f"{self.root}: not empty and not a translation table; name another output"
                )
            return
        existing = TableIdentity.load(self.root / IDENTITY)
        for name, value in identity.model_dump().items():
            if (other := getattr(existing, name)) != value:
                raise InputError(
                    f"{self.root}: a table with {name}={other!r}, not {value!r}; "
                    "use the same setting or name another output"
                )

    def create(self, identity: TableIdentity) -> None:
        """Write the identity of a new table. Does nothing if the table exists."""
        if stamp_of(self.root / IDENTITY) is None:
            write_json(self.root / IDENTITY, identity.model_dump(mode="json"))

    def published(self) -> list[RunManifest]:
        """Manifests of all published runs, oldest first."""
        files = files_in(self.data, f"run_date=*/run=*/{RUN_MANIFEST}")
        return sorted(map(RunManifest.load, files), key=lambda run: run_number(run.run_id))

    def _withdraw(self, folder: Location, manifest: RunManifest) -> None:
        """Delete the files of deferred units."""
        for unit in manifest.units_deferred:
            for subfolder in (folder, folder / QUARANTINE_FOLDER, folder / MEMORY_FOLDER):
                (subfolder / unit.file_name).unlink(missing_ok=True)


def files_of_run(run: RunManifest) -> set[str]:
    """Every file that a published run may have, relative to its folder."""
    parts = {unit.file_name for unit in run.units}
    compacted = {part.file_name for part in run.compacted}
    restored = {restored_file(run.run_id)} if run.n_rows_restored else set()
    return (
        {RUN_MANIFEST, RUN_REPORT}
        | restored
        | {f"{folder}/part-{run.run_id}.parquet" for folder in (TOMBSTONES_FOLDER, MEMORY_FOLDER)}
        | (compacted or parts)
        | {f"{folder}/{part}" for folder in (QUARANTINE_FOLDER, MEMORY_FOLDER) for part in parts}
    )
