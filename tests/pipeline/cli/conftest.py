"""Fixtures that run the command line, in this process or in another one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import load_bundle, save_bundle
from pipeline.cli.app import main

ROOT = Path(__file__).parents[3]
TRAINING = {
    "n_steps": 1258,
    "seconds": 120.0,
    "stopped_by": "max_epochs",
    "best_valid_bleu": 86.739,
    "best_step": 1200,
    "n_parameters": 1303528,
    "history": [],
}


class Ended(NamedTuple):
    """How a command ended: its exit status, standard output and standard error."""

    status: int
    out: str
    err: str


@pytest.fixture
def lingo(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """A function that runs the command line in this process. Unexpected errors are raised."""

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["lingo", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, captured.out, captured.err)

    return run


@pytest.fixture
def lingo_process() -> Callable[..., Ended]:
    """A function that runs the command line in a folder, in a separate process."""

    def run(folder: Path, *arguments: str | Path) -> Ended:
        script = "from pipeline.cli.app import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", script, *map(str, arguments)],
            cwd=folder,
            env={"PYTHONPATH": str(ROOT), "PATH": "", "OMP_NUM_THREADS": "1"},
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=120,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> Path:
    """A folder with one model that has a training history."""
    folder = tmp_path_factory.mktemp("command") / "models"
    loaded = load_bundle(bundle)
    save_bundle(
        folder / "tiny",
        loaded.model,
        loaded.subwords,
        source_lang="en",
        target_lang="es",
        dataset_fingerprint=loaded.manifest.dataset_fingerprint,
        recipe_fingerprint="none",
        training=TRAINING,
    )
    return folder


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Two small files with the text column ``body``."""
    folder = tmp_path / "lake"
    folder.mkdir()
    for name, texts in (("a", ["Two dogs play.", "Eggs!"]), ("b", ["My cat sleeps.", "7"])):
        pq.write_table(pa.table({"body": texts}), folder / f"{name}.parquet")
    return folder
