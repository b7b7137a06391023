"""Whether a staged run holds every row of its input exactly once: read back, not remembered.

Reads: the input, and the staged files. Writes: nothing; removes staged units of files that changed.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import RunError
from pipeline.lake import is_unchanged
from pipeline.split import hash64
from pipeline.table import MEMORY, QUARANTINE, RowCounts, RunPlan, Unit
from pipeline.unit_work import FAILED, PASSED_THROUGH, REUSED, TRANSLATED
from pipeline.units import TranslateConfig, expected_row_ids, input_root


@dataclasses.dataclass(frozen=True)
class Reconciled:
    """What a staged run really holds."""

    emitted: tuple[Unit, ...]
    deferred: tuple[Unit, ...]
    rows: RowCounts
    row_id_digest: str


def reconcile(staged: Path, plan: RunPlan) -> Reconciled:
    """Compare the staged files with the input, row ids and counts.

    Units of a file that changed or vanished since the plan are withdrawn and returned as deferred.

    Raises:
        RunError: a unit is missing, its rows are not those of the input, or too many failed.
    """
    config = TranslateConfig.model_validate(plan.settings)
    root = input_root(plan)
    files = {file.path: file for file in plan.files}
    emitted: list[Unit] = []
    deferred: list[Unit] = []
    statuses: Counter[str] = Counter()
    total = n_failed = 0
    for path, group in itertools.groupby(plan.units, key=lambda unit: unit.path):
        units = list(group)
        unchanged = is_unchanged(root, files[path])
        expected = iter(expected_row_ids(root, units, config) if unchanged else ())
        if not (unchanged and is_unchanged(root, files[path])):
            for unit in units:
                for folder in (staged, staged / QUARANTINE, staged / MEMORY):
                    (folder / unit.file_name).unlink(missing_ok=True)
            deferred += units
            continue
        for unit in units:
            ids, unit_statuses, n_unit_failed = _staged_rows(staged, unit)
            digest = row_id_digest(ids)
            if len(ids) != unit.n_rows or digest != row_id_digest(
                itertools.islice(expected, unit.n_rows)
            ):
                raise RunError(
                    f"{staged / unit.file_name}: holds {len(ids)} rows for the {unit.n_rows} of "
                    f"{unit.path} from row {unit.first_row}, or other ids; nothing was published: "
                    "remove the file and run the same command again"
                )
            total = (total + digest) % 2**64
            statuses += unit_statuses
            n_failed += n_unit_failed
        emitted += units
    n_input = sum(unit.n_rows for unit in emitted)
    rows = RowCounts(
        n_input=n_input,
        n_translated=statuses[TRANSLATED],
        n_reused=statuses[REUSED],
        n_passed_through=statuses[PASSED_THROUGH],
        n_quarantined=statuses[QUARANTINE],
    )
    if statuses.total() != n_input:
        raise RunError(f"{staged}: {dict(statuses)} rows do not add up to {n_input}")
    if n_failed > config.max_failed_share * n_input:
        raise RunError(
            f"{staged}: {n_failed:,} of {n_input:,} rows failed, more than max_failed_share="
            f"{config.max_failed_share}; nothing was published: {QUARANTINE}/ there says why. "
            "Discard the run with --abort, mend the cause and run again, or allow a larger share"
        )
    return Reconciled(tuple(emitted), tuple(deferred), rows, f"{total:016x}")


def row_id_digest(ids: Iterable[str]) -> int:
    """A digest that does not depend on order but on how often each id stands: sum of hashes."""
    return sum(map(hash64, ids)) % 2**64


def _staged_rows(staged: Path, unit: Unit) -> tuple[list[str], Counter[str], int]:
    """Row ids and statuses of a unit's files, quarantine included, and how many rows failed."""
    part, quarantine = staged / unit.file_name, staged / QUARANTINE / unit.file_name
    ids: list[str] = []
    statuses: Counter[str] = Counter()
    n_failed = 0
    try:
        if part.exists():
            table = pq.read_table(part, columns=["row_id", "status"], partitioning=None)
            ids += table["row_id"].to_pylist()
            statuses.update(table["status"].to_pylist())
        if quarantine.exists():
            table = pq.read_table(quarantine, columns=["row_id", "reason"], partitioning=None)
            n_failed = table["reason"].to_pylist().count(FAILED)
            ids += table["row_id"].to_pylist()
            statuses[QUARANTINE] += table.num_rows
    except (OSError, pa.ArrowInvalid) as error:
        raise RunError(
            f"{part}: not readable ({error}); remove it and run the same command again"
        ) from error
    return ids, statuses, n_failed
