"""Checkpoints: damaged files, and files of another release."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lingo_model import InputError
from pipeline.train.checkpoint import Checkpoint, RunState, load_checkpoint, save_checkpoint
from pipeline.training_record import EvaluationPoint


def write_checkpoint(training_dir: Path, step: int) -> Path:
    weights = {"weight": torch.arange(600, dtype=torch.float32)}
    state = RunState(step=step)
    save_checkpoint(training_dir, Checkpoint(weights, {}, {"moments": weights}, weights, state))
    return training_dir / "checkpoints" / f"step-{step:08d}.pt"


def test_a_checkpoint_loads_as_it_was_saved_and_the_last_two_are_kept(tmp_path: Path) -> None:
    history = [EvaluationPoint(step=5, valid_bleu=1.5), EvaluationPoint(step=9)]
    state = RunState(step=9, history=history, best_bleu=1.5, best_step=5, stopped_by="patience")
    for step in (3, 5):
        write_checkpoint(tmp_path, step)
    save_checkpoint(tmp_path, Checkpoint({}, {}, {}, {}, state))
    checkpoint = load_checkpoint(tmp_path)

    assert checkpoint is not None
    assert checkpoint.state == state
    names = sorted(file.name for file in (tmp_path / "checkpoints").iterdir())
    assert names == ["step-00000005.pt", "step-00000009.pt"]


def test_a_checkpoint_with_a_flipped_bit_is_refused_or_loads_unchanged(tmp_path: Path) -> None:
    file = write_checkpoint(tmp_path, 5)
    whole = file.read_bytes()
    weights = torch.arange(600, dtype=torch.float32)
    n_refused = 0
    for position in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        file.write_bytes(damaged)
        try:
            checkpoint = load_checkpoint(tmp_path)
        except InputError as error:
            assert "damaged checkpoint; remove it to start again" in str(error)
            n_refused += 1
        else:
            assert checkpoint is not None
            assert checkpoint.state == RunState(step=5)
            for part in (
                checkpoint.model["weight"],
                checkpoint.best["weight"],
                checkpoint.optimizer["moments"]["weight"],
            ):
                assert torch.equal(part, weights)
    assert n_refused > len(whole) / 7 / 2

    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged checkpoint"):
        load_checkpoint(tmp_path)


def test_a_damaged_checkpoint_is_named_with_the_one_before(tmp_path: Path) -> None:
    older, newer = (write_checkpoint(tmp_path, step) for step in (5, 10))
    newer.write_bytes(newer.read_bytes()[:1000])

    with pytest.raises(InputError, match=rf"{newer.name}: damaged.*continue from {older.name}"):
        load_checkpoint(tmp_path)


def test_a_checkpoint_of_another_release_is_refused(tmp_path: Path) -> None:
    file = write_checkpoint(tmp_path, 5)
    content = torch.load(file, weights_only=True)
    content["average"] = content.pop("ema_model")
    torch.save(content, file)

    with pytest.raises(InputError, match=rf"{file.name}: another release wrote this checkpoint"):
        load_checkpoint(tmp_path)
