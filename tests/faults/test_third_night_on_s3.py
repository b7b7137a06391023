"""The disturbed third night of ``test_third_night.py``, with lake and table on S3."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from pipeline.storage.location import Location
from pipeline.storage.s3 import S3Path
from pipeline.table.open_table import open_table

pytestmark = pytest.mark.ray


class Flaky:
    """An S3 that is slow and fails one call in ten, every second time after executing it."""

    def __init__(self, server: Callable[..., Any]) -> None:
        self._server = server
        self._numbers = itertools.count(1)
        self.n_failed = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        number = next(self._numbers)
        time.sleep(0.02)
        if number % 10:
            return self._server(environ, start_response)
        if number % 20 == 0:
            list(self._server(environ, lambda *_head: lambda _body: None))
        self.n_failed += 1
        start_response("503 Slow Down", [("Content-Type", "application/xml")])
        return [b"<Error><Code>SlowDown</Code><Message>Reduce your request rate</Message></Error>"]


@pytest.fixture
def flaky(s3: S3Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flaky]:
    """The S3 of ``s3`` behind a flaky endpoint, which the environment names."""
    flaky_server = Flaky(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, flaky_server, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.port}")
    yield flaky_server
    server.shutdown()
    thread.join()


def test_s3_is_slow_and_fails_one_call_in_ten(
    two_nights: Any,
    undisturbed: list[tuple[Any, ...]],
    s3: S3Path,
    flaky: Flaky,
    watched: Callable[[Location], AbstractContextManager[Any]],
) -> None:
    """The night succeeds without help."""
    world = two_nights.uploaded_to(s3)
    with watched(world.table):
        process = world.start_night()
        _, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors.decode()[-2000:]
    assert world.rows() == undisturbed
    assert flaky.n_failed > 20


@pytest.mark.faults
@pytest.mark.parametrize(
    "moment", ["planned", 3, 12, "while reconciling", "before the commit", "after the commit"]
)
def test_the_driver_dies_over_a_flaky_s3(
    two_nights: Any,
    undisturbed: list[tuple[Any, ...]],
    s3: S3Path,
    flaky: Flaky,
    moment: str | int,
    watched: Callable[[Location], AbstractContextManager[Any]],
) -> None:
    world = two_nights.uploaded_to(s3)
    with watched(world.table):
        if isinstance(moment, int):
            process = world.start_night()
            world.wait_for_units(process, moment)
            process.kill()
        else:
            process = world.start_night(moment)
        assert process.wait(timeout=250) == -signal.SIGKILL
        n_published = len(open_table(world.table).published())
        assert n_published == (3 if moment == "after the commit" else 2)
        world.finish()
    assert world.rows() == undisturbed


@pytest.mark.faults
def test_two_runs_at_once_on_s3(
    two_nights: Any,
    undisturbed: list[tuple[Any, ...]],
    s3: S3Path,
    watched: Callable[[Location], AbstractContextManager[Any]],
) -> None:
    """There is no lock. Both continue the run of the first one, and one manifest remains."""
    world = two_nights.uploaded_to(s3)
    with watched(world.table):
        both = [world.start_night(), world.start_night()]
        for process in both:
            _, errors = process.communicate(timeout=280)
            assert process.returncode == 0, errors.decode()[-2000:]
    assert len(open_table(world.table).published()) == 3
    assert world.rows() == undisturbed


@pytest.mark.faults
@pytest.mark.parametrize("change", ["deleted", "truncated", "replaced"])
def test_an_input_file_on_s3_changes_during_the_run(
    two_nights: Any, undisturbed: list[tuple[Any, ...]], s3: S3Path, change: str
) -> None:
    world = two_nights.uploaded_to(s3)
    path = s3 / "lake/c3.parquet"
    content = path.read_bytes()
    process = world.start_night()
    world.wait_for_units(process, 2)
    if change == "deleted":
        path.unlink()
    else:
        path.write_bytes(content[: len(content) // 2] if change == "truncated" else content[::-1])
    _, errors = process.communicate(timeout=250)
    assert process.returncode == 3, errors.decode()[-2000:]
    assert b"deferred to the next run because they changed meanwhile: c3.parquet" in errors
    path.write_bytes(content)
    world.finish()
    assert world.without_run_and_status(world.rows()) == world.without_run_and_status(undisturbed)
