"""Finds the reason of a failure in the errors that Ray raises, as one line for people."""

from __future__ import annotations

import re

from ray.exceptions import RayError, RayTaskError
from ray.train import ControllerError, TrainingFailedError, WorkerGroupError

_RAISED = re.compile(r"[\w.]*(?:Error|Exception|Exit|Interrupt)(?:\(\w+\))?: .+")
_RAISED_BY_RAY = re.compile(r"ray\.|RayTaskError|UserCodeException")


def reason_of_training_failure(error: TrainingFailedError) -> str:
    """The error of the worker that failed first, as one line.

    When a worker dies, the others fail too, because they lose the connection to it. Their errors
    are returned only if there is no other.
    """
    failures: list[BaseException] = [error]
    if isinstance(error, WorkerGroupError) and error.worker_failures:
        failures = [failure for _, failure in sorted(error.worker_failures.items())]
    elif isinstance(error, ControllerError):
        failures = [error.controller_failure]
    reasons = [_reason_of(failure) for failure in failures]
    return next((reason for reason in reasons if "by peer" not in reason), reasons[0])


def _reason_of(error: BaseException) -> str:
    if isinstance(error, RayTaskError) and isinstance(error.cause, BaseException):
        error = error.cause
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    if isinstance(error, RayError | TrainingFailedError):
        return lines[-1]  # Ray's own messages end with the cause
    return f"{type(error).__name__}: {lines[0]}"


def reason_in_traceback(text: str) -> str:
    """The line of a traceback that names the error which Ray did not raise itself.

    For errors of Ray Data. It wraps an error of our code in its own ``UserCodeException``, and the
    original error reaches this process only as text: pickling drops ``__cause__``.

    Args:
        text: the message of Ray's error.
    """
    raised = [match[0] for line in text.splitlines() if (match := _RAISED.match(line.strip()))]
    not_by_ray = [line for line in raised if not _RAISED_BY_RAY.match(line)]
    return (not_by_ray or raised or text.strip().splitlines() or ["no reason given"])[-1]
