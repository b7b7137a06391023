"""Ray beside a main thread that stays free for signals and progress.

``ray.init()`` on the main thread would replace signal handlers (Prefect's for cancelling among
them), so Ray lives in a side thread and the main thread waits, watches, and on an interruption
shuts Ray down.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from typing import TypeVar

import ray

from lingo_model import InputError

T = TypeVar("T")

_POLL_SECONDS = 0.2
# After a shutdown the side thread ends by an error from Ray; a stuck one must not hang the user.
_SHUTDOWN_SECONDS = 30.0

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray Train's controller polls its workers; at its 2 s a short run is mostly waiting.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    # Importing torch in many processes on busy cores takes longer than the 60 s that are allowed.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "300",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def run_on_ray(
    work: Callable[[], T], *, address: str | None, watch: Callable[[], None] = lambda: None
) -> T:
    """Call ``work`` with Ray running, and ``watch`` from the calling thread all the while.

    A Ray that this process runs already is used and left running; otherwise one is connected to
    or started, and shut down at the end.

    Args:
        address: a cluster's address; ``"local"`` starts one on loopback; None attaches to a
            running cluster, or starts one where there is none.

    Raises:
        InputError: no cluster answers at ``address``. What ``work`` raises is raised here.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    started_here = not ray.is_initialized()

    def side() -> None:
        try:
            if started_here:
                _connect(address)
            results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the calling thread
            errors.append(error)

    thread = threading.Thread(target=side, name="ray", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_POLL_SECONDS)
            watch()
    except BaseException:
        _shut_down()
        thread.join(_SHUTDOWN_SECONDS)
        raise
    if started_here:
        _shut_down()
    if errors:
        raise errors[0]
    return results[0]


def _connect(address: str | None) -> None:
    os.environ.update({k: v for k, v in _ENVIRONMENT.items() if k not in os.environ})
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address not in (None, "local"):
        try:
            ray.init(address=address, **quiet)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InputError(
                f"ray_address={address!r}: no Ray cluster answers there; start one with "
                "`ray start --head`, or leave ray_address out"
            ) from error
        return
    if address is None and "RAY_ADDRESS" not in os.environ:
        # Attach only to a cluster that runs; a new one is started below, on loopback.
        with contextlib.suppress(ConnectionError):
            ray.init(address="auto", **quiet)
            return
    elif address is None:
        ray.init(**quiet)
        return
    ray.init(address="local", include_dashboard=False, _node_ip_address="127.0.0.1", **quiet)


def _shut_down() -> None:
    with contextlib.suppress(Exception):
        ray.shutdown()
