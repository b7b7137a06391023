"""The update of the weights in memory that the workers of one machine share."""

from __future__ import annotations

import math
import os
import secrets
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lingo_model import SimpleSeq2SeqLSTM
from pipeline.train.optimizer import MOMENTS, adamw, ema_copy, ema_weight, summed_loss
from pipeline.train.recipe import TrainConfig
from pipeline.train.worker_context import WorkerContext

_TOKEN_BYTES = 64
_ALIGNMENT = 64  # numbers; no weight matrix and no worker's part ends within a vector register
_CLIP_EPSILON = 1e-6  # of torch.nn.utils.clip_grad_norm_, so that both updates clip alike


class SharedMemoryUpdate:
    """The :class:`~pipeline.train.weight_updates.WeightUpdate` in which each worker updates a part.

    All workers are processes of one machine. Each number is computed by one worker and read by all,
    so that all workers have bit-identical weights. No worker writes weights while another reads
    them: a step's update starts when all workers have written their gradients, and a worker
    continues when all have finished the update.

    Args:
        model: its weights are moved to the shared memory.
        config: the recipe.
        context: this worker.
        memory: what :func:`allocate_shared_memory` returned for :meth:`memory_shape`.
    """

    def __init__(
        self, model: SimpleSeq2SeqLSTM, config: TrainConfig, context: WorkerContext, memory: Tensor
    ) -> None:
        rank, n_workers = context.rank, context.n_workers
        self._model = model
        self._config = config
        self._context = context
        self._weights, self._ema_weights, *moments = memory[:-n_workers]
        self._moments = dict(zip(MOMENTS, moments, strict=True))
        self._gradients = memory[-n_workers:]  # [workers, all weights]
        size = memory.size(1)
        self._part = slice(rank * size // n_workers, (rank + 1) * size // n_workers)
        self.ema_model = ema_copy(model) if config.ema_decay else None
        self._move(model, self._weights)
        if self.ema_model is not None:
            self._move(self.ema_model, self._ema_weights)
        self.loss: nn.Module = summed_loss(model, config)
        self._own_weights = nn.Parameter(self._weights[self._part])
        self._own_weights.grad = torch.zeros_like(self._own_weights)
        self._optimizer = adamw([self._own_weights], config)
        self._optimizer.state[self._own_weights] = {"step": torch.tensor(0.0)} | {
            name: moment[self._part] for name, moment in self._moments.items()
        }
        self._written: set[Tensor] = set()  # weights with a gradient in this step
        self._gradient_of: dict[Tensor, Tensor] = {}  # where this worker writes it
        views = self._views(self._gradients[rank])
        for weight, view in zip(model.parameters(), views, strict=True):
            self._gradient_of[weight] = view
            weight.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
                self._write_gradient
            )
        self._sum_over_workers()

    def _write_gradient(self, weight: Tensor) -> None:
        """Move a gradient to the shared memory, or add it to that of an earlier data shard.

        The backward pass calls this for each weight, while the gradient is still in the processor's
        cache. The memory that the gradient leaves serves the next one.
        """
        assert weight.grad is not None
        if weight in self._written:
            self._gradient_of[weight] += weight.grad
        else:
            self._gradient_of[weight].copy_(weight.grad)
            self._written.add(weight)
        weight.grad = None

    @staticmethod
    def memory_shape(model: SimpleSeq2SeqLSTM, context: WorkerContext) -> tuple[int, int]:
        """Shape ``[rows, size]`` of the shared memory; ``size`` holds all weights, padded.

        The rows are the weights, their moving average, the moments, and each worker's gradients.
        """
        size = _weight_slices(model)[-1].stop
        unit = _ALIGNMENT * context.n_workers
        return 2 + len(MOMENTS) + context.n_workers, -(-size // unit) * unit

    def step(self, learning_rate: float, number: int) -> float:
        """See :meth:`~pipeline.train.weight_updates.WeightUpdate.step`."""
        own, n_workers = self._own_weights, self._context.n_workers
        total = own.grad
        assert total is not None
        for weight, gradient in self._gradient_of.items():
            if weight not in self._written:  # the loss of this step does not depend on it
                gradient.zero_()
        self._written.clear()
        self._sum_over_workers()
        torch.add(self._gradients[0, self._part], self._gradients[1, self._part], out=total)
        for other in range(2, n_workers):
            total += self._gradients[other, self._part]
        norm = math.sqrt(self._sum_over_workers(total.norm().item() ** 2)) / n_workers
        if math.isfinite(norm):
            total *= min(1.0, self._config.clip_norm / (norm + _CLIP_EPSILON)) / n_workers
            self._optimizer.param_groups[0]["lr"] = learning_rate
            self._optimizer.step()
            if self.ema_model is not None:
                share = ema_weight(self._config.ema_decay, number)
                if share:
                    self._ema_weights[self._part].lerp_(own.detach(), share)
        self._sum_over_workers()
        return norm

    def state(self) -> dict[str, Any]:
        """See :meth:`~pipeline.train.weight_updates.WeightUpdate.state`."""
        names = [name for name, _ in self._model.named_parameters()]
        return {
            moment: dict(zip(names, (part.clone() for part in self._views(flat)), strict=True))
            for moment, flat in self._moments.items()
        } | {"step": int(self._optimizer.state[self._own_weights]["step"])}

    def load(
        self, weights: dict[str, Tensor], ema_weights: dict[str, Tensor], state: dict[str, Any]
    ) -> None:
        """See :meth:`~pipeline.train.weight_updates.WeightUpdate.load`."""
        if self._context.rank == 0:
            self._model.load_state_dict(weights)
            if self.ema_model is not None:
                self.ema_model.load_state_dict(ema_weights)
            names = [name for name, _ in self._model.named_parameters()]
            for moment, flat in self._moments.items():
                for name, view in zip(names, self._views(flat), strict=True):
                    view.copy_(state[moment][name])
        self._optimizer.state[self._own_weights]["step"].fill_(state["step"])
        self._sum_over_workers()

    def _views(self, flat: Tensor) -> list[Tensor]:
        """Parts of a flat row ``[size]``, one for each weight, in the shape of the weight."""
        shapes = [weight.shape for weight in self._model.parameters()]
        slices = _weight_slices(self._model)
        return [flat[part].view(shape) for part, shape in zip(slices, shapes, strict=True)]

    def _move(self, model: SimpleSeq2SeqLSTM, flat: Tensor) -> None:
        """Make a flat row ``[size]`` of shared memory the storage of the model's weights."""
        for weight, view in zip(model.parameters(), self._views(flat), strict=True):
            if self._context.rank == 0:
                view.copy_(weight.detach())
            weight.data = view

    def _sum_over_workers(self, value: float = 0.0) -> float:
        """The sum of the workers' values; a barrier, too.

        Raises:
            RuntimeError: another worker is gone.
        """
        total = torch.tensor([value], dtype=torch.float64)
        dist.all_reduce(total)
        return total.item()


def allocate_shared_memory(
    shape: tuple[int, int], dtype: torch.dtype, context: WorkerContext
) -> Tensor | None:
    """Zeros that all workers share, or None if they cannot. Every worker must call this.

    The memory is anonymous (memfd), so the system frees it when the last worker ends, however that
    ends. Workers of another machine, container or user cannot open it.

    Args:
        shape: of the tensor, the same in all workers.
        dtype: of the tensor.
        context: this worker.
    """
    if not hasattr(os, "memfd_create"):
        return None
    size = _TOKEN_BYTES + dtype.itemsize * shape[0] * shape[1]
    token = secrets.token_bytes(_TOKEN_BYTES)
    path = ""
    if context.rank == 0:
        # The others open it through /proc while this process has it open; no folder lists it.
        file = os.memfd_create("lingo-training")
        os.truncate(file, size)
        os.pwrite(file, token, 0)
        path = f"/proc/{os.getpid()}/fd/{file}"
    path, token = context.from_rank_0((path, token))
    try:
        with Path(path).open("rb") as opened:
            is_shared = opened.read(_TOKEN_BYTES) == token
        memory = torch.from_file(path, shared=True, size=size, dtype=torch.uint8)
    except (OSError, RuntimeError):
        is_shared = False
    all_share = all(context.all_gather(is_shared))
    if context.rank == 0:
        os.close(file)
    return memory[_TOKEN_BYTES:].view(dtype).view(shape) if all_share else None


def _weight_slices(model: SimpleSeq2SeqLSTM) -> list[slice]:
    """The part of a flat row that each weight of a model takes."""
    slices, start = [], 0
    for weight in model.parameters():
        slices.append(slice(start, start + weight.numel()))
        start += -(-weight.numel() // _ALIGNMENT) * _ALIGNMENT
    return slices
