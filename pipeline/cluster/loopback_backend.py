"""The ``torch.distributed`` group of training workers on one machine, over loopback alone.

By default, PyTorch starts a store on rank 0 that listens on all network interfaces, and anyone can
read and write it. Here the workers find each other through a file in the folder of the run.

``_TorchBackend`` is private to Ray; tests/pipeline/cluster/test_ray_private_names.py checks it.
"""

from __future__ import annotations

import dataclasses
import datetime
import sys
import uuid
from pathlib import Path
from typing import Any

import ray
import torch.distributed as dist
from ray.train.torch import TorchConfig
from ray.train.torch.config import _TorchBackend

_INTERFACE = "lo0" if sys.platform == "darwin" else "lo"
LOOPBACK_ENVIRONMENT = {"GLOO_SOCKET_IFNAME": _INTERFACE, "NCCL_SOCKET_IFNAME": _INTERFACE}
"""Environment variables that the processes of the workers must start with."""


def is_on_loopback() -> bool:
    """Whether all nodes of the running Ray are on loopback, so that no other machine is in it."""
    return all(node["NodeManagerAddress"] == "127.0.0.1" for node in ray.nodes() if node["Alive"])


@dataclasses.dataclass
class LoopbackConfig(TorchConfig):  # type: ignore[misc]
    """Ray Train's ``torch_config`` for workers on one machine.

    ``folder`` is an existing folder of that machine, for the rendezvous file.
    """

    folder: str = ""

    @property
    def backend_cls(self) -> type[_TorchBackend]:
        """The backend that Ray Train sets up with this configuration."""
        return _LoopbackBackend


class _LoopbackBackend(_TorchBackend):  # type: ignore[misc]
    def on_start(self, worker_group: Any, backend_config: LoopbackConfig) -> None:
        """Form the process group. Ray Train calls this for each group of workers that it starts."""
        on_gpus = worker_group.get_resources_per_worker().get("GPU", 0) > 0
        arguments = {
            "backend": "nccl" if on_gpus else "gloo",
            "rendezvous": str(Path(backend_config.folder, f"rendezvous-{uuid.uuid4().hex}")),
            "world_size": len(worker_group),
            "timeout_s": backend_config.timeout_s,
        }
        joining = [
            worker_group.execute_single_async(rank, _join, world_rank=rank, **arguments)
            for rank in range(len(worker_group))
        ]
        ray.get(joining)


def _join(
    *, backend: str, rendezvous: str, world_rank: int, world_size: int, timeout_s: int
) -> None:
    dist.init_process_group(
        backend,
        # A store, because PyTorch does not decode the %3A of a file:// URI.
        store=dist.FileStore(rendezvous, world_size),  # type: ignore[attr-defined]
        rank=world_rank,
        world_size=world_size,
        timeout=datetime.timedelta(seconds=timeout_s),
    )
