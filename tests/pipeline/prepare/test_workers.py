"""Any number of workers gives the same dataset, and a run that was killed goes on."""

from __future__ import annotations

import gzip
import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError
from pipeline.dataset.splits import SPLITS
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.errors import RunError, one_line
from pipeline.prepare import batches, raw_rows, stage
from pipeline.prepare.config import DuplicatesConfig, PrepareConfig, SplitConfig, SubwordsConfig
from pipeline.prepare.corpus import CorpusDescription
from pipeline.prepare.stage import prepare_corpus
from pipeline.prepare.tasks import TaskResult, task_runner

CONFIG = PrepareConfig(
    subwords=SubwordsConfig(vocab_size=150),
    split=SplitConfig(valid_share=0.1, test_share=0.1),
    duplicates=DuplicatesConfig(near=True),
)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def write_nasty_corpus(folder: Path) -> tuple[CorpusDescription, dict[str, int]]:
    """A corpus of five formats with every kind of bad row, and the rows of each input."""
    folder.mkdir()
    draw = random.Random(7)
    good = [(p.source, p.target) for p in generate_pairs(400, seed=4, split="train")]
    bad = [
        *(("", "algo"), ("same", ""), ("a" * 1200, "b"), ("hello", "b" * 40), ("x\ry", "y")),
        *(("caf\udce9", "café"), ("nul\0", "nulo"), ("\u200b", "\ufeff"), ("  ", "\u00a0")),
    ]

    def rows(n: int) -> list[tuple[str, str]]:
        """Good and bad rows, and repetitions of both."""
        mixed = [*good, *((source.upper(), target) for source, target in good), *bad * 10]
        return [draw.choice(mixed) for _ in range(n)]

    def encoded(lines: list[str], end: str) -> bytes:
        return (end.join(lines)).encode("utf-8", "surrogateescape")

    aligned = rows(700)
    for side, name in enumerate(("a.en", "a.es")):
        (folder / name).write_bytes(encoded([row[side] for row in aligned], "\r\n"))
    small = rows(90)
    for side, name in enumerate(("b.en.gz", "b.es.gz")):
        (folder / name).write_bytes(gzip.compress(encoded([row[side] for row in small], "\n")))
    table = [f"{source}\t{target}\tweb" for source, target in rows(150)]
    lines = ["source\ttarget\tdomain", *table, "one cell", "four\tcells\tin\tall"]
    (folder / "c.tsv").write_bytes(encoded(lines, "\n"))
    objects = [json.dumps({"source": a, "target": b}) for a, b in rows(120)]
    (folder / "d.jsonl").write_text("\n".join([*objects, '{"source": 5}', "{", "[]"]) + "\n")
    texts = [(a, b) for a, b in rows(80) if "\udce9" not in a]
    columns = {
        "source": [None, *(a for a, _ in texts)],
        "target": [None, *(b for _, b in texts)],
        "year": list(range(len(texts) + 1)),
    }
    pq.write_table(pa.table(columns), folder / "e.parquet")
    held_out = [*good[:30], ("", "nada"), good[0]]
    (folder / "f.tsv").write_text(
        "source\ttarget\n" + "".join(f"{a}\t{b}\n" for a, b in held_out), encoding="utf-8"
    )
    inputs: list[dict[str, Any]] = [
        {"source": folder / "a.en", "target": folder / "a.es"},
        {"source": folder / "b.en.gz", "target": folder / "b.es.gz", "split": "train"},
        {"path": folder / "c.tsv", "weight": 1.5},
        {"path": folder / "d.jsonl"},
        {"path": folder / "e.parquet"},
        {"path": folder / "f.tsv", "split": "test"},
    ]
    values = {"source_lang": "en", "target_lang": "es", "inputs": inputs}
    n_rows = {
        "a.en+a.es": 700,
        "b.en.gz+b.es.gz": 90,
        "c.tsv": 152,
        "d.jsonl": 123,
        "e.parquet": len(texts) + 1,
        "f.tsv": 32,
    }
    return CorpusDescription.model_validate(values), n_rows


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several partitions, and several chunks of each input, of a small corpus."""
    monkeypatch.setattr(stage, "_BYTES_PER_PARTITION", 20_000)
    monkeypatch.setattr(batches, "_MAX_SERIAL_BYTES", 3000)
    monkeypatch.setattr(batches, "CHUNK_ROWS", 100)
    monkeypatch.setattr(raw_rows, "CHUNK_ROWS", 40)


@pytest.fixture(scope="module")
def nasty(tmp_path_factory: pytest.TempPathFactory) -> tuple[CorpusDescription, dict[str, int]]:
    """See :func:`write_nasty_corpus`."""
    return write_nasty_corpus(tmp_path_factory.mktemp("nasty") / "raw")


def test_three_workers_give_the_bytes_of_one(
    tmp_path: Path, small_parts: None, nasty: tuple[CorpusDescription, dict[str, int]]
) -> None:
    for n_workers in (1, 3):
        prepare_corpus(nasty[0], tmp_path / str(n_workers), CONFIG, n_workers=n_workers)
    first = tree(tmp_path / "1")
    assert sum(name.startswith("pairs/split=train") for name in first) > 2
    assert tree(tmp_path / "3") == first


def test_kept_and_rejected_rows_are_all_that_were_read(
    tmp_path: Path,
    small_parts: None,
    nasty: tuple[CorpusDescription, dict[str, int]],
) -> None:
    corpus, n_rows = nasty
    manifest = prepare_corpus(corpus, tmp_path / "d", CONFIG)
    assert {item.name: item.n_read for item in manifest.inputs} == n_rows
    for item in manifest.inputs:
        assert item.n_kept + sum(item.n_rejected.values()) == item.n_read
    files = [*(tmp_path / "d/pairs").rglob("*.parquet"), *(tmp_path / "d/rejected").iterdir()]
    origins = Counter(
        o for file in files for o in pq.ParquetFile(file).read()["origin"].to_pylist()
    )
    # Each row is in one of the files, once.
    assert set(origins.values()) == {1}
    assert origins.total() == sum(n_rows.values())
    pairs = [pq.ParquetFile(file).read() for file in (tmp_path / "d/pairs").rglob("*.parquet")]
    ids = [pair_id for table in pairs for pair_id in table["pair_id"].to_pylist()]
    assert len(set(ids)) == len(ids) == sum(manifest.splits[split].n_pairs for split in SPLITS)
    n_rejected = Counter(manifest.n_rejected)
    expected = {"undecodable", "malformed", "empty", "too_long", "ratio", "duplicate", "leak"}
    assert expected <= n_rejected.keys()


def test_the_sizes_of_chunks_and_batches_do_not_change_the_dataset(
    tmp_path: Path,
    nasty: tuple[CorpusDescription, dict[str, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepare_corpus(nasty[0], tmp_path / "large", CONFIG)
    monkeypatch.setattr(batches, "_MAX_SERIAL_BYTES", 3000)
    monkeypatch.setattr(batches, "CHUNK_ROWS", 33)
    monkeypatch.setattr(raw_rows, "CHUNK_ROWS", 7)
    monkeypatch.setattr(batches, "BATCH_ROWS", 5)
    prepare_corpus(nasty[0], tmp_path / "small", CONFIG)
    assert tree(tmp_path / "small") == tree(tmp_path / "large")


def test_fewer_than_one_worker_is_refused(
    tmp_path: Path, nasty: tuple[CorpusDescription, dict[str, int]]
) -> None:
    with pytest.raises(InputError, match="n_workers=0: needs 1 or more"):
        prepare_corpus(nasty[0], tmp_path / "d", CONFIG, n_workers=0)
    assert list(tmp_path.iterdir()) == []


class Killed(BaseException):
    """Stands for the end of the process: nothing handles it."""


@pytest.mark.parametrize("n_moves", [0, 2, 6, 7])
def test_a_run_that_is_killed_while_it_publishes_goes_on(
    tmp_path: Path, small: CorpusDescription, monkeypatch: pytest.MonkeyPatch, n_moves: int
) -> None:
    """The last kill is after the manifest is in its place, before the staging folder is removed."""
    output = tmp_path / "d"
    real = Path.rename
    moved: list[str] = []

    def rename(self: Path, target: Path) -> Path:
        if target.parent != output or self.parent.name != "dataset":
            return real(self, target)
        if len(moved) == n_moves:
            raise Killed
        moved.append(self.name)
        return real(self, target)

    def unlink(self: Path, missing_ok: bool = False) -> None:
        if self.name == "fingerprint" and self.exists():
            raise Killed
        real_unlink(self, missing_ok=missing_ok)

    real_unlink = Path.unlink
    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", rename)
        patch.setattr(Path, "unlink", unlink)
        with pytest.raises(Killed):
            prepare_corpus(small, output, CONFIG)
    assert (output / ".staging").exists()
    assert (output / "manifest.json").exists() == (n_moves == 7)
    for done in ("clean_chunk", "find_repeats", "train_subwords_in_child", "encode_file"):
        monkeypatch.setattr(stage, done, None)
    prepare_corpus(small, output, CONFIG)
    monkeypatch.undo()
    assert tree(output) == _fresh(small, tmp_path)
    assert not (output / ".staging").exists()


def _fresh(corpus: CorpusDescription, folder: Path, config: PrepareConfig = CONFIG) -> Any:
    """The files of the dataset, made without an interruption."""
    prepare_corpus(corpus, folder / "fresh", config)
    return tree(folder / "fresh")


def _interrupt_while_encoding(
    monkeypatch: pytest.MonkeyPatch, corpus: CorpusDescription, output: Path
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stage, "encode_file", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare_corpus(corpus, output, CONFIG)


def test_the_work_for_other_settings_is_removed(
    tmp_path: Path, small: CorpusDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interrupt_while_encoding(monkeypatch, small, tmp_path / "d")
    other = CONFIG.model_copy(update={"seed": 5})
    prepare_corpus(small, tmp_path / "d", other)
    assert tree(tmp_path / "d") == _fresh(small, tmp_path, other)


def test_files_with_temporary_names_do_not_get_into_the_dataset(
    tmp_path: Path, small: CorpusDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed while it writes a file leaves one."""
    _interrupt_while_encoding(monkeypatch, small, tmp_path / "d")
    (tmp_path / "d/.staging/dataset/.subwords.model.123.tmp").write_bytes(b"half")
    prepare_corpus(small, tmp_path / "d", CONFIG)
    assert tree(tmp_path / "d") == _fresh(small, tmp_path)


def test_a_folder_that_is_prepared_again_in_one_process_is_checked_anew(tmp_path: Path) -> None:
    """What is remembered of a file must not be taken for another file with its name."""
    output = tmp_path / "d"
    pairs = [(p.source, p.target) for p in generate_pairs(60, seed=4, split="train")]
    held_out = {"valid": pairs[:10], "test": pairs[10:20]}
    for train in (pairs[20:], pairs[:20] + pairs[40:]):
        inputs = []
        for split, rows in ({"train": train} | held_out).items():
            path = tmp_path / f"{split}.tsv"
            path.write_text("source\ttarget\n" + "".join(f"{a}\t{b}\n" for a, b in rows))
            inputs.append({"path": path, "split": split})
        values = {"source_lang": "en", "target_lang": "es", "inputs": inputs}
        manifest = prepare_corpus(CorpusDescription.model_validate(values), output, CONFIG)
        assert manifest.leakage is not None
        subprocess.run(["rm", "-r", str(output)], check=True)
        # The next time, the sentences of training are those of validation and test.
        held_out = {"valid": pairs[20:30], "test": pairs[30:40]}


# Workers import the functions of tasks by their names. `eval` is one that every process has.
SQUARES = [f"{{'square': {number} ** 2}}" for number in range(20)]
EXPECTED: list[TaskResult] = [{"square": number**2} for number in range(20)]
KILL_ITSELF = "__import__('os').kill(__import__('os').getpid(), 9)"


@pytest.mark.parametrize("n_workers", [1, 2])
def test_results_are_in_the_order_of_the_tasks_and_are_kept(tmp_path: Path, n_workers: int) -> None:
    seen: list[int] = []
    with task_runner(tmp_path, n_workers) as runner:
        results = runner.run("x", eval, SQUARES, lambda result: seen.append(result["square"]))
        assert results == EXPECTED
        assert sorted(seen) == [number**2 for number in range(20)]
        # Tasks that have a result are not done again.
        assert runner.run("x", eval, ["1 / 0"] * 20) == EXPECTED
        assert runner.run("y", eval, []) == []


def test_an_error_of_a_task_is_raised_and_earlier_results_are_kept(tmp_path: Path) -> None:
    tasks = [*SQUARES[:5], "1 / 0", *SQUARES[6:]]
    for n_workers in (1, 2):
        folder = tmp_path / str(n_workers)
        with pytest.raises(ZeroDivisionError), task_runner(folder, n_workers) as runner:
            runner.run("x", eval, tasks)
        assert (folder / "x-000000.json").exists()
        assert not (folder / "x-000005.json").exists()


def test_a_worker_that_is_killed_is_one_line_and_the_next_run_goes_on(tmp_path: Path) -> None:
    tasks = [*SQUARES[:5], KILL_ITSELF, *SQUARES[6:]]
    with pytest.raises(RunError) as error, task_runner(tmp_path, 2) as runner:
        runner.run("x", eval, tasks)
    assert "a worker process was killed" in str(error.value)
    assert one_line(error.value) == str(error.value)
    assert not (tmp_path / "x-000005.json").exists()
    with task_runner(tmp_path, 2) as runner:
        assert runner.run("x", eval, SQUARES) == EXPECTED


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_parent(tmp_path: Path, number: signal.Signals) -> None:
    started = tmp_path / "started"
    started.mkdir()
    # Each task makes a file with the name of its process, and waits.
    task = (
        f"[__import__('pathlib').Path({str(started)!r}, str(__import__('os').getpid())).touch(), "
        "__import__('time').sleep(600)]"
    )
    script = (
        "import sys\n"
        "from pathlib import Path\n"
        "from pipeline.prepare.tasks import task_runner\n"
        "with task_runner(Path(sys.argv[1]), 2) as runner:\n"
        "    runner.run('x', eval, [sys.argv[2]] * 3)\n"
    )
    parent = psutil.Popen(
        [sys.executable, "-c", script, str(tmp_path / "results"), task],
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": ""},
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while len(list(started.iterdir())) < 2:
            assert parent.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        workers = [psutil.Process(int(path.name)) for path in started.iterdir()]
        parent.send_signal(number)
        parent.wait(timeout=10)
        _, alive = psutil.wait_procs(workers, timeout=5)
        assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    finally:
        if parent.poll() is None:
            parent.kill()
            parent.wait()
