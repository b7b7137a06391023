"""Checks that a staged run holds every row of its input exactly once.

The staged files are read back; nothing that an actor reported is trusted.

Reads: the input, and the staged files.
Writes: the run's tombstones, beside the staged files.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable

import pyarrow as pa
import pyarrow.compute as pc

from lingo_model import InputError
from pipeline.errors import RunError
from pipeline.lake.files import is_unchanged
from pipeline.schemas import FAILED, PASSED_THROUGH, REUSED, TOMBSTONES, TRANSLATED
from pipeline.storage.files import names_below, read_parquet, write_parquet
from pipeline.storage.hashing import hash64
from pipeline.storage.location import Location
from pipeline.table.distributions import RANGES, Distribution, DistributionBuilder
from pipeline.table.manifest import (
    DEFERRED_FOLDER,
    TOMBSTONES_FOLDER,
    RowCounts,
    RunManifest,
    RunPlan,
    Unit,
)
from pipeline.table.published_files import published_files
from pipeline.translate.input_columns import input_root, planned_schema
from pipeline.translate.restored_rows import restore_rows
from pipeline.translate.row_ids import expected_row_ids
from pipeline.translate.run_config import run_config
from pipeline.translate.tombstones import (
    LostIds,
    PublishedRowIds,
    deleted_row_ids,
    is_still_deleted,
    read_row_ids,
    unit_files,
)
from pipeline.translate.translation_run import too_many_failed


@dataclasses.dataclass(frozen=True)
class ReconcileResult:
    """What a staged run holds, as counted on its files.

    Attributes:
        emitted: the units to publish.
        deferred: the units whose file changed or vanished since the run was planned.
        rows: counts of the emitted units' rows by status.
        row_id_digest: sum of the hashes of all row ids, 16 hexadecimal digits.
        deleted_files: the plan's deleted files that are still deleted or empty.
        n_rows_deleted: rows of earlier runs that are in no current version of any file.
        n_rows_restored: rows of earlier runs that are copied into this run.
        quarantined: quarantined rows by reason.
        quality_signals: distribution of each quality signal.
        n_placeholders_lost: rows in which the model lost a placeholder.
        n_truncated: rows that the length limit cut off.
    """

    emitted: tuple[Unit, ...]
    deferred: tuple[Unit, ...]
    rows: RowCounts
    row_id_digest: str
    deleted_files: tuple[str, ...]
    n_rows_deleted: int
    n_rows_restored: int
    quarantined: Counter[str]
    quality_signals: dict[str, Distribution]
    n_placeholders_lost: int
    n_truncated: int


def reconcile(
    staged: Location, plan: RunPlan, data: Location, earlier: list[RunManifest]
) -> ReconcileResult:
    """Compare the staged files with the input and stage the run's tombstones and restored rows.

    Args:
        staged: the folder in which the run is built.
        plan: the run's plan.
        data: the folder of the published runs.
        earlier: the manifests of the runs before this one, oldest first.

    Returns:
        what the run holds. All units of a file that changed or vanished since the run was planned
        are deferred, staged or not.

    Raises:
        RunError: a unit is missing, its rows are not the rows of the input, or too many rows
            failed.
    """
    reconciliation = _Reconciliation(staged, plan, data, earlier)
    for path, units in itertools.groupby(plan.units, key=lambda unit: unit.path):
        reconciliation.add_file(path, list(units))
    return reconciliation.result()


class _Reconciliation:
    """Adds up a staged run, file by file."""

    def __init__(
        self,
        staged: Location,
        plan: RunPlan,
        data: Location,
        earlier: list[RunManifest],
    ) -> None:
        self._staged = staged
        self._plan = plan
        self._data = data
        self._earlier = earlier
        self._published = published_files(earlier)
        self._config = run_config(plan)
        self._root = input_root(plan)
        self._input_files = {file.path: file for file in plan.files}
        self._staged_names = names_below(staged)
        self._table_ids = PublishedRowIds(data)
        self._emitted: list[Unit] = []
        self._deferred: list[Unit] = []
        self._lost_ids = LostIds()
        self._quarantined_ids: list[str] = []
        self._statuses: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._distributions = DistributionBuilder()
        self._digest = 0
        self._n_placeholders_lost = 0
        self._n_truncated = 0

    def add_file(self, path: str, units: list[Unit]) -> None:
        """Check the units of one file, or defer them if the file is not as the plan saw it."""
        expected = self._expected(path, units)
        if expected is None:
            self._deferred += units
            return
        digests, deleted_ids = expected
        for unit, digest in zip(units, digests, strict=True):
            self._add_unit(unit, digest)
        self._emitted += units
        if deleted_ids:
            self._lost_ids.add(deleted_ids, self._published[path].run.run_id)

    def _expected(self, path: str, units: list[Unit]) -> tuple[list[int], list[str]] | None:
        """The digest of the row ids that each unit must have, and the ids that the file lost.

        None if a unit was deferred, or if the file changed or vanished.
        """
        file = self._input_files[path]
        if any(f"{DEFERRED_FOLDER}/{unit.file_name}" in self._staged_names for unit in units):
            return None
        if not is_unchanged(self._root, file):
            return None
        try:
            ids = expected_row_ids(self._root, units, self._config)
            digests = [row_id_digest(itertools.islice(ids, unit.n_rows)) for unit in units]
            deleted_ids = deleted_row_ids(
                self._table_ids, self._published.get(path), self._root, units, self._config
            )
        except (InputError, OSError, pa.ArrowException):
            if is_unchanged(self._root, file):
                raise
            return None
        return (digests, deleted_ids) if is_unchanged(self._root, file) else None

    def _add_unit(self, unit: Unit, expected_digest: int) -> None:
        rows = self._read_unit(unit)
        digest = row_id_digest([*rows.ids, *rows.quarantined_ids])
        n_rows = len(rows.ids) + len(rows.quarantined_ids)
        if n_rows != unit.n_rows or digest != expected_digest:
            raise RunError(
                f"{self._staged / unit.file_name}: has {n_rows} rows for the {unit.n_rows} rows of "
                f"{unit.path} from row {unit.first_row}, or other row ids; nothing was published: "
                "remove this file and run the same command again"
            )
        self._digest = (self._digest + digest) % 2**64
        self._statuses += rows.statuses
        self._reasons += rows.reasons
        self._n_placeholders_lost += rows.n_placeholders_lost
        self._n_truncated += rows.n_truncated
        # A row with an id of its own may have an earlier version from any file.
        if unit.path in self._published or self._config.id_column is not None:
            self._quarantined_ids += rows.quarantined_ids

    def _read_unit(self, unit: Unit) -> _StagedRows:
        """Read a unit's files back and add its quality signals to the distributions."""
        part, quarantine = unit_files(unit)
        rows = _StagedRows()
        columns = ["row_id", "status", "placeholders_ok", "truncated", *RANGES]
        try:
            if part in self._staged_names:
                table = read_parquet(self._staged / part, columns)
                rows.ids = table["row_id"].to_pylist()
                rows.statuses = Counter(table["status"].to_pylist())
                rows.n_placeholders_lost = table["placeholders_ok"].to_pylist().count(False)
                rows.n_truncated = pc.sum(table["truncated"]).as_py() or 0
                self._distributions.add(table)
            if quarantine in self._staged_names:
                table = read_parquet(self._staged / quarantine, ["row_id", "reason"])
                rows.quarantined_ids = table["row_id"].to_pylist()
                rows.reasons = Counter(table["reason"].to_pylist())
        except (OSError, pa.ArrowInvalid) as error:
            raise RunError(
                f"{self._staged / part}: cannot be read ({error}); remove this file and run the "
                "same command again"
            ) from error
        return rows

    def result(self) -> ReconcileResult:
        """The whole run. Also writes its tombstones."""
        rows = self._row_counts()
        deleted_files = self._still_deleted_files()
        hidden = self._hidden_rows(deleted_files)
        deleted_ids = self._lost_ids.remaining()
        n_rows_restored, hidden_ids_in_quarantine = restore_rows(
            hidden,
            self._earlier,
            self._data,
            self._staged,
            self._plan.run_id,
            planned_schema(self._plan),
        )
        void_ids = [*deleted_ids, *hidden_ids_in_quarantine, *self._quarantined_ids]
        # Always written, so that a query over all runs finds a file.
        write_parquet(
            self._staged / TOMBSTONES_FOLDER / f"part-{self._plan.run_id}.parquet",
            pa.table({"row_id": void_ids}, schema=TOMBSTONES),
        )
        return ReconcileResult(
            emitted=tuple(self._emitted),
            deferred=tuple(self._deferred),
            rows=rows,
            row_id_digest=f"{self._digest:016x}",
            deleted_files=deleted_files,
            n_rows_deleted=len(deleted_ids),
            n_rows_restored=n_rows_restored,
            quarantined=self._reasons,
            quality_signals=self._distributions.distributions(),
            n_placeholders_lost=self._n_placeholders_lost,
            n_truncated=self._n_truncated,
        )

    def _row_counts(self) -> RowCounts:
        n_input = sum(unit.n_rows for unit in self._emitted)
        n_quarantined = self._reasons.total()
        if self._statuses.total() + n_quarantined != n_input:
            raise RunError(
                f"{self._staged}: {dict(self._statuses)} and {n_quarantined} quarantined rows do "
                f"not add up to {n_input}"
            )
        n_failed = self._reasons[FAILED]
        if n_failed > self._config.max_failed_share * n_input:
            raise RunError(too_many_failed(self._staged, self._config, n_failed, n_input))
        return RowCounts(
            n_input=n_input,
            n_translated=self._statuses[TRANSLATED],
            n_reused=self._statuses[REUSED],
            n_passed_through=self._statuses[PASSED_THROUGH],
            n_quarantined=n_quarantined,
        )

    def _still_deleted_files(self) -> tuple[str, ...]:
        return tuple(
            path
            for path in self._plan.deleted_files
            if is_still_deleted(self._root, path, self._input_files.get(path))
        )

    def _hidden_rows(self, deleted_files: tuple[str, ...]) -> dict[str, list[str]]:
        """Find the lost ids that other files have; see :meth:`LostIds.hidden_rows`."""
        for path in deleted_files:
            published = self._published[path]
            ids = deleted_row_ids(self._table_ids, published, self._root, [], self._config)
            self._lost_ids.add(ids, published.run.run_id)
        if self._config.id_column is None or not self._lost_ids.remaining():
            return {}
        new_parts = (
            self._staged / name
            for unit in self._emitted
            for name in unit_files(unit)
            if name in self._staged_names
        )
        self._lost_ids.drop(itertools.chain.from_iterable(map(read_row_ids, new_parts)))
        replaced = {*deleted_files, *(unit.path for unit in self._emitted)}
        other_files = [file for path, file in self._published.items() if path not in replaced]
        return self._lost_ids.hidden_rows(self._table_ids, other_files)


def row_id_digest(ids: Iterable[str]) -> int:
    """Sum of the 64-bit hashes of some ids, modulo 2**64.

    The order of the ids does not matter, and a missing and a repeated id cannot cancel out.
    """
    return sum(map(hash64, ids)) % 2**64


@dataclasses.dataclass(slots=True)
class _StagedRows:
    """The content of a unit's files."""

    ids: list[str] = dataclasses.field(default_factory=list)
    statuses: Counter[str] = dataclasses.field(default_factory=Counter)
    n_placeholders_lost: int = 0
    n_truncated: int = 0
    quarantined_ids: list[str] = dataclasses.field(default_factory=list)
    reasons: Counter[str] = dataclasses.field(default_factory=Counter)
