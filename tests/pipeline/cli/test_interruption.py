"""Ctrl-C, SIGTERM and SIGHUP end a command with one line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.interruption import (
    CONTINUES,
    STARTS_OVER,
    advise_on_interruption,
    interruption_message,
)

ROOT = Path(__file__).parents[3]
SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}
by_signal = pytest.mark.parametrize(("number", "status"), SIGNALS.items())


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """The signal handlers as they were."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@by_signal
@pytest.mark.parametrize(
    ("command", "target", "advice"),
    [
        (("sql", "SELECT 1"), "pipeline.table.query.connect", ""),
        (("train", "d", "-o", "m"), "pipeline.train.stage.train_model", f"; {CONTINUES}"),
        (("prepare", "c", "-o", "d"), "pipeline.prepare.open_corpus.load_corpus", f"; {CONTINUES}"),
        (("table", "compact", "t"), "pipeline.table.compaction.compact", f"; {CONTINUES}"),
        (("evaluate", "d"), "pipeline.models.registry.resolve_model", f"; {STARTS_OVER}"),
        (("models", "list"), "pipeline.models.registry.list_models", ""),
    ],
)
def test_a_signal_is_one_line_with_what_to_do(
    lingo: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    status: int,
    command: tuple[str, ...],
    target: str,
    advice: str,
) -> None:
    def send(*_arguments: object, **_options: object) -> None:
        os.kill(os.getpid(), number)
        time.sleep(5)

    monkeypatch.setattr(target, send)
    assert lingo(*command) == (status, "", f"lingo: interrupted{advice}\n")


def test_an_error_that_follows_from_a_signal_is_an_interruption(
    lingo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """DuckDB and Ray turn KeyboardInterrupt into errors of their own."""
    for error in (ValueError("planted"), OSError("planted")):

        def fail(*_arguments: object, error: Exception = error, **_options: object) -> None:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(5)
            except KeyboardInterrupt:
                raise error from None

        monkeypatch.setattr("pipeline.table.query.connect", fail)
        assert lingo("sql", "SELECT 1") == (143, "", "lingo: interrupted\n")


def test_the_advice_of_one_command_is_not_that_of_the_next() -> None:
    advise_on_interruption("do it")
    assert interruption_message() == "lingo: interrupted; do it"
    advise_on_interruption("")
    assert interruption_message() == "lingo: interrupted"


@contextmanager
def started(code: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A command in another process. Its output begins with a line when it is ready."""
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        **options,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process


SLOW_TO_END = """
import time
from pipeline.cli.exit_status import run_command_line

def work():
    try:
        print("working", flush=True)
        time.sleep(60)
    finally:
        print("cleaning up", flush=True)
        time.sleep(60)

run_command_line(work)
"""


@by_signal
def test_a_second_signal_ends_the_process_at_once(number: signal.Signals, status: int) -> None:
    with started(SLOW_TO_END) as process:
        process.send_signal(number)
        assert process.stdout is not None
        assert process.stdout.readline() == "cleaning up\n"
        process.send_signal(number)
        assert process.wait(timeout=10) == -number


def test_a_signal_that_the_caller_ignores_stays_ignored() -> None:
    """As with nohup."""
    code = (
        "import os, signal, time\n"
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from pipeline.cli.exit_status import run_command_line\n"
        "def work():\n"
        "    print('working', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "    print('still working', flush=True)\n"
        "run_command_line(work)\n"
    )
    with started(code) as process:
        # Not communicate(), which does not see what the stream has read ahead.
        out, err = process.stdout.read(), process.stderr.read()
        assert (out, err, process.wait(timeout=30)) == ("still working\n", "", 0)


@pytest.mark.ray
@pytest.mark.parametrize(
    ("number", "when", "to_group"),
    [
        (signal.SIGTERM, "starting", False),
        (signal.SIGTERM, "working", True),
        (signal.SIGHUP, "working", False),
        (signal.SIGTERM, "publishing", False),
    ],
)
def test_translate_ends_with_one_line_in_every_phase(
    tmp_path: Path,
    models: Path,
    lake: Path,
    number: signal.Signals,
    when: str,
    to_group: bool,
) -> None:
    """Ray's own handler would print its stack and end the process."""
    table = tmp_path / "table"
    pause = {
        "starting": ("pipeline.cluster.ray_session", "start_local"),
        "working": ("pipeline.translate.actors", "task_groups"),
        "publishing": ("pipeline.translate.publish", "reconcile"),
    }[when]
    arguments = ["translate", lake, "-o", table, "-m", models / "tiny", "--text-column", "body"]
    code = f"""
import importlib, sys, time
module = importlib.import_module({pause[0]!r})
real = module.{pause[1]}

def slow(*arguments, **options):
    print("ready", flush=True)
    if {when == "working"}:
        time.sleep(30)
    result = real(*arguments, **options)
    time.sleep(30 if {when == "publishing"} else 0)
    return result

module.{pause[1]} = slow
sys.argv = ["lingo", *{[str(argument) for argument in arguments]!r}, "--actors", "1"]
from pipeline.cli.app import main
main()
"""
    with started(code, cwd=tmp_path, start_new_session=True) as process:
        time.sleep(1.5)  # Ray's servers and its core start at different times
        if to_group:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        out, err = process.communicate(timeout=90)

    assert (out, err) == ("", f"lingo: interrupted; {CONTINUES}\n")
    assert process.returncode == SIGNALS[number]
    assert not list(table.glob("data/*/*"))


@pytest.mark.ray
def test_a_run_prints_nothing_on_standard_error(tmp_path: Path, models: Path, lake: Path) -> None:
    """A cron job sends a mail for each line. Ray's core prints its log level when it starts."""
    temporary = tempfile.mkdtemp(dir="/tmp")  # the sockets of Ray need a short path
    arguments = ["translate", lake, "-o", "table", "-m", models / "tiny", "--text-column", "body"]
    done = subprocess.run(
        [sys.executable, "-c", "from pipeline.cli.app import main; main()", *map(str, arguments)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": temporary},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    Path(temporary).rmdir()  # it is empty
