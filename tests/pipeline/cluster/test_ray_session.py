"""Ray in a side thread: results, errors, polling, interruption, and listening on loopback only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time

import pytest
import ray

from pipeline.cluster.ray_session import run_on_ray

pytestmark = pytest.mark.ray


def test_the_result_is_returned_and_the_main_thread_polls(running_ray: None) -> None:
    polled_at = []

    result = run_on_ray(
        lambda: time.sleep(2.0) or 42,
        address=None,
        on_poll=lambda: polled_at.append(time.monotonic()),
    )

    assert result == 42
    assert len(polled_at) >= 2


def test_an_error_of_the_work_is_raised_in_the_main_thread(running_ray: None) -> None:
    def work() -> None:
        raise ZeroDivisionError("planted")

    with pytest.raises(ZeroDivisionError, match="planted"):
        run_on_ray(work, address=None)


def python(code: str) -> subprocess.Popen[str]:
    """Run code in another process, because this one already runs a Ray."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_local_ray_listens_on_loopback_only_and_ends_with_the_work() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent: this only asks for the route
            own_address = probe.getsockname()[0]
        except OSError:
            pytest.skip("this machine has no address but loopback")
    process = python(
        """
        import sys
        import ray
        from pipeline.cluster.ray_session import run_on_ray

        def work():
            node = ray.nodes()[0]
            print(node["NodeManagerPort"], node["ObjectManagerPort"], flush=True)
            sys.stdin.readline()

        run_on_ray(work, address="local")
        print(ray.is_initialized(), flush=True)
        """
    )
    assert process.stdout is not None
    ports = [int(port) for port in process.stdout.readline().split()]

    answers = {}
    for host in ("127.0.0.1", own_address):
        for port in ports:
            with socket.socket() as client:
                client.settimeout(1)
                answers[host, port] = client.connect_ex((host, port)) == 0

    assert len(ports) == 2
    assert answers == {(host, port): host == "127.0.0.1" for host, port in answers}
    assert process.communicate("\n", timeout=60)[0].strip() == "False"  # it ended with the work


def test_the_private_ray_of_another_process_is_not_used(running_ray: None) -> None:
    process = python(
        """
        import ray
        from pipeline.cluster.ray_session import run_on_ray

        print(run_on_ray(lambda: ray.get_runtime_context().gcs_address, address=None), flush=True)
        """,
    )

    address = process.communicate(timeout=90)[0].strip()

    assert address.startswith("127.0.0.1:")
    assert address != ray.get_runtime_context().gcs_address


def test_an_interruption_shuts_ray_down_for_good(running_ray: None) -> None:
    process = python(
        """
        import time
        import ray
        from pipeline.cluster.ray_session import run_on_ray

        def work():
            print("working", flush=True)
            while ray.is_initialized():
                time.sleep(0.05)
            try:
                ray.put(1)  # does not attach to the Ray that another process runs
            except Exception as error:
                print(type(error).__name__, flush=True)

        try:
            run_on_ray(work, address="local")
        except KeyboardInterrupt:
            print("interrupted", ray.is_initialized(), flush=True)
        """
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "working"

    os.kill(process.pid, signal.SIGINT)

    assert process.communicate(timeout=60)[0].split("\n")[:-1] == [
        "RaySystemError",
        "interrupted False",
    ]


def test_an_interruption_while_ray_starts_prevents_the_work() -> None:
    process = python(
        """
        import time
        import ray
        from pipeline.cluster import ray_session

        def start(**options):
            print("starting", flush=True)
            time.sleep(1)
            start_local(**options)

        start_local, ray_session.start_local = ray_session.start_local, start
        try:
            ray_session.run_on_ray(lambda: print("worked", flush=True), address="local")
        except KeyboardInterrupt:
            print("interrupted", ray.is_initialized(), flush=True)
        """
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "starting"

    os.kill(process.pid, signal.SIGINT)

    assert process.communicate(timeout=60)[0].split() == ["interrupted", "False"]


def test_no_cluster_at_an_address_is_an_error_that_names_it() -> None:
    process = python(
        """
        from lingo_model import InputError
        from pipeline.cluster.ray_session import run_on_ray

        try:
            run_on_ray(lambda: None, address="127.0.0.1:1")
        except InputError as error:
            print(error)
        """
    )

    message = process.communicate(timeout=90)[0]

    assert message.startswith("ray_address='127.0.0.1:1': no Ray cluster answers there")
