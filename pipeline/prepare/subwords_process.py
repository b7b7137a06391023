"""Trains the subword model in a process of its own.

SentencePiece does not return to Python while it trains, for minutes on a large corpus. In this
process, Ctrl-C would have to wait for it. A child process can be ended at once.

Reads: PAIRS.
Writes: ``subwords.model``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from lingo_model import InputError, Subwords
from pipeline.errors import RunError, one_line
from pipeline.observability.progress import Bar
from pipeline.prepare.config import SubwordsConfig
from pipeline.prepare.encoding import train_subwords
from pipeline.prepare.tasks import end_with_parent
from pipeline.storage.files import write_bytes

_BAD_INPUT = 2  # the child's exit status if the error on its standard output is an InputError
_SECONDS_BETWEEN_POLLS = 0.1
_CHILD = """
import sys
sys.path[:] = sys.argv[2:]
from pipeline.prepare.subwords_process import main
main()
"""


def train_subwords_in_child(
    pairs_files: list[Path], output: Path, config: SubwordsConfig, *, seed: int, bar: Bar
) -> Subwords:
    """Train a subword model with :func:`pipeline.prepare.encoding.train_subwords` in a child.

    The child ends with this process, whatever ends it.

    Args:
        pairs_files: the PAIRS files of the training split.
        output: the file of the new model.
        config: the settings.
        seed: the seed of the sampling.
        bar: a progress bar, which counts the seconds.

    Raises:
        InputError: ``vocab_size`` does not fit the text.
        RunError: the child was killed, for example because there was not enough memory.
    """
    request = {
        "pairs_files": [str(file.absolute()) for file in pairs_files],
        "output": str(output.absolute()),
        "config": config.model_dump(mode="json"),
        "seed": seed,
        "parent": os.getpid(),
    }
    import_paths = map(os.path.abspath, sys.path)
    child = subprocess.Popen(
        [sys.executable, "-P", "-c", _CHILD, json.dumps(request), *import_paths],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
    )
    try:
        message, errors = _wait(child, bar)
    finally:
        child.kill()
        child.wait()
    if child.returncode == _BAD_INPUT:
        raise InputError(message.strip())
    if child.returncode < 0:
        name = signal.Signals(-child.returncode).name
        raise RunError(
            f"the training of the subword model was killed ({name}), perhaps because there was not "
            "enough memory; free some and start the command again"
        )
    if child.returncode:
        raise RuntimeError(f"the training of the subword model failed: {errors}")
    return Subwords.load(output)


def _wait(child: subprocess.Popen[str], bar: Bar) -> tuple[str, str]:
    """Wait for the end of the child, and show the seconds. Returns what the child printed."""
    started = time.monotonic()
    while True:
        try:
            return child.communicate(timeout=_SECONDS_BETWEEN_POLLS)
        except subprocess.TimeoutExpired:
            bar.show(int(time.monotonic() - started))


def main() -> None:
    """The child. Its first argument is the request, as JSON."""
    request = json.loads(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted, too, and ends it
    end_with_parent(request["parent"])
    try:
        subwords = train_subwords(
            [Path(file) for file in request["pairs_files"]],
            SubwordsConfig.model_validate(request["config"]),
            seed=request["seed"],
        )
    except InputError as error:
        print(one_line(error), flush=True)
        sys.exit(_BAD_INPUT)
    write_bytes(Path(request["output"]), subwords.to_bytes())
