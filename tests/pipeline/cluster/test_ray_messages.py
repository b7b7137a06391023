"""Ray's messages go to a file, and those of the command to standard error."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pipeline.cluster.ray_messages import keep_off_stderr


def stderr_of(code: str, folder: Path) -> str:
    """What a program writes to standard error. ``folder`` is its only argument."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(folder)],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr


PROGRAM = """
    import logging, os, sys
    from pathlib import Path
    from pipeline.cluster.ray_messages import keep_off_stderr, log_records_in, messages_in

    if {is_command}:
        keep_off_stderr()
        keep_off_stderr()
    logger = logging.getLogger("ray.data")
    logger.addHandler(logging.StreamHandler())
    logger.propagate = False
    folder = Path(sys.argv[1])
    os.write(2, b"core before\\n")
    with messages_in(folder), log_records_in(folder):
        os.write(2, b"core\\n")
        logger.error("record")
        print("own message", file=sys.stderr)
    os.write(2, b"core after\\n")
    logger.error("record after")
"""


def test_a_command_keeps_the_messages_of_ray_in_a_file(tmp_path: Path) -> None:
    shown = stderr_of(PROGRAM.format(is_command=True), tmp_path)

    assert shown.splitlines() == ["core before", "own message", "core after", "record after"]
    assert (tmp_path / "messages.log").read_text().splitlines() == ["core", "record"]


def test_in_another_program_nothing_changes(tmp_path: Path) -> None:
    shown = stderr_of(PROGRAM.format(is_command=False), tmp_path)

    assert shown.splitlines() == [
        *("core before", "core", "record", "own message", "core after", "record after")
    ]
    assert not (tmp_path / "messages.log").exists()


def test_a_standard_error_in_memory_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stderr
    keep_off_stderr()
    assert sys.stderr is before
