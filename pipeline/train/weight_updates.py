"""How gradients change the weights: mean over the workers, clipping, AdamW, moving average.

There are two implementations, with the same numbers:

- :class:`DDPUpdate`: every worker updates all weights, and DistributedDataParallel averages the
  gradients. It works on GPUs, on several machines, and with one worker.
- :class:`~pipeline.train.shared_memory_update.SharedMemoryUpdate`: for several workers on the CPUs
  of one machine. DistributedDataParallel would send every gradient through a socket, and every
  worker would compute the same update. Instead, weights, optimiser state and gradients are in
  shared memory, and each worker updates a part of the weights.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from lingo_model import SimpleSeq2SeqLSTM
from pipeline.train.optimizer import MOMENTS, adamw, ema_copy, ema_weight, summed_loss
from pipeline.train.recipe import TrainConfig
from pipeline.train.worker_context import WorkerContext


class WeightUpdate(Protocol):
    """An optimiser step that all workers take together. Every worker must call each method.

    Attributes:
        loss: the module that training calls; :meth:`step` uses the gradients of its result.
        ema_model: the model that holds the moving average of the weights; None if the recipe has
            no moving average.
    """

    loss: nn.Module
    ema_model: SimpleSeq2SeqLSTM | None

    def step(self, learning_rate: float, number: int) -> float:
        """Update the weights, unless the gradients are not finite; then discard the gradients.

        Args:
            learning_rate: of this step.
            number: of the step, counted from 0.

        Returns:
            the norm of the mean gradient before clipping, the same on every worker.
        """
        ...

    def state(self) -> dict[str, Any]:
        """The state of the optimiser, for a checkpoint.

        Returns:
            for each name in ``MOMENTS`` the moment of each weight by the weight's name, and
            ``step``, the number of updates.
        """
        ...

    def load(
        self, weights: dict[str, Tensor], ema_weights: dict[str, Tensor], state: dict[str, Any]
    ) -> None:
        """Continue from a checkpoint.

        Args:
            weights: the state of the model.
            ema_weights: the state of ``ema_model``; ignored if that is None.
            state: what :meth:`state` returned.
        """
        ...


class DDPUpdate:
    """The :class:`WeightUpdate` in which every worker updates all weights."""

    def __init__(
        self, model: SimpleSeq2SeqLSTM, config: TrainConfig, context: WorkerContext
    ) -> None:
        self._model = model
        self._config = config
        self._optimizer = adamw(model.parameters(), config)
        self.loss: nn.Module = summed_loss(model, config)
        if context.n_workers > 1:
            self.loss = DistributedDataParallel(self.loss)
        self.ema_model = ema_copy(model) if config.ema_decay else None

    def step(self, learning_rate: float, number: int) -> float:
        """See :meth:`WeightUpdate.step`."""
        weights: list[Tensor] = list(self._model.parameters())
        norm = nn.utils.clip_grad_norm_(weights, self._config.clip_norm).item()
        if math.isfinite(norm):
            self._optimizer.param_groups[0]["lr"] = learning_rate
            self._optimizer.step()
            if self.ema_model is not None:
                share = ema_weight(self._config.ema_decay, number)
                if share:
                    # PyTorch has no public function that updates a list of tensors in one GPU
                    # kernel; torch.optim.swa_utils calls this one.
                    with torch.no_grad():
                        torch._foreach_lerp_(list(self.ema_model.parameters()), weights, share)
        self._optimizer.zero_grad(set_to_none=True)
        return norm

    def state(self) -> dict[str, Any]:
        """See :meth:`WeightUpdate.state`."""
        state: dict[str, Any] = {moment: {} for moment in MOMENTS} | {"step": 0}
        for name, weight in self._model.named_parameters():
            of_weight = self._optimizer.state[weight]
            state["step"] = int(of_weight["step"])
            for moment in MOMENTS:
                state[moment][name] = of_weight[moment]
        return state

    def load(
        self, weights: dict[str, Tensor], ema_weights: dict[str, Tensor], state: dict[str, Any]
    ) -> None:
        """See :meth:`WeightUpdate.load`."""
        self._model.load_state_dict(weights)
        if self.ema_model is not None:
            self.ema_model.load_state_dict(ema_weights)
        for name, weight in self._model.named_parameters():
            step = torch.tensor(float(state["step"]), device=weight.device)
            self._optimizer.state[weight] = {"step": step} | {
                moment: state[moment][name].to(weight.device, copy=True) for moment in MOMENTS
            }
