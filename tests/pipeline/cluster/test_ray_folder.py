"""The folder of a Ray: who removes it, and when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lingo_model import InputError
from pipeline.cluster import ray_folder as module
from pipeline.cluster.ray_folder import ray_folder


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of the system of its own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(module, "_MAX_PATH_BYTES", len(str(tmp_path)) + 30)
    return tmp_path


def folders(root: Path) -> list[Path]:
    return sorted(root.glob("lingo-ray-*"))


def test_the_folder_is_removed_at_the_end(temporary: Path) -> None:
    with ray_folder() as folder:
        (folder / "session").mkdir()
        (folder / "session" / "raylet.out").write_text("a message")
        assert folders(temporary) == [folder]
    assert folders(temporary) == []


@pytest.mark.parametrize("error", [InputError("planted"), KeyboardInterrupt()])
def test_the_folder_is_removed_after_bad_input_and_after_an_interruption(
    temporary: Path, error: BaseException
) -> None:
    with pytest.raises(type(error)), ray_folder():
        raise error
    assert folders(temporary) == []
    assert not getattr(error, "__notes__", None)


def test_after_a_failure_the_folder_stays_until_the_next_run(temporary: Path) -> None:
    with pytest.raises(ValueError, match="planted") as error, ray_folder() as folder:
        raise ValueError("planted")
    assert folders(temporary) == [folder]
    assert error.value.__notes__ == [f"the logs of Ray are in {folder} until the next run"]

    with ray_folder() as next_folder:
        assert folders(temporary) == [next_folder]


def test_the_folder_of_another_process_that_runs_stays(temporary: Path) -> None:
    with ray_folder() as first, ray_folder() as second:
        assert folders(temporary) == sorted([first, second])
    assert folders(temporary) == []


def test_a_folder_for_temporary_files_with_a_long_path_is_not_used(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system limits the length of the paths of sockets."""
    short = temporary / "short"
    short.mkdir()
    monkeypatch.setattr(module, "_SHORT_FOLDER", short)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / ("x" * 60)))
    with ray_folder() as folder:
        assert folder.parent == short


def wait_until(is_so: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_if_the_process_is_killed_its_children_end_and_the_folder_is_removed(
    number: signal.Signals,
) -> None:
    """The child has a session of its own and ignores SIGTERM, which is worse than Ray's agents."""
    code = """
        import subprocess, sys, time
        from pipeline.cluster.ray_folder import ray_folder, watchdog

        child = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        child += "print(1, flush=True); time.sleep(300)"
        with ray_folder() as folder, watchdog(folder):
            started = subprocess.Popen(
                [sys.executable, "-c", child], start_new_session=True, stdout=subprocess.PIPE
            )
            started.stdout.readline()
            print(started.pid, folder, flush=True)
            time.sleep(300)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    words = process.stdout.readline().split()
    child, folder = int(words[0]), Path(words[1])
    assert is_running(child)
    assert folder.is_dir()

    os.kill(process.pid, number)
    process.communicate(timeout=20)

    wait_until(lambda: not is_running(child) and not folder.exists())


def test_a_watchdog_ends_with_its_block_and_kills_nothing() -> None:
    with ray_folder() as folder:
        with module.watchdog(folder):
            child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
        try:
            assert module.FOLDER_VARIABLE not in os.environ
            time.sleep(1.5)
            assert child.poll() is None
            assert folder.exists()
        finally:
            child.kill()
            child.wait()
