"""The reason of a failed training, from Ray's errors."""

from __future__ import annotations

import pytest
from ray.exceptions import ActorDiedError, RayTaskError
from ray.train import ControllerError, TrainingFailedError, WorkerGroupError

from pipeline.cluster.failures import reason_of_training_failure

DEAD_WORKER = "The actor is dead because its worker process has died. Worker exit type: ERROR"


class DiedWorker(ActorDiedError):
    """Ray's error for a dead worker, with a message as Ray writes it."""

    def __str__(self) -> str:
        return f"The actor died unexpectedly before finishing this task.\n\tpid: 9\n{DEAD_WORKER}"


LOST_CONNECTION = RuntimeError(
    "[gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]"
)
FULL_DISK = OSError(28, "No space left on device")
IN_ACTOR = RayTaskError(
    "method", "Traceback ...\nOSError: ...", FULL_DISK, "worker", 9, "127.0.0.1"
)


@pytest.mark.parametrize(
    ("failures", "reason"),
    [
        ({0: LOST_CONNECTION, 1: DiedWorker()}, DEAD_WORKER),
        ({0: DiedWorker(), 1: LOST_CONNECTION}, DEAD_WORKER),
        ({1: LOST_CONNECTION, 0: FULL_DISK}, "OSError: [Errno 28] No space left on device"),
        ({0: LOST_CONNECTION}, f"RuntimeError: {LOST_CONNECTION}"),
        ({0: RuntimeError("CUDA error\nCompile with it.\n")}, "RuntimeError: CUDA error"),
        ({0: ValueError()}, "ValueError"),
        ({0: IN_ACTOR}, "OSError: [Errno 28] No space left on device"),
    ],
)
def test_the_reason_is_that_of_the_worker_that_failed_first(
    failures: dict[int, Exception], reason: str
) -> None:
    text = "".join(f"[Rank {rank} Error Snippet]:\n{e}\n" for rank, e in failures.items())

    assert reason_of_training_failure(WorkerGroupError(text, failures)) == reason


def test_the_reason_of_an_error_of_the_controller() -> None:
    error = ControllerError(TimeoutError("no worker started"))

    assert reason_of_training_failure(error) == "TimeoutError: no worker started"
    assert reason_of_training_failure(TrainingFailedError("a\nb")) == "b"
