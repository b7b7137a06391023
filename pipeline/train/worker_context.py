"""Which worker this is, and how it exchanges values with the others."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
import torch.distributed as dist


@dataclasses.dataclass(frozen=True)
class WorkerContext:
    """Which worker this is, of how many, and what it computes on."""

    rank: int
    n_workers: int
    device: torch.device

    def gathered(self, mine: dict[str, Any]) -> list[dict[str, Any]]:
        """Every worker's value, in order of rank."""
        if self.n_workers == 1:
            return [mine]
        values: list[Any] = [None] * self.n_workers
        dist.all_gather_object(values, mine)
        return values

    def agreed(self, mine: bool) -> bool:
        """What rank 0 says, so that all workers do the same."""
        return bool(self.gathered({"value": mine})[0]["value"]) if self.n_workers > 1 else mine
