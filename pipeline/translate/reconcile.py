"""Whether a staged run holds every row of its input exactly once: read back, not remembered.

Reads: the input, and the staged files. Writes: the retractions, beside the staged files.
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
    QUARANTINE_FOLDER,
    TOMBSTONES_FOLDER,
    RowCounts,
    RunPlan,
    Unit,
)
from pipeline.table.published_files import PublishedFile
from pipeline.translate.config import TranslateConfig
from pipeline.translate.planning import input_root
from pipeline.translate.row_ids import expected_row_ids
from pipeline.translate.tombstones import (
    PublishedRowIds,
    deleted_row_ids,
    is_still_deleted,
    read_row_ids,
    unit_files,
    without_moved_ids,
)


@dataclasses.dataclass(frozen=True)
class ReconcileResult:
    """What a staged run really holds; ``deleted_files`` are those of the plan that still are,
    ``quarantined`` counts rows by reason."""

    emitted: tuple[Unit, ...]
    deferred: tuple[Unit, ...]
    rows: RowCounts
    row_id_digest: str
    deleted_files: tuple[str, ...]
    n_rows_deleted: int
    quarantined: Counter[str]
    measures: dict[str, Distribution]
    n_placeholders_lost: int
    n_truncated: int


def reconcile(
    staged: Location, plan: RunPlan, data: Location, before: dict[str, PublishedFile]
) -> ReconcileResult:
    """Compare the staged files with the input, row ids and counts, and stage the retractions.

    Units of a file that changed or vanished since the plan are returned as deferred, whether they
    are staged or not.

    Args:
        data: where the published runs are. before: what they hold of each file.

    Raises:
        RunError: a unit is missing, its rows are not those of the input, or too many failed.
    """
    config = TranslateConfig.model_validate(plan.settings)
    root = input_root(plan)
    files = {file.path: file for file in plan.files}
    there = names_below(staged)
    emitted: list[Unit] = []
    deferred: list[Unit] = []
    gone: list[str] = []
    quarantined: list[str] = []
    statuses: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    tally = DistributionBuilder()
    published = PublishedRowIds(data)
    total = n_lost = n_truncated = 0
    for path, group in itertools.groupby(plan.units, key=lambda unit: unit.path):
        units = list(group)
        marked = any(f"{DEFERRED_FOLDER}/{unit.file_name}" in there for unit in units)
        digests = None
        if not marked and is_unchanged(root, files[path]):
            try:
                digests = _expected_digests(root, units, config)
                gone_of_file = deleted_row_ids(published, before.get(path), root, units, config)
            except (InputError, OSError, pa.ArrowException):
                if is_unchanged(root, files[path]):
                    raise
        if digests is None or not is_unchanged(root, files[path]):
            deferred += units
            continue
        for unit, expected in zip(units, digests, strict=True):
            rows = _staged_rows(staged, there, unit, tally)
            digest = row_id_digest([*rows.ids, *rows.quarantined])
            n_found = len(rows.ids) + len(rows.quarantined)
            if n_found != unit.n_rows or digest != expected:
                raise RunError(
                    f"{staged / unit.file_name}: holds {n_found} rows for the {unit.n_rows} of "
                    f"{unit.path} from row {unit.first_row}, or other ids; nothing was published: "
                    "remove the file and run the same command again"
                )
            total = (total + digest) % 2**64
            statuses += rows.statuses
            statuses[QUARANTINE_FOLDER] += len(rows.quarantined)
            reasons += rows.reasons
            n_lost += rows.n_placeholders_lost
            n_truncated += rows.n_truncated
            # An id of its own may have an earlier version in any file.
            if path in before or config.id_column is not None:
                quarantined += rows.quarantined
        emitted += units
        gone += gone_of_file
    deleted_files = tuple(
        path for path in plan.deleted_files if is_still_deleted(root, path, files.get(path))
    )
    for path in deleted_files:
        gone += deleted_row_ids(published, before[path], root, [], config)
    if config.id_column is not None and gone:
        replaced = {*deleted_files, *(unit.path for unit in emitted)}
        others = [file for path, file in before.items() if path not in replaced]
        now = (staged / name for unit in emitted for name in unit_files(unit) if name in there)
        elsewhere = itertools.chain.from_iterable(map(read_row_ids, now))
        gone = without_moved_ids(gone, itertools.chain(elsewhere, published.of(others)))
    n_input = sum(unit.n_rows for unit in emitted)
    counts = RowCounts(
        n_input=n_input,
        n_translated=statuses[TRANSLATED],
        n_reused=statuses[REUSED],
        n_passed_through=statuses[PASSED_THROUGH],
        n_quarantined=statuses[QUARANTINE_FOLDER],
    )
    if statuses.total() != n_input:
        raise RunError(f"{staged}: {dict(statuses)} rows do not add up to {n_input}")
    if reasons[FAILED] > config.max_failed_share * n_input:
        raise RunError(
            f"{staged}: {reasons[FAILED]:,} of {n_input:,} rows failed, more than max_failed_share="
            f"{config.max_failed_share}; nothing was published: {QUARANTINE_FOLDER}/ there says why. "
            "Discard the run with --abort, mend the cause and run again, or allow a larger share"
        )
    # Always, so that a query over all runs finds a file.
    write_parquet(
        staged / TOMBSTONES_FOLDER / f"part-{plan.run_id}.parquet",
        pa.table({"row_id": [*gone, *quarantined]}, schema=TOMBSTONES),
    )
    return ReconcileResult(
        tuple(emitted),
        tuple(deferred),
        counts,
        f"{total:016x}",
        deleted_files,
        len(gone),
        reasons,
        tally.distributions(),
        n_lost,
        n_truncated,
    )


def _expected_digests(root: Location, units: list[Unit], config: TranslateConfig) -> list[int]:
    """Of each unit of a file the digest of the row ids that it must give."""
    ids = expected_row_ids(root, units, config)
    return [row_id_digest(itertools.islice(ids, unit.n_rows)) for unit in units]


def row_id_digest(ids: Iterable[str]) -> int:
    """A digest that does not depend on order but on how often each id stands: sum of hashes."""
    return sum(map(hash64, ids)) % 2**64


@dataclasses.dataclass(slots=True)
class _StagedRows:
    """What a unit's files hold: row ids and statuses, ids of the quarantine and why."""

    ids: list[str] = dataclasses.field(default_factory=list)
    statuses: Counter[str] = dataclasses.field(default_factory=Counter)
    n_placeholders_lost: int = 0
    n_truncated: int = 0
    quarantined: list[str] = dataclasses.field(default_factory=list)
    reasons: Counter[str] = dataclasses.field(default_factory=Counter)


def _staged_rows(
    staged: Location, there: set[str], unit: Unit, tally: DistributionBuilder
) -> _StagedRows:
    """Read a unit's files back, of those that are ``there``, and tally its measures."""
    part, quarantine = unit_files(unit)
    found = _StagedRows()
    columns = ["row_id", "status", "placeholders_ok", "truncated", *RANGES]
    try:
        if part in there:
            table = read_parquet(staged / part, columns)
            found.ids = table["row_id"].to_pylist()
            found.statuses = Counter(table["status"].to_pylist())
            found.n_placeholders_lost = table["placeholders_ok"].to_pylist().count(False)
            found.n_truncated = pc.sum(table["truncated"]).as_py() or 0
            tally.add(table)
        if quarantine in there:
            table = read_parquet(staged / quarantine, ["row_id", "reason"])
            found.quarantined = table["row_id"].to_pylist()
            found.reasons = Counter(table["reason"].to_pylist())
    except (OSError, pa.ArrowInvalid) as error:
        raise RunError(
            f"{staged / part}: not readable ({error}); remove it and run the same command again"
        ) from error
    return found
