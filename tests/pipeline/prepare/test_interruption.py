"""``lingo prepare`` is interrupted or killed while the subword model is trained."""

from __future__ import annotations

import os
import random
import signal
import string
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

_LINGO = "from pipeline.cli.app import main; main()"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of so many words that SentencePiece trains for many seconds."""
    folder = tmp_path_factory.mktemp("corpus")
    draw = random.Random(5)
    words = ["".join(draw.choices(string.ascii_lowercase, k=9)) for _ in range(50_000)]
    for name in ("a.en", "a.es"):
        lines = (" ".join(draw.choices(words, k=12)) for _ in range(30_000))
        (folder / name).write_text("".join(f"{line}\n" for line in lines))
    (folder / "corpus.yaml").write_text(
        "{source_lang: en, target_lang: es, inputs: [{source: a.en, target: a.es}]}\n"
    )
    return folder / "corpus.yaml"


@pytest.fixture
def training(corpus: Path, tmp_path: Path) -> Iterator[tuple[psutil.Popen, psutil.Process]]:
    """A running ``lingo prepare`` and its child, which trains the subword model."""
    process = psutil.Popen(
        [sys.executable, "-c", _LINGO, "prepare", str(corpus), "--output", str(tmp_path / "d")],
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": ""},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not process.children():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (child,) = process.children()
    while child.cpu_times().user < 1.5:  # it is in SentencePiece's own code
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield process, child
    if process.poll() is None:
        process.kill()
        process.wait()


def ends(process: psutil.Process) -> bool:
    """Whether a process ends within two seconds."""
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.05)
    return False


def test_ctrl_c_is_answered_at_once_and_says_the_truth(
    training: tuple[psutil.Popen, psutil.Process], tmp_path: Path
) -> None:
    process, child = training
    interrupted = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    status = process.wait(timeout=30)
    assert time.monotonic() - interrupted < 2
    assert ends(child)
    assert status == 130
    *_progress, line = process.stderr.read().splitlines()
    assert line == "lingo: interrupted; the same command continues the work"
    assert [path.name for path in (tmp_path / "d").iterdir()] == [".staging"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_child_ends_with_a_process_that_is_killed(
    training: tuple[psutil.Popen, psutil.Process], number: signal.Signals
) -> None:
    process, child = training
    process.send_signal(number)
    process.wait(timeout=30)
    assert ends(child)
