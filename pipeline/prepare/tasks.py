"""Runs the tasks of ``prepare`` in this process or in several, each of them once.

:mod:`pipeline.prepare.ray_tasks` runs them on a Ray cluster.

A task writes its files and returns a small result. The result is written last, under a name of its
own. So a run that was killed goes on with the tasks that have no result yet.
"""

from __future__ import annotations

import ctypes
import json
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from pipeline.errors import RunError
from pipeline.storage.files import write_json

T = TypeVar("T")
TaskResult = dict[str, Any]
"""What a task found, as JSON values."""

OnResult = Callable[[TaskResult], None]

_SET_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux's prctl


class TaskRunner:
    """Runs tasks and keeps their results.

    Args:
        folder: the folder of the results; it exists.
        pool: runs tasks in other processes. None to run them in this one.
        n_workers: the number of the pool's processes.
    """

    def __init__(self, folder: Path, pool: ProcessPoolExecutor | None, n_workers: int) -> None:
        self._folder = folder
        self._pool = pool
        self._n_workers = n_workers

    def run(
        self,
        kind: str,
        function: Callable[[T], TaskResult],
        tasks: Sequence[T],
        on_result: OnResult = lambda _result: None,
    ) -> list[TaskResult]:
        """Run a function for each task, except for those that have a result.

        Args:
            kind: the first part of the names of the results.
            function: does one task. It is defined at the top of a module, and gives the same
                result and files in any process.
            tasks: its arguments, the same and in the same order whenever a run goes on.
            on_result: called after each task, also for results of an earlier run.

        Returns:
            the results, in the order of the tasks.

        Raises:
            RunError: a worker process was killed.
        """
        paths = [self._folder / f"{kind}-{number:06d}.json" for number in range(len(tasks))]
        results: dict[int, TaskResult] = {}
        for number, path in enumerate(paths):
            if path.exists():
                results[number] = json.loads(path.read_bytes())
                on_result(results[number])
        todo = [number for number in range(len(tasks)) if number not in results]
        for number, result in self.execute(function, tasks, todo):
            write_json(paths[number], result)
            results[number] = result
            on_result(result)
        return [results[number] for number in range(len(tasks))]

    def execute(
        self, function: Callable[[T], TaskResult], tasks: Sequence[T], todo: list[int]
    ) -> Iterator[tuple[int, TaskResult]]:
        """Run a function for some of the tasks, and yield numbers and results as tasks end.

        Args:
            function: does one task.
            tasks: all tasks.
            todo: the numbers of those to do.

        Raises:
            RunError: a worker process was killed.
        """
        if self._pool is None or len(todo) < 2:
            yield from ((number, function(tasks[number])) for number in todo)
            return
        waiting = iter(todo)
        running: dict[Future[TaskResult], int] = {}
        try:
            # One more than there are workers, so that none waits. Not all, so that few are undone.
            for number in _first(waiting, self._n_workers + 1):
                running[self._pool.submit(function, tasks[number])] = number
            while running:
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    done = running.pop(future)
                    for number in _first(waiting, 1):
                        running[self._pool.submit(function, tasks[number])] = number
                    yield done, future.result()
        except BrokenProcessPool as error:
            raise RunError(
                "a worker process was killed, perhaps because there was not enough memory; free "
                "some, or take fewer workers, and start the command again: it goes on"
            ) from error


@contextmanager
def task_runner(folder: Path, n_workers: int) -> Iterator[TaskRunner]:
    """A runner whose processes end with the block.

    Args:
        folder: the folder of the results; it is made if it is missing.
        n_workers: the number of processes. With 1, tasks run in this process.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if n_workers == 1:
        yield TaskRunner(folder, None, 1)
        return
    pool = ProcessPoolExecutor(
        n_workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin_worker,
        initargs=(os.getpid(),),
    )
    try:
        yield TaskRunner(folder, pool, n_workers)
    finally:
        # `shutdown` waits for tasks that run. After Ctrl-C or an error, nobody wants their results.
        for process in list((pool._processes or {}).values()):
            if sys.exc_info()[0] is not None:
                process.kill()
        pool.shutdown(cancel_futures=True)


def _first(numbers: Iterator[int], n: int) -> Iterator[int]:
    for _, number in zip(range(n), numbers, strict=False):
        yield number


def _begin_worker(parent: int) -> None:
    """The beginning of a worker process: it ends with its parent, and takes one core."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, too, and ends it
    end_with_parent(parent)
    pa.set_cpu_count(1)


def end_with_parent(parent: int) -> None:
    """Have Linux kill this process when its parent ends, also when the parent is killed.

    Args:
        parent: the process number of the parent.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_SET_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the call
        sys.exit(1)
