"""AdamW, the loss and the exponential moving average of the weights."""

from __future__ import annotations

import copy
from typing import Any

import torch

from lingo_model import SimpleSeq2SeqLSTM, SummedLoss
from pipeline.train.recipe import TrainConfig

MOMENTS = ("exp_avg", "exp_avg_sq")
_STEPS_AVERAGED_ONE_BY_ONE = 100
_STEPS_PER_AVERAGE = 8


def ema_weight(decay: float, step: int) -> float:
    """How far the moving average goes towards the weights after ``step`` (counted from 0).

    A short memory at first, so that the first steps are forgotten soon: the decay of step t is
    ``min(decay, (1 + t) / (10 + t))``. After step 100 the weights of every eighth step stand for
    those since the one before: an eighth of the cost, and the same average for every purpose.
    """
    n_steps = 1 if step < _STEPS_AVERAGED_ONE_BY_ONE else _STEPS_PER_AVERAGE
    if step % n_steps:
        return 0.0
    return 1.0 - min(decay, (1 + step) / (10 + step)) ** n_steps


def adamw(weights: Any, config: TrainConfig) -> torch.optim.AdamW:
    return torch.optim.AdamW(
        weights, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )


def summed_loss(model: SimpleSeq2SeqLSTM, config: TrainConfig) -> SummedLoss:
    return SummedLoss(
        model, label_smoothing=config.label_smoothing, word_dropout=config.word_dropout
    )


def ema_copy(model: SimpleSeq2SeqLSTM) -> SimpleSeq2SeqLSTM:
    """A copy in ``eval`` mode, where it stays."""
    average = copy.deepcopy(model).eval().requires_grad_(False)
    for lstm in (average.encoder, average.decoder):
        lstm.flatten_parameters()  # as cuDNN wants them, which a copy is not
    return average
