"""A translation table's folder, here or on S3: who may write there, and how a run becomes visible.

On a disk, a run is written in ``_staging/RUN``, and one rename makes it visible; a lock keeps
writers apart. S3 knows neither. There a run's files go to their final keys, and its manifest, put
last and only where there is none, makes them count. A run begins when its plan is put, only where
there is none, under the number that follows the last published one; a second process that finds
the number taken goes on with that run, too: both write equal files, and one manifest stays.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from lingo_model import InputError
from pipeline.errors import RunError
from pipeline.storage.files import json_bytes, write_json
from pipeline.storage.folders import sync_folder, sync_tree
from pipeline.storage.location import Location, remove_tree, stamp_of
from pipeline.storage.s3 import S3Path
from pipeline.table.manifest import (
    DEFERRED,
    IDENTITY,
    MEMORY,
    PLAN,
    QUARANTINE,
    REPLAY,
    RUN_MANIFEST,
    RunManifest,
    RunPlan,
    TableIdentity,
    load_identity,
    load_plan,
    load_run,
    run_folder,
    run_number,
)

_LOCK = "_lock"


_RUN_NAME = re.compile(r"^(\d{6,})-[0-9a-f]{4}$")


def open_table(root: Location) -> Table:
    """The table of a folder, which need not exist yet."""
    return S3Table(root) if isinstance(root, S3Path) else LocalTable(root)


def new_run_name(published: Iterable[RunManifest]) -> str:
    """The number after the last run's, and four random digits that keep apart what crashes leave
    behind."""
    last = max((run_number(run.run) for run in published), default=0)
    return f"{last + 1:06d}-{os.urandom(2).hex()}"


class Table(ABC):
    """A translation table's folder. Make one with :func:`open_table`."""

    def __init__(self, root: Location) -> None:
        self.root = root
        self.data = root / "data"
        self.staging = root / "_staging"

    @abstractmethod
    def locked(self) -> AbstractContextManager[None]:
        """Hold the table for writing, where that can be; the lock goes with the process.

        Raises:
            InputError: another process holds it; names that process.
        """

    @abstractmethod
    def staged(self, run: RunPlan | RunManifest) -> Location:
        """Where a run's files are while it is worked on."""

    @abstractmethod
    def plan_file(self, run: str) -> Location:
        """Where an unfinished run's plan is."""

    def unfinished(self) -> RunPlan | None:
        """The plan of a run that was interrupted (or that another process works on), if any.

        Raises:
            InputError: the plan is damaged, or another version's.
        """
        file = self._unfinished_plan()
        return load_plan(file) if file is not None else None

    @abstractmethod
    def _unfinished_plan(self) -> Location | None:
        """The plan's file."""

    @abstractmethod
    def begin(self, plan: RunPlan) -> RunPlan:
        """Make a plan the table's unfinished run; returns the one to go on with, which may be that
        of another process that was first.

        Raises:
            RunError: a run was published since this one was planned.
        """

    @abstractmethod
    def publish(self, manifest: RunManifest) -> RunManifest:
        """Make a staged run visible, less the units that are deferred; returns the manifest that
        stands, which may be that of another process that worked on the same run."""

    @abstractmethod
    def discard_unfinished(self) -> str | None:
        """Delete what the unfinished run has staged, and its plan, which may be damaged; returns
        the run's name, of a damaged one on S3 its number, or None where there is none."""

    def scratch(self, run: str) -> Location:
        """Where a run may put what it alone needs."""
        return self.staging / run

    def check_identity(self, identity: TableIdentity) -> None:
        """Compare with the table's own identity, if it exists.

        Raises:
            InputError: not a table, another version's, or made with another setting.
        """
        if stamp_of(self.root / IDENTITY) is None:
            if self.root.exists() and any(path.name != _LOCK for path in self.root.iterdir()):
                raise InputError(
                    f"{self.root}: not empty and not a translation table; name another output"
                )
            return
        found = load_identity(self.root)
        for name, value in identity.model_dump().items():
            if (other := getattr(found, name)) != value:
                raise InputError(
                    f"{self.root}: a table with {name}={other!r}, not {value!r}; "
                    "use the same setting or name another output"
                )

    def create(self, identity: TableIdentity) -> None:
        """Write the identity of a new table; does nothing for one that exists."""
        if stamp_of(self.root / IDENTITY) is None:
            write_json(self.root / IDENTITY, identity.model_dump(mode="json"))

    def published(self) -> list[RunManifest]:
        """Manifests of all published runs, oldest first."""
        found = [load_run(file) for file in self.data.glob(f"run_date=*/run=*/{RUN_MANIFEST}")]
        return sorted(found, key=lambda manifest: run_number(manifest.run))

    def _withdraw(self, folder: Location, manifest: RunManifest) -> None:
        """Delete the files of units that are deferred."""
        for unit in manifest.units_deferred:
            for below in (folder, folder / QUARANTINE, folder / MEMORY):
                (below / unit.file_name).unlink(missing_ok=True)


class LocalTable(Table):
    """A table on a disk."""

    root: Path
    data: Path
    staging: Path

    @contextmanager
    def locked(self) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        lock = self.root / _LOCK
        with lock.open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise InputError(
                    f"{self.root}: another run writes to this table (process {holder}); "
                    "wait for it to end"
                ) from error
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            try:
                yield
            finally:
                if [path.name for path in self.root.iterdir()] == [_LOCK]:  # nothing came of it
                    lock.unlink()
                    self.root.rmdir()

    def staged(self, run: RunPlan | RunManifest) -> Path:
        return self.staging / run.run

    def plan_file(self, run: str) -> Path:
        return self.staging / run / PLAN

    def _unfinished_plan(self) -> Path | None:
        for folder in sorted(self.staging.glob("*")):
            if _RUN_NAME.match(folder.name) and (folder / PLAN).exists():
                return folder / PLAN
        return None

    def begin(self, plan: RunPlan) -> RunPlan:
        write_json(self.plan_file(plan.run), plan.model_dump(mode="json"))
        return plan

    def publish(self, manifest: RunManifest) -> RunManifest:
        # What only an unfinished run needs goes after the rename: killed in between, the run is
        # still whole.
        staged = self.staged(manifest)
        self._withdraw(staged, manifest)
        write_json(staged / RUN_MANIFEST, manifest.model_dump(mode="json"))
        sync_tree(staged)
        final = self.data / run_folder(manifest)
        final.parent.mkdir(parents=True, exist_ok=True)
        staged.rename(final)
        sync_folder(final.parent)
        for folder in (DEFERRED, REPLAY):
            shutil.rmtree(final / folder, ignore_errors=True)
        (final / PLAN).unlink(missing_ok=True)
        return manifest

    def discard_unfinished(self) -> str | None:
        plan = self._unfinished_plan()
        if plan is None:
            return None
        remove_tree(plan.parent)
        return plan.parent.name


class S3Table(Table):
    """A table on S3. The plans of published runs stay, so that no number is given twice."""

    root: S3Path
    data: S3Path
    staging: S3Path

    def locked(self) -> AbstractContextManager[None]:
        return nullcontext()

    def staged(self, run: RunPlan | RunManifest) -> S3Path:
        return self.data / run_folder(run)

    def plan_file(self, run: str) -> S3Path:
        return self.staging / f"{run_number(run):06d}" / PLAN

    def _unfinished_plan(self) -> S3Path | None:
        # Plans first: a run that is published in between is then found among the published.
        plans = sorted(self.staging.glob(f"*/{PLAN}"))
        published = {run_number(name) for name in self._published_names()}
        for file in plans:
            if int(file.parent.name) not in published:
                return file
        return None

    def _published_names(self) -> list[str]:
        manifests = self.data.glob(f"run_date=*/run=*/{RUN_MANIFEST}")
        return [file.parent.name.removeprefix("run=") for file in manifests]

    def begin(self, plan: RunPlan) -> RunPlan:
        file = self.plan_file(plan.run)
        if file.create(json_bytes(plan.model_dump(mode="json"))):
            return plan
        other = load_plan(file)
        if stamp_of(self.staged(other) / RUN_MANIFEST) is not None:
            raise RunError(
                f"{self.root}: run {other.run} was published while this one was planned; run the "
                "same command again"
            )
        return other

    def publish(self, manifest: RunManifest) -> RunManifest:
        staged = self.staged(manifest)
        file = staged / RUN_MANIFEST
        if not file.create(json_bytes(manifest.model_dump(mode="json"))):
            return load_run(file)
        self._withdraw(staged, manifest)
        remove_tree(staged / DEFERRED)
        remove_tree(self.scratch(manifest.run))
        return manifest

    def discard_unfinished(self) -> str | None:
        plan = self._unfinished_plan()
        if plan is None:
            return None
        number = name = plan.parent.name
        with suppress(InputError):
            name = load_plan(plan).run
        staged = {"/".join(file.split("/")[:2]) for file in self.data.files()}
        for folder in staged:
            if f"/run={number}-" in folder:
                remove_tree(self.data / folder)
        for scratch in {file.split("/")[0] for file in self.staging.files()}:
            if scratch.startswith(f"{number}-"):
                remove_tree(self.staging / scratch)
        plan.unlink(missing_ok=True)
        return name
