"""Places the training workers and runs them through Ray Train."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import ray.train
import torch
from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.torch import TorchTrainer, get_device

from lingo_model import InputError
from pipeline.cluster.failures import _reason
from pipeline.cluster.loopback_backend import LOOPBACK_ENVIRONMENT, LoopbackConfig, is_on_loopback
from pipeline.cluster.ray_session import is_local
from pipeline.errors import RunError
from pipeline.train.checkpoint import last_checkpoint
from pipeline.train.recipe import TrainConfig, TrainResources
from pipeline.train.worker import WORKER_ENVIRONMENT, TrainWorker
from pipeline.train.worker_context import WorkerContext

_MAX_WORKER_FAILURES = 3
_LEAST_CPUS = 0.5  # of a worker


class _OwnTrainer(TorchTrainer):  # type: ignore[misc]
    """A trainer on a Ray of our own: what should tidy up after it goes with it, too.

    That callback asks the dashboard, which such a Ray has not, and each run would wait twelve
    seconds for the answer.
    """

    def _create_default_callbacks(self) -> list[Any]:
        found: list[Any] = super()._create_default_callbacks()
        return [one for one in found if type(one).__name__ != "PlacementGroupCleanerCallback"]


def _fit(dataset: Path, training_dir: Path, config: TrainConfig, resources: TrainResources) -> None:
    """Run the workers to the end; called with Ray running."""
    scaling = _scaling(config, resources)
    name = uuid.uuid4().hex  # Ray would resume its own state under a name that it knows
    ray_folder = training_dir / "ray"
    ray_folder.mkdir(exist_ok=True)
    trainer_class = _OwnTrainer if is_local(resources.ray_address) else TorchTrainer
    torch_config, environment = None, WORKER_ENVIRONMENT
    if is_on_loopback():
        torch_config = LoopbackConfig(folder=str(ray_folder))
        environment = environment | LOOPBACK_ENVIRONMENT
    trainer = trainer_class(
        _ray_worker,
        train_loop_config={
            "dataset": str(dataset),
            "training_dir": str(training_dir),
            "config": config.model_dump(mode="json"),
            "max_minutes": resources.max_minutes,
        },
        torch_config=torch_config,
        scaling_config=scaling,
        run_config=RunConfig(
            name=name,
            storage_path=str(ray_folder),
            failure_config=FailureConfig(
                max_failures=_MAX_WORKER_FAILURES, controller_failure_limit=_MAX_WORKER_FAILURES
            ),
            worker_runtime_env={"env_vars": environment},
        ),
    )
    try:
        trainer.fit()
    except TrainingFailedError as error:
        checkpoint = last_checkpoint(training_dir)
        raise RunError(
            f"{training_dir}: training failed ({_reason(error)}); mend that and run "
            "the same command again: it goes on from "
            f"{checkpoint if checkpoint else 'the beginning, there was no checkpoint yet'}"
        ) from error


def _scaling(config: TrainConfig, resources: TrainResources) -> ScalingConfig:
    """One worker for each GPU, else for each CPU, as far as the lanes go; CPUs shared equally.

    Raises:
        InputError: more workers than the cluster can place (Ray would wait for ever).
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    n_gpus = int(sum(node.get("GPU", 0) for node in nodes))
    n_cpus = int(sum(node.get("CPU", 0) for node in nodes))

    def n_places(cpus_each: float) -> int:
        fit = [(node.get("CPU", 0) // cpus_each, node.get("GPU", 0)) for node in nodes]
        return int(sum(min(by_cpu, by_gpu) if n_gpus else by_cpu for by_cpu, by_gpu in fit))

    most = n_places(_LEAST_CPUS)
    n_workers = resources.n_workers or min(config.n_data_shards, n_gpus or n_cpus, most)
    if not 0 < n_workers <= most:
        raise InputError(
            f"n_workers={n_workers}: the cluster has {n_cpus} CPUs and {n_gpus} GPUs, room for "
            f"{most} workers; set fewer, or give it more"
        )
    while resources.n_workers is None and config.n_data_shards % n_workers:
        n_workers -= 1  # lanes shared out unevenly would leave workers waiting
    n_free = n_cpus  # for workers together: what others hold on a cluster, they may hold for long
    if not is_local(resources.ray_address):
        n_free = ray.available_resources().get("CPU", 0)
    cpus_each = next(
        (
            share
            for share in range(n_cpus, 0, -1)
            if n_places(share) >= n_workers and share * n_workers <= n_free
        ),
        _LEAST_CPUS,
    )
    return ScalingConfig(
        num_workers=n_workers,
        use_gpu=n_gpus > 0,
        resources_per_worker={"CPU": cpus_each} | ({"GPU": 1} if n_gpus else {}),
    )


def _ray_worker(loop_config: dict[str, Any]) -> None:
    """One Ray Train worker: finds its place and trains."""
    context = ray.train.get_context()
    assigned = ray.get_runtime_context().get_assigned_resources()
    torch.set_num_threads(max(1, int(assigned.get("CPU", 1))))
    place = WorkerContext(context.get_world_rank(), context.get_world_size(), get_device())
    worker = TrainWorker(
        Path(loop_config["dataset"]),
        Path(loop_config["training_dir"]),
        TrainConfig.model_validate(loop_config["config"]),
        place,
    )
    worker.train(max_minutes=loop_config["max_minutes"])
