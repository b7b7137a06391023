"""A training run's checkpoints: all that going on needs, in one file each, written whole.

RUN/checkpoints/step-00000500.pt     the last two are kept
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

_N_KEPT = 2

# How reading an archive ends, by the place of the damage.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    pickle.UnpicklingError,
    RuntimeError,
    ValueError,
    EOFError,
)

# Of each step: mean loss of a target token (nats, with label smoothing), and what made the step.
STEP_COLUMNS = ("train_loss", "learning_rate", "gradient_norm", "n_target_tokens")


@dataclasses.dataclass
class RunState:
    """Where a run is. ``history`` has one entry for each evaluation, ``steps`` a column for each of
    STEP_COLUMNS with one value for each step; ``stopped_by`` is empty while the run goes on, then
    ``max_epochs``, ``patience`` or ``time_budget``."""

    step: int = 0
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
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
    """State of the model, the moving average of its weights (empty where there is none), the
    optimiser and the run; ``best`` are the weights of the best BLEU."""

    model: dict[str, Any]
    average: dict[str, Any]
    optimizer: dict[str, Any]
    best: dict[str, Any]
    state: RunState


def save_checkpoint(training_dir: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint by atomic rename, then remove all but the last two."""
    content = io.BytesIO()
    torch.save(vars(checkpoint) | {"state": dataclasses.asdict(checkpoint.state)}, content)
    folder = training_dir / "checkpoints"
    write_bytes(folder / f"step-{checkpoint.state.step:08d}.pt", content.getvalue())
    for old in sorted(folder.glob("step-*.pt"))[:-_N_KEPT]:
        old.unlink()


def last_checkpoint(training_dir: Path) -> Path | None:
    """The file of a run's last checkpoint, or None where there is none."""
    return max((training_dir / "checkpoints").glob("step-*.pt"), default=None)


def load_checkpoint(training_dir: Path) -> Checkpoint | None:
    """The last checkpoint of a run, on the CPU, or None where there is none.

    Raises:
        InputError: the file is damaged, or of another release; names it and what to do.
        OSError: the file cannot be read.
    """
    files = sorted((training_dir / "checkpoints").glob("step-*.pt"))
    if not files:
        return None
    content = _unpacked(files[-1])
    if content is None:
        remedy = f"to go on from {files[-2].name}" if len(files) > 1 else "to start again"
        raise InputError(f"{files[-1]}: damaged checkpoint; remove it {remedy}")
    try:
        return Checkpoint(**content | {"state": RunState(**content["state"])})
    except (TypeError, KeyError) as error:  # whole, but with other parts
        raise InputError(
            f"{files[-1]}: a checkpoint of another release; finish the run with that release, or "
            "remove its folder and train again"
        ) from error


def _unpacked(path: Path) -> dict[str, Any] | None:
    """What ``torch.save`` wrote; None if any of it is damaged."""
    try:
        # torch.load looks at no checksum. From memory: where a damaged header points to, a file
        # could not tell from a disk that fails.
        if zipfile.ZipFile(io.BytesIO(path.read_bytes())).testzip() is not None:
            return None
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGE:
        return None
    return content
