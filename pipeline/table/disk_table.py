"""A translation table on a disk.

A run is built in ``_staging/RUN``. One rename makes it visible, so a reader sees a run whole or
not at all. A lock keeps a second writer out.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lingo_model import InputError
from lingo_model.atomic_files import LOCK, locked, sync_folder, sync_tree
from pipeline.storage.files import files_in, names_below, remove_tree, stamp_of, write_json
from pipeline.storage.location import Location
from pipeline.table.manifest import (
    DEFERRED_FOLDER,
    PLAN,
    RETRY_FOLDER,
    RUN_MANIFEST,
    RunHeader,
    RunManifest,
    RunPlan,
    run_path,
)
from pipeline.table.table import Table, files_of_run

_RUN_ID = re.compile(r"^(\d{6,})-[0-9a-f]{4}$")


class DiskTable(Table):
    """A table on a disk."""

    root: Path
    data: Path
    staging: Path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """See :meth:`Table.locked`. The folder of a table that stayed empty is removed.

        Raises:
            InputError: the folder cannot be written, or as in :meth:`Table.locked`.
        """
        with ExitStack() as stack:
            try:
                self.root.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(self.root))
            except OSError as error:
                raise InputError(
                    f"{self.root}: cannot be written ({error.strerror}); give write access to this "
                    "folder, or name another table"
                ) from error
            try:
                yield
            finally:
                if [path.name for path in self.root.iterdir()] == [LOCK]:
                    (self.root / LOCK).unlink()
                    self.root.rmdir()

    def staged(self, run: RunHeader) -> Path:
        """See :meth:`Table.staged`."""
        return self.staging / run.run_id

    def plan_file(self, run_id: str) -> Path:
        """See :meth:`Table.plan_file`."""
        return self.staging / run_id / PLAN

    def _unfinished_plan_file(self) -> Path | None:
        for folder in files_in(self.staging, "*"):
            if _RUN_ID.match(folder.name) and stamp_of(folder / PLAN) is not None:
                return folder / PLAN
        return None

    def begin(self, plan: RunPlan) -> RunPlan:
        """See :meth:`Table.begin`. Never raises RunError, because the table is locked."""
        write_json(self.plan_file(plan.run_id), plan.model_dump(mode="json"))
        return plan

    def publish(self, manifest: RunManifest) -> RunManifest:
        """See :meth:`Table.publish`."""
        staged = self.staged(manifest)
        self._withdraw(staged, manifest)
        write_json(staged / RUN_MANIFEST, manifest.model_dump(mode="json"))
        sync_tree(staged)
        final = self.data / run_path(manifest)
        final.parent.mkdir(parents=True, exist_ok=True)
        staged.rename(final)
        sync_folder(final.parent)
        # After the rename: a process that is killed before this leaves a run that is whole.
        for folder in (DEFERRED_FOLDER, RETRY_FOLDER):
            shutil.rmtree(final / folder, ignore_errors=True)
        (final / PLAN).unlink(missing_ok=True)
        return manifest

    def discard_unfinished(self) -> str | None:
        """See :meth:`Table.discard_unfinished`."""
        plan = self._unfinished_plan_file()
        if plan is None:
            return None
        remove_tree(plan.parent)
        return plan.parent.name

    def orphan_files(self) -> dict[Location, int]:
        """See :meth:`Table.orphan_files`."""
        return {path: _n_bytes(path) for path in sorted(self._orphans())}

    def _orphans(self) -> Iterator[Path]:
        for folder in files_in(self.staging, "*"):
            if stamp_of(folder / PLAN) is None:
                yield folder
            else:
                names = names_below(folder)
                yield from (folder / name for name in sorted(names) if _is_temporary(name))
        yield from files_in(self.root, ".*.tmp")
        published = {self.data / run_path(run): run for run in self.published()}
        for folder in files_in(self.data, "run_date=*/run=*"):
            if folder not in published:
                yield folder
                continue
            known_files = files_of_run(published[folder])
            for name in sorted(names_below(folder) - known_files):
                yield folder / name
            for name in (DEFERRED_FOLDER, RETRY_FOLDER):
                if (folder / name).is_dir() and not any((folder / name).iterdir()):
                    yield folder / name


def _n_bytes(path: Path) -> int:
    files = [path / name for name in names_below(path)] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files)


def _is_temporary(name: str) -> bool:
    last = name.rpartition("/")[2]
    return last.startswith(".") and last.endswith(".tmp")
