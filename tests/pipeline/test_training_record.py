"""The record of a training run: bundles of other releases, and damaged files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lingo_model import InputError
from pipeline.training_record import EvaluationPoint, TrainingRecord

FIXTURE = Path(__file__).parents[1] / "fixtures/bundle-v1"


def load(folder: Path, values: Any) -> TrainingRecord:
    (folder / "training.json").write_text(json.dumps(values))
    return TrainingRecord.load(folder)


def test_a_record_with_other_or_missing_keys_loads(tmp_path: Path) -> None:
    assert TrainingRecord.load(tmp_path) == TrainingRecord.load(FIXTURE) == TrainingRecord()
    assert load(tmp_path, {"steps": 7}) == TrainingRecord()
    old = {"n_steps": 7, "recipe": {"n_lanes": 2}, "history": [{"step": 5, "bleu": 1.0}, {}]}
    assert load(tmp_path, old) == TrainingRecord(
        n_steps=7, recipe={"n_lanes": 2}, history=(EvaluationPoint(step=5), EvaluationPoint())
    )


def test_a_record_survives_json(tmp_path: Path) -> None:
    point = EvaluationPoint(step=5, epoch=0, valid_loss=float("inf"), valid_bleu=1.5)
    record = TrainingRecord(corpus=("a.tsv",), n_steps=5, history=(point,))

    assert load(tmp_path, record.model_dump()) == record


def test_a_value_of_another_type_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        load(tmp_path, {"n_steps": "many"})
    assert str(error.value).startswith(f"{tmp_path / 'training.json'}: n_steps='many': ")
