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
_ALIGNMENT = 64  # numbers: so that no part ends within a vector register


class SharedMemoryUpdate:
    """Each of a machine's workers updates its part of the weights, in memory that they share.

    As :class:`DDPUpdate` in all else. Every number is computed by one worker alone, so all
    have the same weights, bit for bit. Nobody writes weights while another reads them: a step's
    update begins once every worker has handed in its gradients, and ends before any goes on.
    """

    def __init__(
        self, model: SimpleSeq2SeqLSTM, config: TrainConfig, place: WorkerContext, memory: Tensor
    ) -> None:
        self._model = model
        self._config = config
        self._place = place
        self._weights, self._averaged, *moments = memory[: -place.n_workers]
        self._moments = dict(zip(MOMENTS, moments, strict=True))
        self._gradients = memory[-place.n_workers :]  # [workers, all weights]
        size = memory.size(1)
        self._part = slice(
            *(number * size // place.n_workers for number in (place.rank, place.rank + 1))
        )
        self.average = ema_copy(model) if config.ema_decay else None
        for one, flat in ((model, self._weights), (self.average, self._averaged)):
            if one is not None:
                self._move(one, flat)
        self.loss: nn.Module = summed_loss(model, config)
        mine = nn.Parameter(self._weights[self._part])
        mine.grad = torch.zeros_like(mine)
        self._optimizer = adamw([mine], config)
        self._optimizer.state[mine] = {"step": torch.tensor(0.0)} | {
            name: moment[self._part] for name, moment in self._moments.items()
        }
        self._mine = mine
        views = self._views(self._gradients[place.rank])
        self._my_gradients: dict[Tensor, Tensor] = {}
        self._handed_in: set[Tensor] = set()  # weights, in this step
        for weight, view in zip(model.parameters(), views, strict=True):
            self._my_gradients[weight] = view
            weight.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
                self._hand_in
            )
        self._wait_for_all()

    def _hand_in(self, weight: Tensor) -> None:
        """Called by the backward pass for each weight: its gradient goes to the shared memory while
        it is in the cache, and its own memory to the next one."""
        assert weight.grad is not None
        if weight in self._handed_in:  # a lane before
            self._my_gradients[weight] += weight.grad
        else:
            self._my_gradients[weight].copy_(weight.grad)
            self._handed_in.add(weight)
        weight.grad = None

    @staticmethod
    def memory_shape(model: SimpleSeq2SeqLSTM, place: WorkerContext) -> tuple[int, int]:
        """Weights, their average, two moments and every worker's gradients, each a flat row."""
        places = _places(model)
        unit = _ALIGNMENT * place.n_workers
        return 2 + len(MOMENTS) + place.n_workers, -(-places[-1].stop // unit) * unit

    def step(self, learning_rate: float, number: int) -> float:
        """As :meth:`DDPUpdate.step`."""
        mine, n_workers = self._mine, self._place.n_workers
        total = mine.grad
        assert total is not None
        for weight, gradient in self._my_gradients.items():
            if weight not in self._handed_in:  # it took no part in this step
                gradient.zero_()
        self._handed_in.clear()
        self._wait_for_all()
        torch.add(self._gradients[0, self._part], self._gradients[1, self._part], out=total)
        for other in range(2, n_workers):
            total += self._gradients[other, self._part]
        norm = math.sqrt(self._wait_for_all(total.norm().item() ** 2)) / n_workers
        if math.isfinite(norm):
            total *= min(1.0, self._config.clip_norm / (norm + 1e-6)) / n_workers
            self._optimizer.param_groups[0]["lr"] = learning_rate
            self._optimizer.step()
            if self.average is not None:
                share = ema_weight(self._config.ema_decay, number)
                if share:
                    self._averaged[self._part].lerp_(mine.detach(), share)
        self._wait_for_all()
        return norm

    def state(self) -> dict[str, Any]:
        """As :meth:`DDPUpdate.state`."""
        names = [name for name, _ in self._model.named_parameters()]
        return {
            moment: dict(zip(names, (part.clone() for part in self._views(flat)), strict=True))
            for moment, flat in self._moments.items()
        } | {"step": int(self._optimizer.state[self._mine]["step"])}

    def load(
        self, weights: dict[str, Tensor], average: dict[str, Tensor], state: dict[str, Any]
    ) -> None:
        """As :meth:`DDPUpdate.load`."""
        if self._place.rank == 0:
            self._model.load_state_dict(weights)
            if self.average is not None:
                self.average.load_state_dict(average)
            names = [name for name, _ in self._model.named_parameters()]
            for moment, flat in self._moments.items():
                torch._foreach_copy_(self._views(flat), [state[moment][name] for name in names])
        self._optimizer.state[self._mine]["step"].fill_(state["step"])
        self._wait_for_all()

    def _views(self, flat: Tensor) -> list[Tensor]:
        shapes = [weight.shape for weight in self._model.parameters()]
        places = _places(self._model)
        return [flat[p].view(shape) for p, shape in zip(places, shapes, strict=True)]

    def _move(self, model: SimpleSeq2SeqLSTM, flat: Tensor) -> None:
        """The model's weights lie in ``flat`` from now on."""
        for weight, view in zip(model.parameters(), self._views(flat), strict=True):
            if self._place.rank == 0:
                view.copy_(weight.detach())
            weight.data = view

    def _wait_for_all(self, mine: float = 0.0) -> float:
        """Sum over workers. Raises RuntimeError, as any exchange does, when a worker is gone."""
        summed = torch.tensor([mine], dtype=torch.float64)
        dist.all_reduce(summed)
        return summed.item()


def shared_memory(
    shape: tuple[int, int], dtype: torch.dtype, place: WorkerContext
) -> Tensor | None:
    """Zeros that all workers share; None where they cannot. Every worker calls this.

    The memory has no name, so it goes when the last worker does, however that ends.
    """
    if not hasattr(os, "memfd_create"):
        return None
    size = _TOKEN_BYTES + dtype.itemsize * shape[0] * shape[1]
    token = secrets.token_bytes(_TOKEN_BYTES)
    offer: dict[str, Any] = {}
    if place.rank == 0:
        # Others open it while this process has it open; nothing of it stands in a folder.
        file = os.memfd_create("lingo-training")
        os.truncate(file, size)
        os.pwrite(file, token, 0)
        offer = {"path": f"/proc/{os.getpid()}/fd/{file}", "token": token}
    offer = place.gathered(offer)[0]
    try:
        with Path(offer["path"]).open("rb") as opened:
            shared = opened.read(_TOKEN_BYTES) == offer["token"]
        memory = torch.from_file(offer["path"], shared=True, size=size, dtype=torch.uint8)
    except (OSError, RuntimeError):  # another machine, another container, another user
        shared = False
    everyone = all(found["shared"] for found in place.gathered({"shared": shared}))
    if place.rank == 0:
        os.close(file)
    return memory[_TOKEN_BYTES:].view(dtype).view(shape) if everyone else None


def _places(model: SimpleSeq2SeqLSTM) -> list[slice]:
    """Where each weight matrix lies in a flat vector."""
    places, start = [], 0
    for weight in model.parameters():
        places.append(slice(start, start + weight.numel()))
        start += -(-weight.numel() // _ALIGNMENT) * _ALIGNMENT
    return places
