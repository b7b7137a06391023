"""Finds the line that says what went wrong in the errors that Ray raises."""

from __future__ import annotations

import re

from ray.train import TrainingFailedError


def _reason(error: TrainingFailedError) -> str:
    """The line that says what went wrong.

    Where one worker is gone, the others fail because they do not reach it: that is not it.
    """
    failures = list(getattr(error, "worker_failures", {}).values()) or [error]
    reasons = []
    for failure in failures:
        lines = [line.strip() for line in str(failure).splitlines() if line.strip()]
        named = [line for line in lines if re.match(r"[\w.]+(Error|Exception)\b", line)]
        reasons.append((named or lines or [type(failure).__name__])[-1])
    return next((reason for reason in reasons if "by peer" not in reason), reasons[0])


_RAISED = re.compile(r"[\w.]*(?:Error|Exception|Exit|Interrupt)(?:\(\w+\))?: .+")
_RAISED_BY_RAY = re.compile(r"ray\.|RayTaskError|UserCodeException")


def reason_of(text: str) -> str:
    """The line of a worker's traceback that says what happened, without Ray's own around it."""
    found = [match[0] for line in text.splitlines() if (match := _RAISED.match(line.strip()))]
    own = [line for line in found if not _RAISED_BY_RAY.match(line)]
    return (own or found or text.strip().splitlines() or ["no reason given"])[-1]
