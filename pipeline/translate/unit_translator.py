"""Translates one unit. Actors call it; it does not import Ray.

Reads: a range of rows of one input file.
Writes, in the run's staging folder:

    part-<unit>.parquet                 translated rows
    _quarantine/part-<unit>.parquet     rows that could not be translated, with the reason
    _memory/part-<unit>.parquet         segments that this unit decoded
    _deferred/part-<unit>.parquet       empty; the unit's file changed, so the unit is deferred
"""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import torch

from lingo_model import InputError, load_bundle
from pipeline.documents.document_translator import DocumentTranslator
from pipeline.documents.translation_memory import TranslationMemory, write_memory
from pipeline.formats.rows import MALFORMED
from pipeline.lake.files import is_unchanged
from pipeline.lake.range_reader import RangeReader, RowRange
from pipeline.schemas import FAILED, PLACE_COLUMNS, TOO_LONG
from pipeline.storage.files import stamp_of, write_bytes, write_parquet
from pipeline.storage.hashing import sha256_of_file
from pipeline.storage.local_copies import LocalCopies
from pipeline.storage.location import Location
from pipeline.table.manifest import (
    DEFERRED_FOLDER,
    MEMORY_FOLDER,
    QUARANTINE_FOLDER,
    RunPlan,
    Unit,
)
from pipeline.translate.input_columns import input_root, planned_schema
from pipeline.translate.output_columns import quarantine_table, translation_table
from pipeline.translate.retry_rows import retry_fields
from pipeline.translate.row_ids import position_id, row_id
from pipeline.translate.row_outcome import Place, RowOutcome
from pipeline.translate.run_config import run_config, selection_of


@dataclasses.dataclass(frozen=True, slots=True)
class UnitResult:
    """How a unit ended."""

    n_failed: int = 0
    is_deferred: bool = False


class UnitTranslator:
    """Holds one model replica and translates units of a run's plan.

    Args:
        staged: the folder in which the run is built.
        data: the folder of the table's published runs.
        plan: the run's plan.
        model: the model's bundle.
    """

    def __init__(self, staged: Location, data: Location, plan: RunPlan, model: Path) -> None:
        torch.set_num_threads(1)  # there is one replica per core
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._staged = staged
        self._plan = plan
        self._config = run_config(plan)
        self._root = input_root(plan)
        self._files = {file.path: file for file in plan.files}
        self._verified_paths: set[str] = set()
        schema = planned_schema(plan)
        self._retry_fields = retry_fields(schema) if plan.retry_of is not None else []
        self._copies = LocalCopies(self._root)
        self._reader = RangeReader(
            self._copies, selection_of(self._config), pa.schema([*schema, *self._retry_fields])
        )
        translator = self._config.decode.translator(load_bundle(model, device=device))
        memory = None
        if self._config.reuse:
            published = [data / run / MEMORY_FOLDER for run in plan.memory_runs]
            memory = TranslationMemory(published, staged / MEMORY_FOLDER)
        self._documents = DocumentTranslator(
            translator,
            language=plan.source_lang,
            max_segment_tokens=min(
                self._config.max_segment_tokens, translator.search.max_source_tokens
            ),
            memory=memory,
            spans=self._config.spans,
            join_lines=self._config.join_lines,
        )

    def translate(self, unit: Unit) -> UnitResult:
        """Translate a unit and write its files. Does nothing if the unit is finished.

        The unit is deferred if its input file is not the file that the plan saw.
        """
        if self._is_finished(unit):
            return UnitResult()
        rows = self._read_rows(unit)
        if rows is None:
            write_bytes(self._staged / DEFERRED_FOLDER / unit.file_name, b"")
            return UnitResult(is_deferred=True)
        outcomes = self._outcomes(unit, rows)
        readable = [outcome for outcome in outcomes if outcome.reason is None]
        translations, decoded = self._documents.translate([row.text or "" for row in readable])
        for outcome, translated in zip(readable, translations, strict=True):
            if translated.failure is None:
                outcome.translated = translated
            else:
                outcome.reason, outcome.detail = FAILED, translated.failure
        # On S3 another process that works on the same run may have finished the unit meanwhile.
        if self._is_finished(unit):
            return UnitResult()
        if self._config.reuse:
            write_memory(self._staged / MEMORY_FOLDER / unit.file_name, decoded)
        self._write(unit, rows, outcomes)
        return UnitResult(n_failed=sum(outcome.reason == FAILED for outcome in outcomes))

    def _is_finished(self, unit: Unit) -> bool:
        return stamp_of(self._staged / unit.file_name) is not None

    def _read_rows(self, unit: Unit) -> RowRange | None:
        """The unit's rows, or None if its file is not the file that the plan saw.

        The stamp is compared before and after each range, the digest once per file and actor.
        """
        file = self._files[unit.path]
        if not is_unchanged(self._root, file):
            return None
        try:
            if unit.path not in self._verified_paths:
                if sha256_of_file(self._copies.path(unit.path)) != file.sha256:
                    return None
                self._verified_paths.add(unit.path)
            rows = self._reader.read(unit.path, unit.first_row, unit.n_rows)
        except (InputError, OSError, pa.ArrowException):
            if is_unchanged(self._root, file):
                raise
            return None  # the file changed or vanished while it was read
        finally:
            if not is_unchanged(self._root, file):
                self._reader.forget()
        return rows if is_unchanged(self._root, file) else None

    def _outcomes(self, unit: Unit, rows: RowRange) -> list[RowOutcome]:
        """The rows with their ids. Rows that cannot be translated have their reason already."""
        outcomes = []
        limit = self._config.max_source_characters
        texts: list[str | None] = rows.table[self._config.text_column].to_pylist()
        ids = self._row_ids(unit, rows)
        for text, problem, detail, identifier in zip(
            texts, rows.problems, rows.details, ids, strict=True
        ):
            if problem is None and text is not None and len(text) > limit:
                problem, detail = TOO_LONG, f"{len(text):,} characters, more than {limit:,}"
            outcomes.append(RowOutcome(identifier, text, problem, detail))
        return outcomes

    def _places(self, unit: Unit, rows: RowRange) -> list[Place]:
        """The place of each row in the lake. A retry's rows have theirs in columns."""
        if self._plan.retry_of is None:
            return [(unit.path, number) for number in rows.places]
        if not {*PLACE_COLUMNS} <= {field.name for field in self._retry_fields}:
            return [(None, None)] * unit.n_rows
        files, numbers = (rows.table[name].to_pylist() for name in PLACE_COLUMNS)
        return list(zip(files, numbers, strict=True))

    def _row_ids(self, unit: Unit, rows: RowRange) -> list[str]:
        numbers = range(unit.first_row, unit.first_row + unit.n_rows)
        if self._config.id_column is None:
            return [position_id(unit.path, row) for row in numbers]
        values = rows.table[self._config.id_column].to_pylist()
        return [
            row_id(None if problem == MALFORMED else value, unit.path, row)
            for value, problem, row in zip(values, rows.problems, numbers, strict=True)
        ]

    def _write(self, unit: Unit, rows: RowRange, outcomes: list[RowOutcome]) -> None:
        """Write the quarantine first and the translated rows last: their file marks the unit as
        finished."""
        table = rows.table.drop_columns([field.name for field in self._retry_fields])
        quarantined = [outcome for outcome in outcomes if outcome.reason is not None]
        quarantine_file = self._staged / QUARANTINE_FOLDER / unit.file_name
        translated_rows = table
        if quarantined:
            in_quarantine = pa.array([outcome.reason is not None for outcome in outcomes])
            places = itertools.compress(self._places(unit, rows), in_quarantine.to_pylist())
            write_parquet(
                quarantine_file,
                quarantine_table(table.filter(in_quarantine), quarantined, list(places)),
            )
            translated_rows = table.filter(pc.invert(in_quarantine))
        else:
            # An actor that died may have written one: a failed row may succeed the next time.
            quarantine_file.unlink(missing_ok=True)
        translated = [outcome for outcome in outcomes if outcome.reason is None]
        write_parquet(
            self._staged / unit.file_name,
            translation_table(translated_rows, translated, self._plan),
        )
