"""Checkpoints of a training run. Each is one file with all that the run needs to continue.

TRAINING_DIR/checkpoints/step-00000500.pt     the last two are kept
"""

from __future__ import annotations

import dataclasses
import io
import math
import pickle
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import torch

from lingo_model import InputError
from pipeline.storage.files import write_bytes
from pipeline.training_record import EvaluationPoint

_N_KEPT = 2

# What reading a damaged file raises depends on which part is damaged.
_DAMAGE_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    pickle.UnpicklingError,
    RuntimeError,
    ValueError,
    EOFError,
)

STEP_COLUMNS = ("train_loss", "learning_rate", "gradient_norm", "n_target_tokens")
"""What is recorded of each step; ``train_loss`` is the mean loss of a target token, in nats."""


@dataclasses.dataclass
class RunState:
    """How far a run is.

    Attributes:
        step: number of optimiser steps done.
        history: every evaluation so far.
        steps: for each of STEP_COLUMNS one value a step. ``train_loss`` is filled at evaluations.
        best_bleu: highest BLEU on the validation split so far; -1 before the first evaluation.
        best_loss: validation loss (nats per target token) at ``best_step``.
        best_step: the step with the best weights.
        seconds: training time so far, over all attempts.
        stopped_by: empty while the run continues, then ``max_epochs``, ``patience`` or
            ``time_budget``.
    """

    step: int = 0
    history: list[EvaluationPoint] = dataclasses.field(default_factory=list)
    steps: dict[str, list[float]] = dataclasses.field(
        default_factory=lambda: {name: [] for name in STEP_COLUMNS}
    )
    best_bleu: float = -1.0
    best_loss: float = math.inf
    best_step: int = 0
    seconds: float = 0.0
    stopped_by: str = ""


@dataclasses.dataclass
class Checkpoint:
    """All that a run needs to continue.

    Attributes:
        model: weights of the model by name.
        ema_model: moving averages of the weights by name; empty if the recipe has none.
        optimizer: see ``WeightUpdate.state``.
        best: weights with the best BLEU on the validation split, by name.
        state: how far the run is.
    """

    model: dict[str, Any]
    ema_model: dict[str, Any]
    optimizer: dict[str, Any]
    best: dict[str, Any]
    state: RunState


def save_checkpoint(training_dir: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint by atomic rename, then remove all but the last two.

    Raises:
        OSError: the file cannot be written.
    """
    state = vars(checkpoint.state) | {
        "history": [point.model_dump() for point in checkpoint.state.history]
    }
    content = io.BytesIO()
    torch.save(vars(checkpoint) | {"state": state}, content)
    folder = training_dir / "checkpoints"
    write_bytes(folder / f"step-{checkpoint.state.step:08d}.pt", content.getvalue())
    for old in sorted(folder.glob("step-*.pt"))[:-_N_KEPT]:
        old.unlink()


def last_checkpoint(training_dir: Path) -> Path | None:
    """The file of a run's last checkpoint, or None if there is no checkpoint."""
    return max((training_dir / "checkpoints").glob("step-*.pt"), default=None)


def load_checkpoint(training_dir: Path) -> Checkpoint | None:
    """Load the last checkpoint of a run to the CPU.

    Returns:
        the checkpoint, or None if there is no checkpoint.

    Raises:
        InputError: the file is damaged, or another release wrote it.
        OSError: the file cannot be read.
    """
    files = sorted((training_dir / "checkpoints").glob("step-*.pt"))
    if not files:
        return None
    content = _unpacked(files[-1])
    if content is None:
        remedy = f"to continue from {files[-2].name}" if len(files) > 1 else "to start again"
        raise InputError(f"{files[-1]}: damaged checkpoint; remove it {remedy}")
    try:
        state = RunState(**content.pop("state"))
        state.history = [EvaluationPoint.model_validate(point) for point in state.history]
        return Checkpoint(**content, state=state)
    except (TypeError, KeyError) as error:  # undamaged, but with other keys
        raise InputError(
            f"{files[-1]}: another release wrote this checkpoint; finish the run with that "
            f"release, or remove {training_dir} and train again"
        ) from error


def _unpacked(path: Path) -> dict[str, Any] | None:
    """The values in a checkpoint's file, or None if any part of it is damaged."""
    try:
        # torch.load verifies no checksum, so the archive is tested first. It is read to memory
        # first: an offset that is damaged would else raise OSError, as a failing disk does.
        if zipfile.ZipFile(io.BytesIO(path.read_bytes())).testzip() is not None:
            return None
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGE_ERRORS:
        return None
    return content
