"""A translation table on S3, which has neither a rename nor locks.

The files of a run go to their final keys. The run counts once its manifest exists, which is put
last and only if there is none (``If-None-Match: *``).

A run begins when its plan is put, only if there is none, under the number after the last published
run. A process that finds the number taken works on that run, too. Both processes write equal files,
and one manifest stays. Plans of published runs are kept, so that no number is given twice.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext, suppress

from lingo_model import InputError
from pipeline.errors import RunError
from pipeline.storage.files import files_in, json_bytes, remove_tree, stamp_of
from pipeline.storage.location import Location
from pipeline.storage.s3 import S3Path
from pipeline.table.manifest import (
    DEFERRED_FOLDER,
    PLAN,
    RUN_MANIFEST,
    RunHeader,
    RunManifest,
    RunPlan,
    run_number,
    run_path,
)
from pipeline.table.table import Table, files_of_run


class S3Table(Table):
    """A table on S3."""

    root: S3Path
    data: S3Path
    staging: S3Path

    def locked(self) -> AbstractContextManager[None]:
        """See :meth:`Table.locked`. Does nothing: every write is safe beside another process."""
        return nullcontext()

    def staged(self, run: RunHeader) -> S3Path:
        """See :meth:`Table.staged`. On S3 this is the run's final folder."""
        return self.data / run_path(run)

    def plan_file(self, run_id: str) -> S3Path:
        """See :meth:`Table.plan_file`."""
        return self.staging / f"{run_number(run_id):06d}" / PLAN

    def _unfinished_plan_file(self) -> S3Path | None:
        # Plans are listed before manifests. A run that is published between the two requests is
        # then seen as published.
        plans = files_in(self.staging, f"*/{PLAN}")
        manifests = files_in(self.data, f"run_date=*/run=*/{RUN_MANIFEST}")
        published = {run_number(file.parent.name.removeprefix("run=")) for file in manifests}
        for file in plans:
            if int(file.parent.name) not in published:
                return file
        return None

    def begin(self, plan: RunPlan) -> RunPlan:
        """See :meth:`Table.begin`."""
        file = self.plan_file(plan.run_id)
        if file.create(json_bytes(plan.model_dump(mode="json"))):
            return plan
        other = RunPlan.load(file)
        if stamp_of(self.staged(other) / RUN_MANIFEST) is not None:
            raise RunError(
                f"{self.root}: run {other.run_id} was published while this one was planned; run "
                "the same command again"
            )
        return other

    def publish(self, manifest: RunManifest) -> RunManifest:
        """See :meth:`Table.publish`."""
        staged = self.staged(manifest)
        file = staged / RUN_MANIFEST
        if not file.create(json_bytes(manifest.model_dump(mode="json"))):
            return RunManifest.load(file)
        self._withdraw(staged, manifest)
        remove_tree(staged / DEFERRED_FOLDER)
        remove_tree(self.scratch(manifest.run_id))
        return manifest

    def discard_unfinished(self) -> str | None:
        """See :meth:`Table.discard_unfinished`. No other process may work on the run."""
        plan = self._unfinished_plan_file()
        if plan is None:
            return None
        number = run_id = plan.parent.name
        with suppress(InputError):
            run_id = RunPlan.load(plan).run_id
        run_folders = {"/".join(name.split("/")[:2]) for name in self.data.files()}
        for folder in run_folders:
            if f"/run={number}-" in folder:
                remove_tree(self.data / folder)
        for scratch in {name.split("/")[0] for name in self.staging.files()}:
            if scratch.startswith(f"{number}-"):
                remove_tree(self.staging / scratch)
        plan.unlink(missing_ok=True)
        return run_id

    def orphan_files(self) -> dict[Location, int]:
        """See :meth:`Table.orphan_files`."""
        # Files are listed before plans, and plans before manifests. A file that a run writes
        # meanwhile is then not listed, or its run is known as unfinished or published.
        files = self.data.files()
        scratch_files = self.staging.files()
        unfinished = self.unfinished()
        known_files = {run_path(run): files_of_run(run) for run in self.published()}
        unfinished_id = "" if unfinished is None else unfinished.run_id
        orphans: dict[Location, int] = {}
        for name, stamp in files.items():
            run = "/".join(name.split("/")[:2])
            is_known = name.removeprefix(f"{run}/") in known_files.get(run, ())
            if not is_known and not run.endswith(f"/run={unfinished_id}"):
                orphans[self.data / name] = stamp.n_bytes
        for name, stamp in scratch_files.items():
            if not name.endswith(f"/{PLAN}") and name.split("/")[0] != unfinished_id:
                orphans[self.staging / name] = stamp.n_bytes
        return orphans
