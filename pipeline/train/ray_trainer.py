"""Starts the training workers through Ray Train, with CPUs and GPUs for each."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import ray.train
import torch
from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.torch import TorchTrainer, get_device

from lingo_model import InputError
from pipeline.cluster.failures import reason_of_training_failure
from pipeline.cluster.loopback_backend import LOOPBACK_ENVIRONMENT, LoopbackConfig, is_on_loopback
from pipeline.cluster.ray_session import is_local
from pipeline.dataset.dataset import Dataset
from pipeline.errors import RunError
from pipeline.train.checkpoint import last_checkpoint
from pipeline.train.recipe import TrainConfig, TrainResources
from pipeline.train.worker import WORKER_ENVIRONMENT, TrainWorker
from pipeline.train.worker_context import WorkerContext

_MAX_WORKER_FAILURES = 3
_MIN_CPUS_PER_WORKER = 0.5

PLACEMENT_GROUP_CLEANER = "PlacementGroupCleanerCallback"
"""Name of the class that :class:`PrivateRayTrainer` leaves out; Ray Train has no option for it."""


class PrivateRayTrainer(TorchTrainer):  # type: ignore[misc]
    """TorchTrainer without the placement-group cleanup callback.

    On a private Ray the callback is not needed, because the placement groups end with Ray. It would
    wait 12 s for a dashboard that does not run.
    """

    def _create_default_callbacks(self) -> list[Any]:
        callbacks: list[Any] = super()._create_default_callbacks()
        return [
            callback for callback in callbacks if type(callback).__name__ != PLACEMENT_GROUP_CLEANER
        ]


def run_workers(
    dataset: Dataset, training_dir: Path, config: TrainConfig, resources: TrainResources
) -> None:
    """Run the training workers until the run ends. Ray must be running.

    Ray Train replaces workers that fail, a few times; they continue from the last checkpoint.

    Args:
        dataset: the dataset, at the same path on every machine.
        training_dir: folder of the run, at the same path on every machine.
        config: the recipe.
        resources: what the run may use.

    Raises:
        InputError: the cluster has no room for ``n_workers``.
        RunError: workers failed too often; the reason, and the checkpoint that the next try
            continues from.
    """
    scaling = scaling_for(config, resources)
    name = uuid.uuid4().hex  # Ray would restore its own state for a name that it knows
    ray_folder = training_dir / "ray"
    ray_folder.mkdir(exist_ok=True)
    trainer_class = PrivateRayTrainer if is_local(resources.ray_address) else TorchTrainer
    torch_config, environment = None, WORKER_ENVIRONMENT
    if is_on_loopback():
        torch_config = LoopbackConfig(folder=str(ray_folder))
        environment = environment | LOOPBACK_ENVIRONMENT
    trainer = trainer_class(
        _run_worker,
        train_loop_config={
            "dataset": str(dataset.path),
            "reverse": dataset.is_reversed,
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
        start = checkpoint if checkpoint else "the beginning, because there is no checkpoint yet"
        raise RunError(
            f"{training_dir}: training failed ({reason_of_training_failure(error)}); fix the cause "
            f"and run the same command again, which continues from {start}"
        ) from error


def scaling_for(config: TrainConfig, resources: TrainResources) -> ScalingConfig:
    """The number of workers, and the CPUs and GPUs of each. Ray must be running.

    The default is a worker for each GPU, or without GPUs for each CPU, but not more than divide the
    data shards equally. CPUs are divided equally among the workers.

    Raises:
        InputError: the cluster has no room for so many workers. Ray would wait for room forever.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    n_gpus = int(sum(node.get("GPU", 0) for node in nodes))
    n_cpus = int(sum(node.get("CPU", 0) for node in nodes))

    def capacity(cpus_per_worker: float) -> int:
        """Number of workers with so many CPUs that the nodes have room for."""
        limits = [(node.get("CPU", 0) // cpus_per_worker, node.get("GPU", 0)) for node in nodes]
        return int(sum(min(by_cpu, by_gpu) if n_gpus else by_cpu for by_cpu, by_gpu in limits))

    max_workers = capacity(_MIN_CPUS_PER_WORKER)
    n_workers = resources.n_workers or min(config.n_data_shards, n_gpus or n_cpus, max_workers)
    if not 0 < n_workers <= max_workers:
        raise InputError(
            f"n_workers={n_workers}: the cluster has {n_cpus} CPUs and {n_gpus} GPUs, room for "
            f"{max_workers} workers; set fewer workers, or add machines"
        )
    while resources.n_workers is None and config.n_data_shards % n_workers:
        n_workers -= 1  # workers with fewer data shards would wait for the others
    n_free_cpus = n_cpus
    if not is_local(resources.ray_address):  # other jobs may keep their CPUs for long
        n_free_cpus = ray.available_resources().get("CPU", 0)
    cpus_per_worker = next(
        (
            n
            for n in range(n_cpus, 0, -1)
            if capacity(n) >= n_workers and n * n_workers <= n_free_cpus
        ),
        _MIN_CPUS_PER_WORKER,
    )
    return ScalingConfig(
        num_workers=n_workers,
        use_gpu=n_gpus > 0,
        resources_per_worker={"CPU": cpus_per_worker} | ({"GPU": 1} if n_gpus else {}),
    )


def _run_worker(loop_config: dict[str, Any]) -> None:
    """Train in the process of one Ray Train worker."""
    ray_context = ray.train.get_context()
    assigned = ray.get_runtime_context().get_assigned_resources()
    torch.set_num_threads(max(1, int(assigned.get("CPU", 1))))
    context = WorkerContext(
        ray_context.get_world_rank(), ray_context.get_world_size(), get_device()
    )
    worker = TrainWorker(
        Path(loop_config["dataset"]),
        Path(loop_config["training_dir"]),
        TrainConfig.model_validate(loop_config["config"]),
        context,
        reverse=loop_config["reverse"],
    )
    worker.train(max_minutes=loop_config["max_minutes"])
