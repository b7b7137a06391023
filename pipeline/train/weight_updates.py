"""How gradients become weights: averaged over the workers, clipped, AdamW, the moving average.

Two ways, the same numbers. :class:`DDPUpdate`: each worker has all of it, and
DistributedDataParallel averages; for GPUs, for several machines, and for one worker.
:class:`SharedMemoryUpdate`, for processes of one machine, between which DDP would send every gradient
through a socket and each would do the same update: weights, optimiser state and gradients lie in
memory that all share, and each worker updates its part of them.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lingo_model import SimpleSeq2SeqLSTM
from pipeline.train.optimizer import MOMENTS, adamw, ema_copy, ema_weight, summed_loss
from pipeline.train.recipe import TrainConfig
from pipeline.train.worker_context import WorkerContext


class DDPUpdate:
    """Every worker updates all weights.

    ``loss`` is what training calls, and whose gradients :meth:`step` uses. ``average`` is the
    model with the moving average of the weights, None where the recipe has none.
    """

    def __init__(self, model: SimpleSeq2SeqLSTM, config: TrainConfig, place: WorkerContext) -> None:
        self._model = model
        self._config = config
        self._optimizer = adamw(model.parameters(), config)
        self.loss: nn.Module = summed_loss(model, config)
        if place.n_workers > 1:
            self.loss = DistributedDataParallel(self.loss)
        self.average = ema_copy(model) if config.ema_decay else None

    def step(self, learning_rate: float, number: int) -> float:
        """One update, unless the gradients are not finite.

        Returns:
            the norm of the mean gradient before clipping, the same on every worker.
        """
        weights: list[Tensor] = list(self._model.parameters())
        norm = nn.utils.clip_grad_norm_(weights, self._config.clip_norm).item()
        if math.isfinite(norm):
            self._optimizer.param_groups[0]["lr"] = learning_rate
            self._optimizer.step()
            if self.average is not None:
                share = ema_weight(self._config.ema_decay, number)
                if share:
                    with torch.no_grad():
                        torch._foreach_lerp_(list(self.average.parameters()), weights, share)
        self._optimizer.zero_grad(set_to_none=True)
        return norm

    def state(self) -> dict[str, Any]:
        """AdamW's moments by the names of the weights, for a checkpoint."""
        found: dict[str, Any] = {moment: {} for moment in MOMENTS} | {"step": 0}
        for name, weight in self._model.named_parameters():
            state = self._optimizer.state[weight]
            found["step"] = int(state["step"])
            for moment in MOMENTS:
                found[moment][name] = state[moment]
        return found

    def load(
        self, weights: dict[str, Tensor], average: dict[str, Tensor], state: dict[str, Any]
    ) -> None:
        """Go on from a checkpoint's weights, their average and :meth:`state`."""
        self._model.load_state_dict(weights)
        if self.average is not None:
            self.average.load_state_dict(average)
        for name, weight in self._model.named_parameters():
            step = torch.tensor(float(state["step"]), device=weight.device)
            self._optimizer.state[weight] = {"step": step} | {
                moment: state[moment][name].to(weight.device, copy=True) for moment in MOMENTS
            }
