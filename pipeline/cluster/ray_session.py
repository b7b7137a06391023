"""Runs Ray in a side thread, so that the main thread can handle signals and show progress.

``ray.init()`` on the main thread would replace signal handlers, such as Prefect's for cancelling.
The main thread waits, polls, and shuts Ray down when it is interrupted.

``_temp_dir``, ``auto_init_hook``, ``ray_constants`` and ``_node_ip_address`` are private to Ray;
tests/pipeline/cluster/test_ray_private_names.py checks them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray._private import auto_init_hook, ray_constants
from ray.exceptions import AuthenticationError

from lingo_model import InputError
from pipeline.cluster.ray_folder import ray_folder, watchdog
from pipeline.cluster.ray_messages import log_records_in, messages_in

T = TypeVar("T")
_POLL_SECONDS = 0.2
# Ray's core replaces the handler of SIGTERM while it starts. A poll puts it back.
_STARTING_POLL_SECONDS = 0.01

# After a shutdown, an error from Ray ends the side thread. The user does not wait longer than this.
_SHUTDOWN_SECONDS = 30.0
_CONNECT_SECONDS = 5.0
_shutting_down = threading.Lock()

_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray Train's controller polls its workers. Every 2 s, its default, a short run mostly waits.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    # Importing torch in many processes on busy cores takes longer than 60 s, the default.
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "300",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # Ray's core prints a harmless error for every actor of Ray Data, about its stored arguments.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}

_QUIET: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}


def run_on_ray(
    work: Callable[[], T], *, address: str | None, on_poll: Callable[[], None] = lambda: None
) -> T:
    """Call ``work`` in a side thread while Ray runs.

    If Ray already runs in this process, it is used and left running. Otherwise this connects to a
    cluster or starts a private Ray, and shuts it down at the end. After that, Ray no longer starts
    by itself in this process, but only by ``ray.init()``.

    Args:
        work: called once, in the side thread.
        address: address of a cluster; ``"auto"`` for one that runs on this machine, ``"local"`` to
            start a private Ray on loopback. None takes RAY_ADDRESS, which is set in the jobs of a
            cluster, else ``"local"``.
        on_poll: called in this thread every 0.2 s until ``work`` ends.

    Returns:
        the result of ``work``.

    Raises:
        InputError: no cluster answers at ``address``.
        BaseException: any error of ``work``.
    """
    results: list[T] = []
    errors: list[BaseException] = []
    started_here = not ray.is_initialized()
    connected, interrupted, ended = threading.Event(), threading.Event(), threading.Event()

    def run_work() -> None:
        if interrupted.is_set():
            return
        try:
            results.append(work())
        except Exception as error:
            if interrupted.is_set():
                raise _Interrupted from error  # the shutdown made the work fail
            raise

    def run_side_thread() -> None:
        try:
            if started_here:
                with (
                    ray_folder() as folder,
                    messages_in(folder),
                    watchdog(folder),
                    _connection(address, folder, connected),
                ):
                    run_work()
            else:
                connected.set()
                run_work()
        except BaseException as error:  # noqa: BLE001 - raised again in the calling thread
            errors.append(error)
        finally:
            connected.set()
            ended.set()

    threading.Thread(target=run_side_thread, name="ray", daemon=True).start()
    try:
        # Not Thread.join(): before Python 3.13, an interrupted join takes the thread for ended.
        while not ended.wait(_POLL_SECONDS if connected.is_set() else _STARTING_POLL_SECONDS):
            _restore_signal_handlers()
            on_poll()
    except BaseException:
        interrupted.set()
        connected.wait(_SHUTDOWN_SECONDS)  # ray.shutdown() ignores a Ray that is still starting
        _restore_signal_handlers()
        _shut_down()
        ended.wait(_SHUTDOWN_SECONDS)
        raise
    if errors:
        raise errors[0]
    return results[0]


@contextlib.contextmanager
def _connection(address: str | None, folder: Path, connected: threading.Event) -> Iterator[None]:
    """Connect to Ray, and shut it down at the end.

    The same thread must do both: the servers of a local Ray are killed when the thread that started
    them ends. A driver without its servers may wait for them a minute, and then exit the process.

    Args:
        address: see :func:`run_on_ray`.
        folder: the folder of the logs and sockets of a local Ray.
        connected: is set when the attempt to connect has ended.

    Raises:
        InputError: no cluster answers at ``address``.
    """
    try:
        _connect(address, folder)
    except BaseException:
        _shut_down()
        raise
    finally:
        connected.set()
    with log_records_in(folder):
        try:
            yield
        finally:
            _shut_down()


class _Interrupted(BaseException):
    """Ends the side thread after an interruption. The main thread raises the interruption."""


def _restore_signal_handlers() -> None:
    """Put Python's signal handlers back in place of the one that Ray's core installs for SIGTERM.

    Ray's core prints its stack and ends the process. With Python's handler, a command ends as with
    Ctrl-C, and Prefect can cancel a flow.
    """
    if threading.current_thread() is threading.main_thread():
        handler = signal.getsignal(signal.SIGTERM)
        if handler is not None:  # None: it was not installed from Python
            signal.signal(signal.SIGTERM, handler)


def start_local(n_cpus: int | None = None, folder: Path | None = None) -> None:
    """Start a private Ray, whose servers listen on loopback alone.

    Args:
        n_cpus: number of CPUs that it offers; None for all.
        folder: the folder of its logs and sockets; None for Ray's own.
    """
    _set_environment()
    # This machine is not preempted, and the process that watches for that takes 1 % of a core.
    os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    # Ray replaces 127.0.0.1 by the machine's address and listens on all interfaces, unless clusters
    # are disabled. Ray has a documented switch for that on other systems than Linux only, and reads
    # it at import: the variable is for the servers, the constant for this process.
    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"
    before, ray_constants.ENABLE_RAY_CLUSTER = ray_constants.ENABLE_RAY_CLUSTER, False
    try:
        ray.init(
            address="local",
            num_cpus=n_cpus,
            include_dashboard=False,
            _node_ip_address="127.0.0.1",
            _temp_dir=None if folder is None else str(folder),
            **_QUIET,
        )
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        del os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR]


def is_local(address: str | None) -> bool:
    """Whether :func:`run_on_ray` would start a private Ray for this address."""
    return (address if address is not None else os.environ.get("RAY_ADDRESS", "local")) == "local"


def _connect(address: str | None, folder: Path) -> None:
    """Connect to the cluster at ``address`` or RAY_ADDRESS, or start a private Ray.

    The logs and sockets of a private Ray are in ``folder``.

    By default, Ray connects to any Ray on this machine. That may be the private Ray of another
    command; when that command ends, this process would wait forever.

    Raises:
        InputError: no cluster answers, or it refuses the connection.
    """
    _set_environment()
    # Otherwise the next call of a Ray Data thread that outlives the shutdown would connect to any
    # Ray on this machine, or start one.
    auto_init_hook.enable_auto_connect = False
    if is_local(address):
        start_local(folder=folder)
        return
    address = address if address is not None else os.environ["RAY_ADDRESS"]
    answered = False
    try:
        answered = _port_answers(address)
        ray.init(address=address, **_QUIET)
    except (OSError, ValueError, RuntimeError, AuthenticationError) as error:
        if answered:  # Ray sends a token only if RAY_AUTH_MODE says so
            problem = "the server there is not a Ray cluster, or it needs a token"
            remedy = "set RAY_AUTH_MODE=token and write the token to ~/.ray/auth_token"
        else:
            problem = "no Ray cluster answers there"
            remedy = "start one with `ray start --head`"
        raise InputError(
            f"ray_address={address!r}: {problem}; {remedy}, or omit ray_address"
        ) from error


def _port_answers(address: str) -> bool:
    """Whether a server accepts connections at an address; False if it has no port to try.

    Raises:
        OSError: no server answers. Ray itself would try for minutes.
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
    # After an interruption, the main thread and the side thread may both call this.
    with _shutting_down, contextlib.suppress(Exception):
        ray.shutdown()
