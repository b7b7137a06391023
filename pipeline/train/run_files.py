"""The JSON files in the folder of an unfinished training run.

TRAINING_DIR/
  run.json         RunIdentity: the recipe and the dataset
  progress.json    TrainingProgress: rewritten about once a second by rank 0
  gave_up.json     GaveUp: written by rank 0 when it ends a run that cannot continue
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from lingo_model import InputError
from pipeline.errors import RunError
from pipeline.settings import Settings
from pipeline.storage.files import write_json
from pipeline.storage.hashing import fingerprint_of
from pipeline.train.checkpoint import last_checkpoint
from pipeline.train.recipe import TrainConfig
from pipeline.training_record import EvaluationPoint

RUN = "run.json"
PROGRESS = "progress.json"
GAVE_UP = "gave_up.json"


class RunIdentity(Settings):
    """What a training run learns, and from what: two runs with equal identities are the same run.

    ``recipe`` stays JSON, so that the file of another release can be read and compared.
    """

    recipe: dict[str, Any]
    dataset_fingerprint: str

    @classmethod
    def of(cls, config: TrainConfig, dataset_fingerprint: str) -> Self:
        """The identity of a run with this recipe on this dataset."""
        recipe = config.model_dump(mode="json")
        return cls(recipe=recipe, dataset_fingerprint=dataset_fingerprint)

    @property
    def recipe_fingerprint(self) -> str:
        """Fingerprint of the recipe, as it is in the manifest of a bundle."""
        return fingerprint_of(self.recipe)


class TrainingProgress(Settings):
    """How far a run is.

    Attributes:
        step: number of optimiser steps done.
        n_steps: number of steps if neither patience nor the time budget ends the run.
        target_tokens_per_second: since the last evaluation, over all workers.
        train_loss: of the last evaluation; None before the first.
        valid_bleu: of the last evaluation; None before the first.
        history: every evaluation so far.
    """

    step: int
    n_steps: int
    target_tokens_per_second: float
    train_loss: float | None = None
    valid_bleu: float | None = None
    history: tuple[EvaluationPoint, ...] = ()


class GaveUp(Settings):
    """Why a run ended before its last step, what to do, and whether the same run may succeed."""

    reason: str
    remedy: str
    retryable: bool


def claim_training_dir(training_dir: Path, identity: RunIdentity) -> None:
    """Write ``run.json``, or check that the checkpoints in the folder belong to this run.

    Raises:
        InputError: ``run.json`` is damaged, or the folder holds an unfinished run with another
            recipe or dataset.
    """
    file = training_dir / RUN
    if last_checkpoint(training_dir) is None or not file.exists():
        write_json(file, identity.model_dump())
        return
    try:
        existing = RunIdentity.model_validate_json(file.read_bytes())
    except ValueError as error:
        raise InputError(
            f"{file}: not the description of a training run; restore the file, or remove "
            f"{training_dir} and train again"
        ) from error
    for key in RunIdentity.model_fields:
        if getattr(existing, key) != getattr(identity, key):
            raise InputError(
                f"{training_dir}: an unfinished run with another {key}; finish it with its own "
                "settings, remove the folder, or name another output"
            )


def check_not_given_up(training_dir: Path) -> None:
    """Raise the error of a run that its workers ended before the last step.

    Raises:
        RunError: the reason, the last good checkpoint and the remedy.
    """
    file = training_dir / GAVE_UP
    if not file.exists():
        return
    gave_up = GaveUp.model_validate_json(file.read_bytes())
    checkpoint = last_checkpoint(training_dir)
    last_good = (
        f"{checkpoint} is the last good checkpoint" if checkpoint else "there is no checkpoint yet"
    )
    raise RunError(
        f"{training_dir}: {gave_up.reason}; {last_good}; {gave_up.remedy}",
        retryable=gave_up.retryable,
    )
