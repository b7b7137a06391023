"""AdamW, the learning rate, the loss, and the exponential moving average (EMA) of the weights.

``torch.optim.swa_utils.AveragedModel`` is not used for the average. Its first update copies the
weights instead of averaging them, and it averages all weights in every process, while the workers
of :class:`~pipeline.train.shared_memory_update.SharedMemoryUpdate` each average a part.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable

import torch
from torch import nn

from lingo_model import SimpleSeq2SeqLSTM, SummedLoss, accelerate_training
from pipeline.train.recipe import TrainConfig

MOMENTS = ("exp_avg", "exp_avg_sq")
"""Names of AdamW's moments in its state."""

_N_STEPS_WITH_EACH_AVERAGED = 100
_STEPS_PER_AVERAGE = 8


def ema_weight(decay: float, step: int) -> float:
    """Weight of the current weights in the moving average after a step; 0 for no update.

    The decay of step t is ``min(decay, (1 + t) / (10 + t))``, so that the average soon forgets the
    first steps. From step 100 on, only every eighth step updates the average, with the decay of
    eight steps. This takes an eighth of the time, and the averages differ by less than matters.

    Args:
        decay: the recipe's ``ema_decay``.
        step: counts from 0.
    """
    n_steps = 1 if step < _N_STEPS_WITH_EACH_AVERAGED else _STEPS_PER_AVERAGE
    if step % n_steps:
        return 0.0
    return 1.0 - min(decay, (1 + step) / (10 + step)) ** n_steps


def adamw(weights: Iterable[nn.Parameter], config: TrainConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) with the recipe's weight decay, over ``weights``."""
    return torch.optim.AdamW(
        weights, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )


def learning_rate(config: TrainConfig, step: int, n_steps: int) -> float:
    """The learning rate of a step: a linear warm-up, then the recipe's schedule.

    ``cosine`` falls along half a cosine to zero at ``n_steps`` (Loshchilov and Hutter 2017, section
    3). ``inverse_sqrt`` falls with the inverse square root of the step (Vaswani et al. 2017,
    section 5.3).

    Args:
        config: the recipe.
        step: counts from 0.
        n_steps: number of steps of the run.
    """
    n_warmup = config.warmup_steps + 1
    warmup = min(1.0, (step + 1) / n_warmup)
    if config.schedule == "inverse_sqrt":
        return config.learning_rate * min(warmup, math.sqrt(n_warmup / (step + 1)))
    return config.learning_rate * warmup * 0.5 * (1 + math.cos(math.pi * step / n_steps))


def summed_loss(model: SimpleSeq2SeqLSTM, config: TrainConfig) -> SummedLoss:
    """The loss of a model with the recipe's label smoothing and word dropout.

    With precision ``bfloat16`` the layers of the model are replaced by those of the compiled
    kernels, if this machine has them.
    """
    loss = SummedLoss(
        model, label_smoothing=config.label_smoothing, word_dropout=config.word_dropout
    )
    if config.precision == "bfloat16":
        accelerate_training(loss)
    return loss


def ema_copy(model: SimpleSeq2SeqLSTM) -> SimpleSeq2SeqLSTM:
    """A copy of a model that holds the moving average; it stays in ``eval`` mode."""
    ema_model = copy.deepcopy(model).eval().requires_grad_(False)
    for lstm in (ema_model.encoder, ema_model.decoder):
        lstm.flatten_parameters()  # cuDNN needs contiguous weights, and a copy's are not
    return ema_model
