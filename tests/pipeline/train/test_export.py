"""Names and summaries of trained models."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from pipeline.train.checkpoint import Checkpoint, RunState, save_checkpoint
from pipeline.train.export import derived_name, training_summary
from pipeline.train.recipe import TrainConfig

CONFIG = TrainConfig(n_data_shards=8)


def test_an_unfinished_run_keeps_its_derived_name_after_midnight(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = datetime.datetime(2026, 11, 22, 23, 59, tzinfo=datetime.UTC)
    after = before + datetime.timedelta(minutes=11)
    monkeypatch.setattr("pipeline.train.export.utc_now", lambda: before)
    begun = derived_name(dataset, CONFIG, tmp_path)
    save_checkpoint(tmp_path / "_runs" / begun, Checkpoint({}, {}, {}, {}, RunState(step=5)))
    monkeypatch.setattr("pipeline.train.export.utc_now", lambda: after)

    assert begun.endswith("-2026-11-22")
    assert derived_name(dataset, CONFIG, tmp_path) == begun
    other = CONFIG.model_copy(update={"seed": 2})
    assert derived_name(dataset, other, tmp_path).endswith("-2026-11-23")
    (tmp_path / begun).mkdir()  # finished
    assert derived_name(dataset, CONFIG, tmp_path).endswith("-2026-11-23")


def test_the_summary_of_a_bundle(tmp_path: Path) -> None:
    assert training_summary(tmp_path) == "not recorded"

    values = {
        "n_steps": 1258,
        "seconds": 125.4,
        "stopped_by": "patience",
        "best_step": 1200,
        "best_valid_bleu": 36.739,
        "n_parameters": 1_303_528,
    }
    (tmp_path / "training.json").write_text(json.dumps(values))

    # 125.4 s are 2.09 minutes.
    assert training_summary(tmp_path) == (
        "1,258 steps in 2.1 minutes, ended by patience; validation BLEU 36.74 at step 1,200; "
        "1,303,528 parameters"
    )
