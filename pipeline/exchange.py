"""Averaging gradients over the workers of one machine through memory that they share.

Between processes of one machine gloo sends every gradient through a socket. Here each worker writes
its gradients once, adds up one part of everybody's, and reads the result: the sums are the same on
every worker, bit for bit, whatever their number. Workers on several machines, or on GPUs, keep what
DistributedDataParallel does by itself.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Self

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from pipeline.validation import WorkerPlace

_TOKEN_BYTES = 64


class SharedMemoryExchange:
    """What DistributedDataParallel exchanges gradients with; see :meth:`opened`.

    The memory has no name, so it goes when the last worker does, however that ends.
    """

    def __init__(self, slots: torch.Tensor, place: WorkerPlace) -> None:
        self._slots = slots  # [workers + 1, weights]; the last is the result
        self._place = place
        self._signal = torch.zeros(1)

    @classmethod
    def opened(cls, n_weights: int, dtype: torch.dtype, place: WorkerPlace) -> Self | None:
        """The exchange for gradients of ``n_weights``; None where workers cannot share memory.
        Every worker calls this."""
        if place.device.type != "cpu" or not hasattr(os, "memfd_create"):
            return None
        shape = (place.n_workers + 1, n_weights)
        size = _TOKEN_BYTES + dtype.itemsize * shape[0] * shape[1]
        token = secrets.token_bytes(_TOKEN_BYTES)
        offer: dict[str, object] = {}
        if place.rank == 0:
            # Others open it while this process has it open; nothing of it stands in a folder.
            file = os.memfd_create("lingo-gradients")
            os.truncate(file, size)
            os.pwrite(file, token, 0)
            offer = {"path": f"/proc/{os.getpid()}/fd/{file}", "token": token}
        offer = place.gathered(offer)[0]
        path = str(offer["path"])
        try:
            with Path(path).open("rb") as opened:
                shared = opened.read(_TOKEN_BYTES) == offer["token"]
            memory = torch.from_file(path, shared=True, size=size, dtype=torch.uint8)
        except (OSError, RuntimeError):  # another machine, another container, another user
            shared = False
        everyone = all(found["shared"] for found in place.gathered({"shared": shared}))
        if place.rank == 0:
            os.close(file)
        return cls(memory[_TOKEN_BYTES:].view(dtype).view(shape), place) if everyone else None

    def averaged(self, buffer: torch.Tensor) -> torch.futures.Future[torch.Tensor]:
        """The mean over workers of a bucket of gradients, in place."""
        n = buffer.numel()
        n_workers, rank = self._place.n_workers, self._place.rank
        self._slots[rank, :n].copy_(buffer)
        self._wait_for_all()
        part = slice(rank * n // n_workers, (rank + 1) * n // n_workers)
        total = self._slots[n_workers, part]
        torch.add(self._slots[0, part], self._slots[1, part], out=total)
        for other in range(2, n_workers):
            total += self._slots[other, part]
        total /= n_workers
        self._wait_for_all()
        buffer.copy_(self._slots[n_workers, :n])
        done: torch.futures.Future[torch.Tensor] = torch.futures.Future()
        done.set_result(buffer)
        return done

    def _wait_for_all(self) -> None:
        """Raises RuntimeError, as any exchange does, when a worker is gone."""
        dist.all_reduce(self._signal)


def distributed(loss: torch.nn.Module, place: WorkerPlace) -> DistributedDataParallel:
    """``loss`` whose gradients are averaged over all workers at the end of the backward pass."""
    weights = [weight for weight in loss.parameters() if weight.requires_grad]
    n_weights, dtype = sum(weight.numel() for weight in weights), weights[0].dtype
    exchange = SharedMemoryExchange.opened(n_weights, dtype, place)
    if exchange is None:
        return DistributedDataParallel(loss)
    # One exchange at the end: while workers compute, there is no idle core to exchange on.
    wrapped = DistributedDataParallel(
        loss,
        bucket_cap_mb=n_weights * dtype.itemsize / 2**20 + 1,
        gradient_as_bucket_view=True,
    )
    # Without annotations: DistributedDataParallel does not take those that are strings.
    wrapped.register_comm_hook(None, lambda _, bucket: exchange.averaged(bucket.buffer()))
    return wrapped
