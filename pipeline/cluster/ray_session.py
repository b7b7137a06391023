"""Ray beside a main thread that stays free for signals and progress.

``ray.init()`` on the main thread would replace signal handlers (Prefect's for cancelling among
them), so Ray lives in a side thread and the main thread waits, watches, and on an interruption
shuts Ray down.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import ray
from ray._private import auto_init_hook, ray_constants
from ray.exceptions import AuthenticationError

from lingo_model import InputError

T = TypeVar("T")
_POLL_SECONDS = 0.2

# After a shutdown the side thread ends by an error from Ray; a stuck one must not hang the user.
_SHUTDOWN_SECONDS = 30.0
_CONNECT_SECONDS = 5.0
_shutting_down = threading.Lock()

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray Train's controller polls its workers; at its 2 s a short run is mostly waiting.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    # Importing torch in many processes on busy cores takes longer than the 60 s that are allowed.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "300",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Its core prints an error for every actor of Ray Data, about arguments that Ray Data stores.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}

_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}


def run_on_ray(
    work: Callable[[], T], *, address: str | None, watch: Callable[[], None] = lambda: None
) -> T:
    """Call ``work`` with Ray running, and ``watch`` from the calling thread all the while.

    A Ray that this process runs already is used and left running; otherwise one is connected to
    or started, and shut down at the end; after that, Ray starts in this process only by
    ``ray.init()``, no more by itself.

    Args:
        address: a cluster's address; ``"auto"`` is one that runs on this machine, ``"local"``
            starts one on loopback. None: what RAY_ADDRESS says (it is set in a cluster's jobs),
            else local.

    Raises:
        InputError: no cluster answers at ``address``. What ``work`` raises is raised here.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    started_here = not ray.is_initialized()
    connected, interrupted, ended = threading.Event(), threading.Event(), threading.Event()

    def side() -> None:
        try:
            try:
                if started_here:
                    _connect(address)
            finally:
                connected.set()
            if not interrupted.is_set():
                results.append(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the calling thread
            errors.append(error)
        finally:
            # Here, not in the main thread: a local Ray's servers are killed when the thread that
            # started them ends, and a driver whose servers are gone may wait for them a minute
            # and then end its whole process.
            if started_here:
                _shut_down()
            ended.set()

    threading.Thread(target=side, name="ray", daemon=True).start()
    try:
        # Not the thread's join(): one that is interrupted takes the thread for ended (before 3.13).
        while not ended.wait(_POLL_SECONDS):
            watch()
    except BaseException:
        interrupted.set()
        connected.wait(_SHUTDOWN_SECONDS)  # a Ray that is only starting would not be shut down
        _shut_down()
        ended.wait(_SHUTDOWN_SECONDS)
        raise
    if errors:
        raise errors[0]
    return results[0]


def start_local(n_cpus: int | None = None) -> None:
    """Start a Ray of this process's own, whose servers listen on loopback alone.

    Args:
        n_cpus: how many CPUs it offers; None for all.
    """
    _set_environment()
    # Nobody takes this machine away, and the process that looks for it costs a hundredth of a core.
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    # Ray replaces 127.0.0.1 by the machine's own address and listens on all interfaces, unless
    # clusters are off, which it has a switch for on other systems than Linux only. The switch is
    # read when Ray is imported: the variable is for its servers, the constant for this process.
    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"
    before, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        ray.init(
            address="local",
            num_cpus=n_cpus,
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            **_QUIET,
        )
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        del os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR]


def is_local(address: str | None) -> bool:
    """Whether work with this address would run on this machine, in a Ray of its own."""
    return (address if address is not None else os.environ.get("RAY_ADDRESS", "local")) == "local"


def _connect(address: str | None) -> None:
    """Attach to the cluster that is named here or by RAY_ADDRESS, else start one.

    Ray's own way would be to attach to any Ray that runs on this machine: another command's
    private one too, which goes when that command ends and leaves this one waiting for ever.
    """
    _set_environment()
    # A thread of Ray Data that outlives the shutdown would, with its next call, attach to
    # whatever Ray runs on this machine, or start one.
    auto_init_hook.enable_auto_connect = False
    if is_local(address):
        start_local()
        return
    address = address if address is not None else os.environ["RAY_ADDRESS"]
    answered = False
    try:
        answered = _port_answers(address)
        ray.init(address=address, **_QUIET)
    except (OSError, ValueError, RuntimeError, AuthenticationError) as error:
        if answered:  # with an address Ray sends a token only where it is told to
            problem = "what answers there is no Ray cluster, or one that wants a token"
            remedy = "for that set RAY_AUTH_MODE=token, with its token in ~/.ray/auth_token"
        else:
            problem = "no Ray cluster answers there"
            remedy = "start one with `ray start --head`"
        raise InputError(
            f"ray_address={address!r}: {problem}; {remedy}, or leave ray_address out"
        ) from error


def _port_answers(address: str) -> bool:
    """Whether the address names a port, and that answers.

    Raises:
        OSError: nobody is there; Ray itself would knock for minutes.
    """
    host, _, port = address.rpartition(":")
    if not port.isdigit() or "://" in host:
        return False
    socket.create_connection((host, int(port)), timeout=_CONNECT_SECONDS).close()
    return True


def _set_environment() -> None:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)


def _shut_down() -> None:
    # The main thread and Ray's may both come here after an interruption.
    with _shutting_down, contextlib.suppress(Exception):
        ray.shutdown()
