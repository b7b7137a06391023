"""Which training worker this process is, and how it exchanges values with the others."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import torch
import torch.distributed as dist

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class WorkerContext:
    """A worker's rank, the number of workers, and the device that it computes on.

    With more than one worker, the process is in a ``torch.distributed`` group of that size.
    """

    rank: int
    n_workers: int
    device: torch.device

    def all_gather(self, value: T) -> list[T]:
        """The values of all workers, in order of rank. Every worker must call this.

        Args:
            value: this worker's value; it is pickled to be sent.
        """
        if self.n_workers == 1:
            return [value]
        values: list[Any] = [None] * self.n_workers
        dist.all_gather_object(values, value)
        return values

    def from_rank_0(self, value: T) -> T:
        """Rank 0's value, so that all workers take the same decision. Every worker must call this.

        Args:
            value: this worker's value; all but rank 0's are ignored.
        """
        return self.all_gather(value)[0]
