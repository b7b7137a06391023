"""The record of a training run that a model bundle holds.

Reads: ``training.json`` of a bundle. ``pipeline/train/export.py`` writes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import ConfigDict, Field

from lingo_model import read_training
from pipeline.settings import Settings, parse_settings


class EvaluationPoint(Settings):
    """One evaluation on the validation split during training.

    A bundle of another release may lack keys, which are then None, or have more, which are ignored.

    Attributes:
        step: number of optimiser steps done.
        epoch: epoch of that step, from 0.
        train_loss: mean loss of a target token (nats) since the last evaluation, with dropout and
            label smoothing.
        valid_loss: mean loss of a target token (nats) on the validation split.
        valid_bleu: BLEU on the validation split, 0 to 100.
        learning_rate: of that step.
        target_tokens_per_second: since the last evaluation, over all workers.
        seconds: training time so far, over all attempts.
    """

    model_config = ConfigDict(extra="ignore")

    step: int = 0
    epoch: int | None = None
    train_loss: float | None = None
    valid_loss: float | None = None
    valid_bleu: float | None = None
    learning_rate: float | None = None
    target_tokens_per_second: float | None = None
    seconds: float | None = None


class TrainingRecord(Settings):
    """The content of ``training.json``: what was trained, how long, and how good it became.

    A bundle of another release may lack keys, which then have their defaults, or have more, which
    are ignored. A bundle that was not trained here has no steps.

    Attributes:
        recipe: the training recipe, as JSON.
        corpus: names of the inputs of the dataset.
        n_parameters: number of weights of the model.
        n_steps: number of optimiser steps; 0 if unknown.
        seconds: training time, over all attempts.
        stopped_by: ``max_epochs``, ``patience`` or ``time_budget``.
        best_step: the step whose weights the bundle holds.
        best_valid_bleu: BLEU of these weights on the validation split.
        history: every evaluation, in order.
    """

    model_config = ConfigDict(extra="ignore")

    recipe: dict[str, Any] = Field(default_factory=dict)
    corpus: tuple[str, ...] = ()
    n_parameters: int = 0
    n_steps: int = 0
    seconds: float = 0.0
    stopped_by: str = ""
    best_step: int = 0
    best_valid_bleu: float = 0.0
    history: tuple[EvaluationPoint, ...] = ()

    @classmethod
    def load(cls, bundle: Path) -> Self:
        """Read the record of a bundle; the defaults if it has none.

        Raises:
            InputError: ``training.json`` is not JSON, or a value has another type.
        """
        where = str(bundle / "training.json")
        return parse_settings(cls, read_training(bundle), where=where)
