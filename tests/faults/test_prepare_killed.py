"""``prepare`` is killed again and again, and goes on to the dataset of an undisturbed run."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.demo.sentence_pairs import generate_pairs

pytestmark = pytest.mark.faults

# Small chunks and partitions, so that each phase has many tasks.
DRIVER = """
import json, sys
from pathlib import Path
from pipeline.prepare import batches, raw_rows, stage
from pipeline.prepare.config import DuplicatesConfig, PrepareConfig, SubwordsConfig
from pipeline.prepare.corpus import CorpusDescription

stage._BYTES_PER_PARTITION = 100_000
batches._MAX_SERIAL_BYTES = 10_000
batches.CHUNK_ROWS = raw_rows.CHUNK_ROWS = 1500
if __name__ == "__main__":
    stage.prepare_corpus(
        CorpusDescription.model_validate(json.loads(sys.argv[1])),
        Path(sys.argv[2]),
        PrepareConfig(
            subwords=SubwordsConfig(vocab_size=500), duplicates=DuplicatesConfig(near=True)
        ),
        n_workers=int(sys.argv[3]),
    )
"""

# The phases, each with the name of the results of its tasks, or of the file that begins it.
PHASES = {
    "begin": "fingerprint",
    "read": "results/read-*",
    "clean": "results/clean-*",
    "held-out": "results/held-out-*",
    "partitions": "results/repeats-*",
    "keys": "results/keys-*",
    "write": "results/unrepeated-*",
    "subwords": "dataset/rejected/*",
    "encode": "dataset/subwords.model",
    "last files": "results/encode-train-*",
    "digests": "results/digest-*",
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Aligned files and a table, as JSON."""
    folder = tmp_path_factory.mktemp("corpus")
    pairs = [(p.source, p.target) for p in generate_pairs(9000, seed=4, split="train")]
    for side, name in enumerate(("a.en", "a.es")):
        (folder / name).write_text("".join(f"{pair[side]}\n" for pair in pairs[:6000]))
    rows = "".join(f"{source}\t{target}\n" for source, target in pairs[5000:])
    (folder / "b.tsv").write_text(f"source\ttarget\n{rows}")
    inputs = [
        {"source": str(folder / "a.en"), "target": str(folder / "a.es")},
        {"path": str(folder / "b.tsv")},
    ]
    return json.dumps({"source_lang": "en", "target_lang": "es", "inputs": inputs})


def start(corpus: str, output: Path, n_workers: int) -> subprocess.Popen[bytes]:
    """Start ``prepare`` in a process group of its own."""
    command = [sys.executable, "-c", DRIVER, corpus, str(output), str(n_workers)]
    return subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def undisturbed(corpus: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the dataset."""
    output = tmp_path_factory.mktemp("undisturbed") / "dataset"
    assert start(corpus, output, 1).wait(timeout=200) == 0
    return tree(output)


def kill_in(phase: str, process: subprocess.Popen[bytes], staging: Path, seconds: float) -> bool:
    """Kill a process some time after a phase began. Returns whether it was still running."""
    deadline = time.monotonic() + 100
    while process.poll() is None and not list(staging.glob(PHASES[phase])):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    time.sleep(seconds)
    was_running = process.poll() is None
    if was_running:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return was_running


def check_end(corpus: str, output: Path, n_workers: int, undisturbed: dict[str, bytes]) -> None:
    """Let a run go on to its end, and check the dataset."""
    assert start(corpus, output, n_workers).wait(timeout=200) == 0
    assert tree(output) == undisturbed
    names = [path.name for path in output.rglob("*")]
    assert [name for name in names if name.startswith(".")] == []


@pytest.mark.parametrize("n_workers", [1, 2])
@pytest.mark.parametrize("phase", PHASES)
def test_killed_three_times_in_a_phase(
    tmp_path: Path, corpus: str, undisturbed: dict[str, bytes], phase: str, n_workers: int
) -> None:
    output = tmp_path / "dataset"
    draw = random.Random(f"{phase}{n_workers}")
    n_killed = 0
    for number in range(3):
        process = start(corpus, output, 1 + (number + n_workers) % 2)
        n_killed += kill_in(phase, process, output / ".staging", draw.uniform(0, 0.1))
    assert n_killed
    check_end(corpus, output, n_workers, undisturbed)


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random_moments_until_it_ends(
    tmp_path: Path, corpus: str, undisturbed: dict[str, bytes], seed: int
) -> None:
    output = tmp_path / "dataset"
    draw = random.Random(seed)
    for _ in range(30):
        process = start(corpus, output, draw.choice([1, 2]))
        try:
            process.wait(timeout=draw.uniform(1, 6))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        if process.wait() == 0:
            break
    check_end(corpus, output, 1, undisturbed)
