"""Translating one unit: what each actor does. Knows nothing of Ray.

Reads: a range of rows of one input file. Writes, in the run's staging folder:
``part-<unit>.parquet``, the rows that could not be translated in ``_quarantine/`` beside it, and
the segments that were decoded in ``_memory/``; or a mark in ``_deferred/``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from lingo_model import InputError, load_bundle
from pipeline.documents.document_translator import DocumentTranslator, TranslatedText
from pipeline.documents.translation_memory import TranslationMemory, write_memory
from pipeline.formats.rows import MALFORMED
from pipeline.lake.files import is_unchanged
from pipeline.lake.range_reader import RangeReader, RowRange
from pipeline.schemas import FAILED, QUARANTINE_COLUMNS, TOO_LONG, TRANSLATION_COLUMNS
from pipeline.storage.files import stamp_of, write_bytes, write_parquet
from pipeline.storage.hashing import sha256_of_file
from pipeline.storage.local_copies import LocalCopies
from pipeline.storage.location import Location
from pipeline.table.manifest import DEFERRED_FOLDER, MEMORY_FOLDER, QUARANTINE_FOLDER, RunPlan, Unit
from pipeline.translate.config import TranslateConfig
from pipeline.translate.input_columns import planned_schema
from pipeline.translate.output_columns import _EXPLAINED, _beside, explain
from pipeline.translate.planning import input_root
from pipeline.translate.row_ids import ROW_ID, position_id, row_id, source_hash


class UnitTranslator:
    """One model replica and a run's plan; translates the units it is given.

    Args:
        staged: the run's folder while it is worked on. data: where the table's published runs are.
    """

    def __init__(self, staged: Location, data: Location, plan: RunPlan, model: Path) -> None:
        torch.set_num_threads(1)  # one replica a core: more than one thread each would fight
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._staged = staged
        self._plan = plan
        self._config = TranslateConfig.model_validate(plan.settings)
        self._root = input_root(plan)
        self._files = {file.path: file for file in plan.files}
        self._verified: set[str] = set()
        schema = planned_schema(plan)
        if plan.retry_of is not None:
            schema = schema.append(pa.field(ROW_ID, pa.string()))
        self._copies = LocalCopies(self._root)
        self._reader = RangeReader(self._copies, self._config.rename, schema)
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
        )

    def translate(self, unit: Unit) -> int | None:
        """Translate a unit and write its files; a unit whose file is there already is done.

        Returns:
            how many of its rows failed now; None where the input file is not what the plan saw,
            so that the unit is deferred.
        """
        part = self._staged / unit.file_name
        if stamp_of(part) is not None:
            return 0
        rows = self._rows(unit)
        if rows is None:
            write_bytes(self._staged / DEFERRED_FOLDER / unit.file_name, b"")
            return None
        texts: list[str | None] = rows.table[self._config.text_column].to_pylist()
        problems = self._problems(texts, rows)
        good = [i for i, problem in enumerate(problems) if problem is None]
        found, decoded = self._documents.translate([texts[i] or "" for i in good])
        failed = {i: one.failure for i, one in zip(good, found, strict=True) if one.failure}
        if stamp_of(part) is not None:
            return 0  # on S3, another process that goes on with the run has done it meanwhile
        if self._config.reuse:
            write_memory(self._staged / MEMORY_FOLDER / unit.file_name, decoded)
        ids = self._row_ids(unit, rows)
        columns_in = rows.table
        if self._plan.retry_of is not None:
            columns_in = columns_in.drop_columns([ROW_ID])
        bad = [i for i in range(len(texts)) if problems[i] is not None or i in failed]
        quarantine = self._staged / QUARANTINE_FOLDER / unit.file_name
        if not bad:
            quarantine.unlink(missing_ok=True)  # an actor that died may have found rows that failed
        else:
            columns: dict[str, Any] = {
                "row_id": [ids[i] for i in bad],
                "reason": [problems[i] or FAILED for i in bad],
                "detail": [failed.get(i) for i in bad],
            }
            write_parquet(quarantine, _beside(columns_in.take(bad), columns, QUARANTINE_COLUMNS))
        kept = [(i, one) for i, one in zip(good, found, strict=True) if i not in failed]
        columns = self._columns(
            [ids[i] for i, _ in kept], [texts[i] for i, _ in kept], [one for _, one in kept]
        )
        # Last: this file says that the unit is done.
        table = columns_in.take(pa.array([i for i, _ in kept], pa.int64())) if bad else columns_in
        write_parquet(part, _beside(table, columns, TRANSLATION_COLUMNS))
        return len(failed)

    def _rows(self, unit: Unit) -> RowRange | None:
        """The unit's rows, or None where its file is not what the plan saw.

        Size and time are looked at before and after each range, the content once by each actor.
        """
        file = self._files[unit.path]
        if not is_unchanged(self._root, file):
            return None
        try:
            if unit.path not in self._verified:
                if sha256_of_file(self._copies.path(unit.path)) != file.sha256:
                    return None
                self._verified.add(unit.path)
            rows = self._reader.read(unit.path, unit.first_row, unit.n_rows)
        except (InputError, OSError, pa.ArrowException):
            if is_unchanged(self._root, file):
                raise
            return None  # it went while it was read
        finally:
            if not is_unchanged(self._root, file):
                self._reader.forget()
        return rows if is_unchanged(self._root, file) else None

    def _row_ids(self, unit: Unit, rows: RowRange) -> list[str]:
        numbers = range(unit.first_row, unit.first_row + unit.n_rows)
        if self._config.id_column is None:
            return [position_id(unit.path, row) for row in numbers]
        values = rows.table[self._config.id_column].to_pylist()
        return [
            row_id(None if problem == MALFORMED else value, unit.path, row)
            for value, problem, row in zip(values, rows.problems, numbers, strict=True)
        ]

    def _problems(self, texts: list[str | None], rows: RowRange) -> list[str | None]:
        most = self._config.max_source_characters
        return [
            TOO_LONG if problem is None and text is not None and len(text) > most else problem
            for text, problem in zip(texts, rows.problems, strict=True)
        ]

    def _columns(
        self, ids: list[str], texts: list[str | None], found: list[TranslatedText]
    ) -> dict[str, list[Any]]:
        """TRANSLATION_COLUMNS of the rows that are kept."""
        same = {
            "source_lang": self._plan.source_lang,
            "target_lang": self._plan.target_lang,
            "model_id": self._plan.model_id,
        }
        explained = [
            explain(text or "", translated) for text, translated in zip(texts, found, strict=True)
        ]
        return {
            "translation": [
                None if text is None else one.text for text, one in zip(texts, found, strict=True)
            ],
            "row_id": ids,
            "source_hash": [None if text is None else source_hash(text) for text in texts],
            **{name: [value] * len(ids) for name, value in same.items()},
            **{name: [row[name] for row in explained] for name in _EXPLAINED},
        }
