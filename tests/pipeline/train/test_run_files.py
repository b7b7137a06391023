"""The JSON files in the folder of an unfinished run."""

from __future__ import annotations

from pathlib import Path

import pytest

from lingo_model import InputError
from pipeline.errors import RunError
from pipeline.storage.files import write_json
from pipeline.train.checkpoint import Checkpoint, RunState, save_checkpoint
from pipeline.train.recipe import TrainConfig
from pipeline.train.run_files import (
    GAVE_UP,
    RUN,
    GaveUp,
    RunIdentity,
    check_not_given_up,
    claim_training_dir,
)

IDENTITY = RunIdentity.of(TrainConfig(), "dataset 1")


def write_checkpoint(training_dir: Path) -> None:
    save_checkpoint(training_dir, Checkpoint({}, {}, {}, {}, RunState(step=5)))


def test_a_folder_without_checkpoints_can_be_claimed_for_any_run(tmp_path: Path) -> None:
    other = RunIdentity.of(TrainConfig(seed=2), "dataset 1")
    for identity in (other, IDENTITY):
        claim_training_dir(tmp_path, identity)

    assert RunIdentity.model_validate_json((tmp_path / RUN).read_bytes()) == IDENTITY


@pytest.mark.parametrize(
    ("other", "key"),
    [
        (RunIdentity.of(TrainConfig(seed=2), "dataset 1"), "recipe"),
        (RunIdentity(recipe={"n_lanes": 4}, dataset_fingerprint="dataset 1"), "recipe"),
        (RunIdentity.of(TrainConfig(), "dataset 2"), "dataset_fingerprint"),
    ],
)
def test_a_folder_with_checkpoints_belongs_to_its_run(
    tmp_path: Path, other: RunIdentity, key: str
) -> None:
    claim_training_dir(tmp_path, other)
    write_checkpoint(tmp_path)

    claim_training_dir(tmp_path, other)
    with pytest.raises(InputError, match=f"an unfinished run with another {key}; finish it"):
        claim_training_dir(tmp_path, IDENTITY)


def test_the_reason_the_last_checkpoint_and_the_remedy_are_reported(tmp_path: Path) -> None:
    check_not_given_up(tmp_path)
    gave_up = GaveUp(reason="the disk is full", remedy="free disk space", retryable=True)
    write_json(tmp_path / GAVE_UP, gave_up.model_dump())

    with pytest.raises(RunError) as error:
        check_not_given_up(tmp_path)
    assert str(error.value) == (
        f"{tmp_path}: the disk is full; there is no checkpoint yet; free disk space"
    )
    assert error.value.retryable
    write_checkpoint(tmp_path)
    with pytest.raises(RunError, match=r"step-00000005\.pt is the last good checkpoint; free"):
        check_not_given_up(tmp_path)
