"""Translating one unit: what each actor does. Knows nothing of Ray.

Reads: a range of rows of one input file. Writes: ``part-<unit>.parquet`` in the run's staging
folder, and the rows that could not be translated in ``_quarantine/`` beside it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from lingo_model import Translation, load_bundle
from pipeline.lake import RowRange, is_unchanged, read_range
from pipeline.schemas import QUARANTINE_COLUMNS, TRANSLATION_COLUMNS
from pipeline.storage import write_parquet
from pipeline.table import QUARANTINE, RunPlan, Unit
from pipeline.units import TranslateConfig, input_root, planned_schema, row_ids, source_hash

TRANSLATED, PASSED_THROUGH = "translated", "passed_through"


@dataclasses.dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of one row: a reason for quarantine, or a status, and what was decoded."""

    reason: str | None
    status: str
    translation: Translation | None


class UnitTranslator:
    """One model replica and a run's plan; translates the units it is given."""

    def __init__(self, staged: Path, plan: RunPlan, model: Path) -> None:
        torch.set_num_threads(1)  # one replica a core: more than one thread each would fight
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._staged = staged
        self._plan = plan
        self._config = TranslateConfig.model_validate(plan.settings)
        self._root = input_root(plan)
        self._schema = planned_schema(plan)
        self._files = {file.path: file for file in plan.files}
        self._translator = self._config.decode.translator(load_bundle(model, device=device))

    def translate(self, unit: Unit) -> bool:
        """Translate a unit and write its files; a unit whose file is there already is done.

        Returns:
            False where the input file is not what the plan saw: nothing is written then.
        """
        part = self._staged / unit.file_name
        if part.exists():
            return True
        file = self._files[unit.path]
        if not is_unchanged(self._root, file):
            return False
        rows = read_range(
            self._root / unit.path,
            self._config.rename,
            self._schema,
            unit.first_row,
            unit.n_rows,
        )
        if not is_unchanged(self._root, file):
            return False
        ids = self._row_ids(unit, rows.table)
        outcomes = self._outcomes(rows)
        quarantined = [i for i, outcome in enumerate(outcomes) if outcome.reason is not None]
        if quarantined:
            # Before the part file: that one says that the unit is done.
            write_parquet(
                self._staged / QUARANTINE / unit.file_name,
                _quarantine_table(rows.table, ids, outcomes, quarantined),
            )
        kept = [i for i, outcome in enumerate(outcomes) if outcome.reason is None]
        write_parquet(part, self._translation_table(rows.table, ids, outcomes, kept))
        return True

    def _row_ids(self, unit: Unit, table: pa.Table) -> list[str]:
        if self._config.id_column is None:
            return row_ids(unit)
        return [str(value) for value in table[self._config.id_column].to_pylist()]

    def _outcomes(self, rows: RowRange) -> list[_Outcome]:
        texts: list[str | None] = rows.table[self._config.text_column].to_pylist()
        outcomes: list[_Outcome] = []
        for text, problem in zip(texts, rows.problems, strict=True):
            if problem is None and len(text or "") > self._config.max_source_characters:
                problem = "too_long"
            status = TRANSLATED if has_language(text) else PASSED_THROUGH
            outcomes.append(_Outcome(problem, status, None))
        to_decode = [
            i
            for i, outcome in enumerate(outcomes)
            if outcome.reason is None and outcome.status == TRANSLATED
        ]
        sources = self._translator.sources([texts[i] or "" for i in to_decode])
        most = self._translator.search.max_source_tokens
        for i, source in zip(to_decode, sources, strict=True):
            if len(source) > most:
                outcomes[i] = dataclasses.replace(outcomes[i], reason="too_long")
        short = [
            (i, source) for i, source in zip(to_decode, sources, strict=True) if len(source) <= most
        ]
        found = self._translator.translate_sources([source for _, source in short])
        for (i, _), translation in zip(short, found, strict=True):
            outcomes[i] = dataclasses.replace(outcomes[i], translation=translation)
        return outcomes

    def _translation_table(
        self, table: pa.Table, ids: list[str], outcomes: list[_Outcome], kept: Sequence[int]
    ) -> pa.Table:
        texts: list[str | None] = table[self._config.text_column].take(list(kept)).to_pylist()
        found = [outcomes[i].translation for i in kept]
        columns = {
            "translation": [
                translation.text if translation else text
                for translation, text in zip(found, texts, strict=True)
            ],
            "score": [t.score if t else None for t in found],
            "n_source_tokens": [t.n_source_tokens if t else None for t in found],
            "n_target_tokens": [t.n_target_tokens if t else None for t in found],
            "status": [outcomes[i].status for i in kept],
            "row_id": [ids[i] for i in kept],
            "source_hash": [None if text is None else source_hash(text) for text in texts],
            "source_lang": [self._plan.source_lang] * len(kept),
            "target_lang": [self._plan.target_lang] * len(kept),
            "model_id": [self._plan.model_id] * len(kept),
        }
        return _beside(table.take(list(kept)), columns, TRANSLATION_COLUMNS)


def has_language(text: str | None) -> bool:
    """Whether there is a letter to translate; numbers and punctuation are the same everywhere."""
    return text is not None and any(character.isalpha() for character in text)


def _quarantine_table(
    table: pa.Table, ids: list[str], outcomes: list[_Outcome], rows: list[int]
) -> pa.Table:
    columns = {
        "row_id": [ids[i] for i in rows],
        "reason": [outcomes[i].reason for i in rows],
    }
    return _beside(table.take(rows), columns, QUARANTINE_COLUMNS)


def _beside(table: pa.Table, columns: Mapping[str, Any], schema: pa.Schema) -> pa.Table:
    """The input's columns, then ours."""
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(
        [*table.columns, *arrays], schema=pa.schema([*table.schema, *schema])
    )
