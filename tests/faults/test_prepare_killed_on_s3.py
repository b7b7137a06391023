"""``prepare`` reads from S3 and writes to it, is killed again and again, and goes on to the dataset
of an undisturbed run on a disk."""

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
from pipeline.prepare.config import PrepareConfig, SubwordsConfig
from pipeline.prepare.corpus import load_corpus
from pipeline.prepare.stage import prepare_corpus
from pipeline.storage.files import names_below
from pipeline.storage.s3 import S3Path

pytestmark = pytest.mark.faults

ROOT = Path(__file__).parents[2]
# Small chunks and partitions, so that each phase has many tasks.
LINGO = """
from pipeline.cli.app import main
from pipeline.prepare import batches, raw_rows, stage

stage._BYTES_PER_PARTITION = 100_000
batches._MAX_SERIAL_BYTES = 10_000
batches.CHUNK_ROWS = raw_rows.CHUNK_ROWS = 1500
if __name__ == "__main__":
    main()
"""

# The phases, each with a file in the work folder that says that it began.
PHASES = {
    "copy": "inputs-*/stamps/**/*.json",
    "begin": "dataset-*/fingerprint",
    "clean": "dataset-*/results/clean-*",
    "partitions": "dataset-*/results/repeats-*",
    "encode": "dataset-*/dataset/subwords.model",
    "digests": "dataset-*/results/digest-*",
    "upload": "dataset-*/results/upload-*",
    "manifest": "dataset-*/results/upload-0-000010.json",
}


def content(folder: Path | S3Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {name: (folder / name).read_bytes() for name in names_below(folder)}


def put_corpus(folder: Path, root: Path | S3Path) -> Path:
    """Write a corpus of aligned files and a table to ``root``, and its description."""
    pairs = [(p.source, p.target) for p in generate_pairs(9000, seed=4, split="train")]
    files = {
        name: "".join(f"{pair[side]}\n" for pair in pairs[:6000])
        for side, name in enumerate(("a.en", "a.es"))
    }
    rows = "".join(f"{source}\t{target}\n" for source, target in pairs[5000:])
    files["b.tsv"] = f"source\ttarget\n{rows}"
    for name, text in files.items():
        (root / name).write_bytes(text.encode())
    inputs = [
        {"source": f"{root}/a.en", "target": f"{root}/a.es"},
        {"path": f"{root}/*.tsv"},
    ]
    corpus = {"source_lang": "en", "target_lang": "es", "inputs": inputs}
    (folder / "corpus.yaml").write_text(json.dumps(corpus))
    (folder / "prepare.yaml").write_text("subwords: {vocab_size: 500}")
    return folder / "corpus.yaml"


@pytest.fixture
def undisturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The files of the dataset of the same corpus on a disk."""
    folder = tmp_path / "undisturbed"
    folder.mkdir()
    monkeypatch.setattr("pipeline.prepare.stage._BYTES_PER_PARTITION", 100_000)
    monkeypatch.setattr("pipeline.prepare.batches._MAX_SERIAL_BYTES", 10_000)
    corpus = load_corpus(put_corpus(folder, folder))
    config = PrepareConfig(subwords=SubwordsConfig(vocab_size=500))
    prepare_corpus(corpus, folder / "dataset", config)
    return content(folder / "dataset")


def start(corpus: Path, output: S3Path, work: Path, n_workers: int) -> subprocess.Popen[bytes]:
    """Start ``lingo prepare`` in a process group of its own."""
    options = ["--output", str(output), "--work-folder", str(work), "--workers", str(n_workers)]
    options += ["--config", str(corpus.with_name("prepare.yaml"))]
    return subprocess.Popen(
        [sys.executable, "-c", LINGO, "prepare", str(corpus), *options],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def check_end(corpus: Path, output: S3Path, work: Path, undisturbed: dict[str, bytes]) -> None:
    """Let a run go on to its end, and check that the dataset is there and nothing else."""
    assert start(corpus, output, work, 1).wait(timeout=200) == 0
    assert content(output) == undisturbed
    assert list(work.iterdir()) == []


@pytest.mark.parametrize("phase", PHASES)
def test_killed_three_times_in_a_phase(
    tmp_path: Path, s3: S3Path, undisturbed: dict[str, bytes], phase: str
) -> None:
    corpus, output, work = put_corpus(tmp_path, s3 / "raw"), s3 / "d", tmp_path / "work"
    draw = random.Random(phase)
    n_killed = 0
    for number in range(3):
        process = start(corpus, output, work, 1 + number % 2)
        deadline = time.monotonic() + 100
        while process.poll() is None and not list(work.glob(PHASES[phase])):
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(draw.uniform(0, 0.05))
        n_killed += process.poll() is None
        kill(process) if process.poll() is None else process.wait()
        files = names_below(output)
        assert "manifest.json" not in files or files >= undisturbed.keys()
    assert n_killed
    check_end(corpus, output, work, undisturbed)


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_random_moments_until_it_ends(
    tmp_path: Path, s3: S3Path, undisturbed: dict[str, bytes], seed: int
) -> None:
    corpus, output, work = put_corpus(tmp_path, s3 / "raw"), s3 / "d", tmp_path / "work"
    draw = random.Random(seed)
    for _ in range(30):
        process = start(corpus, output, work, draw.choice([1, 2]))
        try:
            process.wait(timeout=draw.uniform(2, 6))
        except subprocess.TimeoutExpired:
            kill(process)
        if process.wait() == 0:
            break
    check_end(corpus, output, work, undisturbed)
