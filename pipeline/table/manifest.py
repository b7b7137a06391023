"""The translation table: where things lie, and what its manifests say.

TABLE/
  _table.json                                          format version, languages, columns
  data/run_date=2026-11-22/run=000042-1f3a/part-<unit>.parquet
                                          /_quarantine/part-<unit>.parquet
                                          /_memory/part-<unit>.parquet
                                          /_retracted/part-<run>.parquet
                                          /_manifest.json
                                          /_report.html
  _staging/000042-1f3a/...                             work in progress
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from lingo_model import InputError
from pipeline.settings import Settings
from pipeline.storage.file_version import InputFile
from pipeline.storage.location import Location
from pipeline.storage.manifests import load_manifest
from pipeline.table.distributions import Distribution

FORMAT_VERSION = 2


IDENTITY = "_table.json"


RUN_MANIFEST = "_manifest.json"


RUN_REPORT = "_report.html"


PLAN = "_plan.json"


QUARANTINE = "_quarantine"


MEMORY = "_memory"


RETRACTED = "_retracted"


DEFERRED = "_deferred"


REPLAY = "_replay"


class TableIdentity(Settings):
    """What every run of a table has in common; ``_table.json``."""

    format_version: int
    source_lang: str
    target_lang: str
    text_column: str
    id_column: str | None
    limit: int | None


class Unit(Settings):
    """A row range of one file. ``content_id`` hashes the rows and every setting but the model that
    can change the output, ``unit_id`` the model too."""

    unit_id: str
    content_id: str
    path: str
    first_row: int
    n_rows: int

    @property
    def file_name(self) -> str:
        """Name of the unit's Parquet file."""
        return f"part-{self.unit_id}.parquet"


class RowCounts(Settings):
    """``n_input == n_translated + n_reused + n_passed_through + n_quarantined``."""

    n_input: int
    n_translated: int
    n_reused: int
    n_passed_through: int
    n_quarantined: int


class Lineage(Settings):
    """Where a run's translations come from: the model's folder, the fingerprint of the dataset that
    it learnt, and the inputs of that dataset, as far as the model says."""

    model: str
    dataset_fingerprint: str
    corpus: tuple[str, ...]


class CompactedPart(Settings):
    """A file that holds the rows of several units: ids and numbers of rows, in order."""

    file_name: str
    units: tuple[tuple[str, int], ...]


class RunPlan(Settings):
    """What a run does, fixed when it starts; ``_plan.json`` in staging.

    ``settings_key`` tells apart the settings, the model aside, that can change a row;
    ``memory_key`` models and decode settings; ``memory_runs`` are the folders of earlier runs of
    the same memory key. ``files`` are those that are not as the table knows them, and those of the
    units; ``files_gone`` those of the table that are there no more, or empty. ``schema_base64`` is
    the Arrow schema of the input columns, those of earlier runs included. ``replay_of`` names the
    run whose quarantine is tried again, None for a run over the lake.
    """

    format_version: int
    run: str
    run_date: str
    started_at: str
    input: str
    model_id: str
    lineage: Lineage
    source_lang: str
    target_lang: str
    settings: dict[str, Any]
    settings_key: str
    memory_key: str
    memory_runs: tuple[str, ...]
    schema_base64: str
    files: tuple[InputFile, ...]
    files_gone: tuple[str, ...]
    units: tuple[Unit, ...]
    n_units_skipped: int
    replay_of: str | None = None


class RunManifest(Settings):
    """What a published run holds. ``n_units_planned`` = skipped + deferred + emitted.

    ``n_rows_retracted``: rows of earlier runs that stand in no newer version of their file, nor in
    another. ``compacted``: the files that took the place of one for each unit, if they did.
    ``quarantined`` counts rows by reason. ``measures``: how what rows say of themselves is spread;
    ``n_placeholders_lost`` and ``n_truncated`` count rows.
    """

    format_version: int
    run: str
    run_date: str
    started_at: str
    finished_at: str
    input: str
    model_id: str
    lineage: Lineage
    source_lang: str
    target_lang: str
    settings: dict[str, Any]
    settings_key: str
    memory_key: str
    schema_base64: str
    files: tuple[InputFile, ...]
    files_gone: tuple[str, ...]
    units: tuple[Unit, ...]
    units_deferred: tuple[Unit, ...]
    n_units_planned: int
    n_units_skipped: int
    n_units_deferred: int
    n_units_emitted: int
    rows: RowCounts
    n_rows_retracted: int
    row_id_digest: str
    replay_of: str | None = None
    compacted: tuple[CompactedPart, ...] = ()
    quarantined: dict[str, int]
    measures: dict[str, Distribution]
    n_placeholders_lost: int
    n_truncated: int

    @property
    def rows_per_second(self) -> float | None:
        """Rows translated a second from start to end, interruptions included."""
        started, finished = map(
            datetime.datetime.fromisoformat, (self.started_at, self.finished_at)
        )
        seconds = (finished - started).total_seconds()
        return self.rows.n_input / seconds if seconds > 0 and self.rows.n_input else None


def run_number(run: str) -> int:
    """The number in a run's name."""
    return int(run.split("-", 1)[0])


def run_named(name: str, published: Iterable[RunManifest]) -> RunManifest:
    """A run by its name or its number.

    Raises:
        InputError: no such run; names those that there are.
    """
    names = []
    for run in published:
        if run.run == name or (name.isdigit() and run_number(run.run) == int(name)):
            return run
        names.append(run.run)
    raise InputError(f"run {name!r}: not in the table; its runs are {', '.join(names) or 'none'}")


def run_folder(run: RunPlan | RunManifest) -> str:
    """Where a published run lies, below ``data/``."""
    return f"run_date={run.run_date}/run={run.run}"


def load_identity(root: Location) -> TableIdentity:
    """What a table says of itself.

    Raises:
        InputError: no translation table there, or one of another version.
    """
    return load_manifest(
        TableIdentity,
        root / IDENTITY,
        format_version=FORMAT_VERSION,
        what="a translation table",
        remedy="give the folder that `lingo translate` wrote, or a new one",
    )


def load_plan(file: Location) -> RunPlan:
    """The plan of an unfinished run.

    Raises:
        InputError: none there, or one of another version.
    """
    return load_manifest(
        RunPlan,
        file,
        format_version=FORMAT_VERSION,
        what="an unfinished run",
        remedy="discard it with --abort",
    )


def load_run(file: Location) -> RunManifest:
    """The manifest of a published run.

    Raises:
        InputError: none there, or one of another version.
    """
    return load_manifest(
        RunManifest,
        file,
        format_version=FORMAT_VERSION,
        what="a published run",
        remedy="use the release that wrote it",
    )


def schema_of(base64_text: str) -> pa.Schema:
    """The schema that a plan or manifest holds as text."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(base64_text)))
