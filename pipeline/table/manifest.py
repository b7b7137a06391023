"""The files of a translation table, and the types of its manifests.

TABLE/
  _table.json                                          format version, languages, columns
  data/run_date=2026-11-22/run=000042-1f3a/part-<unit>.parquet
                                          /part-<run>.parquet        restored rows
                                          /_quarantine/part-<unit>.parquet
                                          /_memory/part-<unit>.parquet
                                          /_tombstones/part-<run>.parquet
                                          /_manifest.json
                                          /_report.html
  _staging/000042-1f3a/...                             the unfinished run
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
from pydantic import Field

from lingo_model import InputError
from pipeline.settings import Settings
from pipeline.storage.file_version import InputFile
from pipeline.storage.manifests import Manifest
from pipeline.table.distributions import Distribution

FORMAT_VERSION = 3
IDENTITY = "_table.json"
RUN_MANIFEST = "_manifest.json"
RUN_REPORT = "_report.html"
PLAN = "_plan.json"
QUARANTINE_FOLDER = "_quarantine"
MEMORY_FOLDER = "_memory"
TOMBSTONES_FOLDER = "_tombstones"
DEFERRED_FOLDER = "_deferred"
RETRY_FOLDER = "_retry"


PARTITIONS = pa.schema([("run_date", pa.date32()), ("run", pa.string())])
"""The partition columns of a table, which readers take from the paths."""


class TableIdentity(Manifest):
    """The properties that all runs of a table share. The content of ``_table.json``."""

    FORMAT_VERSION = FORMAT_VERSION
    WHAT = "a translation table"
    REMEDY = (
        "give the folder that `lingo translate` wrote, or a new one; its first run that has rows "
        "makes the table"
    )

    source_lang: str
    target_lang: str
    text_column: str
    id_column: str | None
    limit: int | None


class Unit(Settings):
    """A range of rows of one file. A unit is done exactly once."""

    unit_id: str = Field(description="hash of content_id and the model")
    content_id: str = Field(
        description="hash of the rows and of every setting that can change the output, "
        "except the model"
    )
    path: str
    first_row: int
    n_rows: int

    @property
    def file_name(self) -> str:
        """Name of the unit's Parquet file."""
        return f"part-{self.unit_id}.parquet"


class RowCounts(Settings):
    """Counts of a run's rows.

    ``n_input == n_translated + n_reused + n_passed_through + n_quarantined``.
    """

    n_input: int
    n_translated: int
    n_reused: int
    n_passed_through: int
    n_quarantined: int


class Lineage(Settings):
    """The origin of a run's translations, as recorded in the model's bundle."""

    model: str = Field(description="folder of the model")
    dataset_fingerprint: str = Field(
        description="fingerprint of the dataset that the model was trained on"
    )
    corpus: tuple[str, ...] = Field(description="the inputs of that dataset")


class SetAsideFile(Settings):
    """A file that a run did not read because it is bad. Its earlier rows stay."""

    path: str
    reason: str = Field(description="what is wrong with the file, and the remedy")


class CompactedPart(Settings):
    """A file that holds the rows of several units."""

    file_name: str
    units: tuple[tuple[str, int], ...] = Field(
        description="the id of each unit and the number of its rows in the file, in order"
    )


class RunHeader(Manifest):
    """The fields that a run's plan and its manifest share."""

    FORMAT_VERSION = FORMAT_VERSION

    run_id: str = Field(description="number and four random digits, such as 000042-1f3a")
    run_date: datetime.date = Field(description="day in UTC on which the run was planned")
    started_at: datetime.datetime
    input: str = Field(description="the lake, or the scratch folder of a retry")
    model_id: str
    lineage: Lineage
    source_lang: str
    target_lang: str
    settings: dict[str, Any] = Field(description="a TranslateConfig")
    settings_key: str = Field(
        description="hash of the settings that can change a row, except the model"
    )
    memory_key: str = Field(description="hash of the model and the decoding settings")
    schema_base64: str = Field(
        description="Arrow schema of the input columns, including the columns of earlier runs"
    )
    files: tuple[InputFile, ...] = Field(
        description="files that the run reads, or whose stamp differs from the table's record"
    )
    deleted_files: tuple[str, ...] = Field(
        description="files of the table that are deleted or empty now"
    )
    units: tuple[Unit, ...]
    n_units_skipped: int
    set_aside: tuple[SetAsideFile, ...] = Field(
        default=(), description="bad files that the run does not read"
    )
    retry_of: str | None = Field(
        default=None, description="the run whose quarantine is retried; null for a run over a lake"
    )


class RunPlan(RunHeader):
    """What a run does, fixed when it starts. The content of ``_plan.json``."""

    WHAT = "an unfinished run"
    REMEDY = "discard it with `lingo table abort`"

    memory_runs: tuple[str, ...] = Field(
        description="folders of the earlier runs whose translation memory is used"
    )


class RunManifest(RunHeader):
    """What a published run holds. The content of ``_manifest.json``.

    ``n_units_planned == n_units_skipped + n_units_deferred + n_units_emitted``.
    """

    WHAT = "a published run"
    REMEDY = "use the release that wrote it"

    finished_at: datetime.datetime
    units_deferred: tuple[Unit, ...] = Field(
        description="units left for the next run because their file changed meanwhile"
    )
    n_units_planned: int
    n_units_deferred: int
    n_units_emitted: int
    rows: RowCounts
    n_rows_deleted: int = Field(
        description="rows of earlier runs that are in no current version of any file"
    )
    n_rows_restored: int = Field(
        default=0,
        description="rows of earlier runs that are copied into this run, because a newer file no "
        "longer has their ids",
    )
    row_id_digest: str
    compacted: tuple[CompactedPart, ...] = Field(
        default=(), description="the files that replaced one file per unit, if any"
    )
    quarantined: dict[str, int] = Field(description="quarantined rows by reason")
    quality_signals: dict[str, Distribution] = Field(
        description="distribution of each quality signal over the rows"
    )
    n_placeholders_lost: int = Field(description="rows in which the model lost a placeholder")
    n_truncated: int = Field(description="rows that the length limit cut off")

    @property
    def rows_per_second(self) -> float | None:
        """Input rows divided by the time from start to end, interruptions included."""
        seconds = (self.finished_at - self.started_at).total_seconds()
        return self.rows.n_input / seconds if seconds > 0 and self.rows.n_input else None


def restored_file(run_id: str) -> str:
    """The file of a run that holds its restored rows, if there are any."""
    return f"part-{run_id}.parquet"


def run_number(run_id: str) -> int:
    """The number in a run's id."""
    return int(run_id.split("-", 1)[0])


def run_named(name: str, published: Iterable[RunManifest]) -> RunManifest:
    """Find a run by its id or its number.

    Raises:
        InputError: there is no such run. The message lists the runs of the table.
    """
    run_ids = []
    for run in published:
        if run.run_id == name or (name.isdecimal() and run_number(run.run_id) == int(name)):
            return run
        run_ids.append(run.run_id)
    raise InputError(f"run {name!r}: not in the table; its runs are {', '.join(run_ids) or 'none'}")


def run_path(run: RunHeader) -> str:
    """The folder of a published run, relative to ``data/``."""
    return f"run_date={run.run_date}/run={run.run_id}"


def schema_of(base64_text: str) -> pa.Schema:
    """Decode the Arrow schema in ``schema_base64`` of a plan or manifest."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(base64_text)))


def input_columns_of(runs: Sequence[RunManifest]) -> pa.Schema:
    """The input columns of a table, which are those of its newest run.

    Args:
        runs: the published runs, oldest first.
    """
    return schema_of(runs[-1].schema_base64) if runs else pa.schema([])
