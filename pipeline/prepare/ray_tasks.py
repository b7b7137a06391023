"""Runs the tasks of ``prepare`` on a Ray cluster. The only file of this stage that knows Ray.

Rows of the corpus never pass through Ray: tasks read and write files in folders that all nodes
share, and return small results. If a worker is killed or a node is lost, Ray runs the task again,
which replaces its files by equal ones.

The tasks are plain Ray tasks, not a map of Ray Data. There are several phases of tasks, and each
result is kept as soon as it is there. On two CPUs, 200 empty tasks take 0.2 s, and 3.4 s by Ray
Data, which takes a second to start each phase.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from lingo_model import InputError
from pipeline.cluster.failures import reason_in_traceback
from pipeline.cluster.ray_session import run_on_ray
from pipeline.errors import RunError, one_line
from pipeline.prepare.tasks import TaskResult, TaskRunner
from pipeline.storage.files import write_bytes

T = TypeVar("T")
R = TypeVar("R")

_TOKEN = "token"
_SECONDS_TO_LOOK = 120.0
_MAX_RETRIES = 5  # of a task whose worker or node is lost
# Ray wraps errors in one of its own. These pass it as values, so that they keep their class.
_ERRORS: dict[str, type[Exception]] = {
    "InputError": InputError,
    "RunError": RunError,
    "OSError": OSError,
}


def run_tasks_on_ray(
    work: Callable[[TaskRunner], R], results: Path, *, address: str, inputs: Sequence[Path]
) -> R:
    """Call ``work`` with a runner whose tasks run on a Ray cluster.

    Args:
        work: runs the tasks.
        results: the folder of their results, in a folder that all nodes see.
        address: the cluster; see :func:`pipeline.cluster.ray_session.run_on_ray`.
        inputs: the files and folders that tasks read.

    Returns:
        the result of ``work``.

    Raises:
        InputError: no cluster answers at ``address``, or a node does not see the folder of the
            results or an input.
        RunError: a task failed on the cluster.
        BaseException: any error of ``work``.
    """

    def on_cluster() -> R:
        _check_nodes(results, inputs)
        return work(_RayTaskRunner(results))

    results.mkdir(parents=True, exist_ok=True)
    return run_on_ray(on_cluster, address=address)


class _RayTaskRunner(TaskRunner):
    """Runs tasks on a cluster and keeps their results.

    Args:
        folder: the folder of the results.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, None, 1)

    def execute(
        self, function: Callable[[T], TaskResult], tasks: Sequence[T], todo: list[int]
    ) -> Iterator[tuple[int, TaskResult]]:
        if len(todo) < 2:
            yield from super().execute(function, tasks, todo)
            return
        do_task = ray.remote(_do_task).options(num_cpus=1, max_retries=_MAX_RETRIES)
        shared_function = ray.put(function)
        n_cpus = int(ray.cluster_resources().get("CPU", 1))
        waiting = iter(todo)
        running: dict[ray.ObjectRef[_Answer], int] = {}
        try:
            while True:
                # Not all at once, so that the driver holds few tasks. Not fewer, so that a cluster
                # that grows by itself sees that it should.
                for number in itertools.islice(waiting, max(0, 2 * n_cpus - len(running))):
                    running[do_task.remote(shared_function, tasks[number])] = number
                if not running:
                    return
                (done,), _ = ray.wait(list(running), num_returns=1)
                error, result = ray.get(done)
                if error is not None:
                    raise _ERRORS[error](result["message"])
                yield running.pop(done), result
        except ray.exceptions.RayError as error:
            raise RunError(
                f"a task failed on the Ray cluster ({reason_in_traceback(str(error))}); start the "
                "command again: it goes on"
            ) from error


_Answer = tuple[str | None, TaskResult]
"""The name of an error in ``_ERRORS`` with its message, or None with a result."""


def _do_task(function: Callable[[Any], TaskResult], task: Any) -> _Answer:
    """Do one task in a worker of Ray."""
    pa.set_cpu_count(1)
    try:
        return None, function(task)
    except tuple(_ERRORS.values()) as error:
        name = next(name for name, kind in _ERRORS.items() if isinstance(error, kind))
        return name, {"message": one_line(error)}


def _check_nodes(folder: Path, inputs: Sequence[Path]) -> None:
    """Check that every node sees the folder of this run, and its inputs, before any work.

    Raises:
        InputError: a node does not. Names the node and the path.
        RunError: a node does not answer.
    """
    token = secrets.token_bytes(16)
    file = folder / _TOKEN
    write_bytes(file, token)
    sizes = _sizes(inputs)
    nodes = [node for node in ray.nodes() if node["Alive"]]
    answers = [
        ray.remote(_unseen_path)
        .options(
            num_cpus=0,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
        )
        .remote(file, token, sizes)
        for node in nodes
    ]
    for node, answer in zip(nodes, answers, strict=True):
        address = node["NodeManagerAddress"]
        try:
            unseen: Path | None = ray.get(answer, timeout=_SECONDS_TO_LOOK)
        except ray.exceptions.RayError as error:
            raise RunError(
                f"the Ray node {address} does not answer ({one_line(error)[:200]}); check it, and "
                "start the command again"
            ) from error
        if unseen == file:
            raise InputError(
                f"{folder}: the Ray node {address} does not see this folder; name an output (or "
                "for an output on S3, a --work-folder) on a disk that all nodes share"
            )
        if unseen is not None:
            raise InputError(
                f"{unseen}: the Ray node {address} does not see this file as it is here; put it on "
                "a disk that all nodes share, or on S3"
            )
    file.unlink(missing_ok=True)


def _sizes(paths: Sequence[Path]) -> list[tuple[Path, int | None]]:
    """Each path with the size of the file, or None for a folder."""
    return [(path, path.stat().st_size if path.is_file() else None) for path in paths]


def _unseen_path(
    token_file: Path, token: bytes, sizes: Sequence[tuple[Path, int | None]]
) -> Path | None:
    """The first path that this node does not see as the driver does, or None."""
    try:
        if token_file.read_bytes() != token:
            return token_file
    except OSError:
        return token_file
    for path, size in sizes:
        try:
            if size is not None and path.stat().st_size != size:
                return path
            if size is None and not path.is_dir():
                return path
        except OSError:
            return path
    return None
