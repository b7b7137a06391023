"""`lingo prepare` as people run it: what it prints, its exit status, and what it leaves behind."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.cli.app import main
from pipeline.dataset.dataset import open_dataset
from pipeline.dataset.splits import SPLITS
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.prepare.notes import split_table, subword_table
from pipeline.storage.s3 import S3Path

CONFIG = "subwords:\n  vocab_size: 120\nsplit:\n  valid_share: 0.1\n  test_share: 0.1\n"


def lingo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in ``folder``, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", "from pipeline.cli.app import main; main()", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": ""},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )


def write_corpus(folder: Path, files: dict[str, bytes], **item: str) -> None:
    """Some files and a description of one input."""
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    description = {"source_lang": "en", "target_lang": "es", "inputs": [item]}
    (folder / "corpus.yaml").write_text(yaml.safe_dump(description))


def tsv() -> bytes:
    """200 good pairs and a bad one."""
    pairs = generate_pairs(200, seed=1, split="train")
    lines = ["source\ttarget", *(f"{p.source}\t{p.target}" for p in pairs), "\tvacío"]
    return "".join(f"{line}\n" for line in lines).encode()


QUERY = (
    'query: lingo sql "SELECT reason, origin, line, detail, text, source, target '
    "FROM read_parquet('d/rejected/*.parquet', hive_partitioning = false)\""
)


def test_a_dataset_is_written_and_its_counts_are_printed(tmp_path: Path) -> None:
    write_corpus(tmp_path, {"x.tsv": tsv(), "config.yaml": CONFIG.encode()}, path="x.tsv")
    done = lingo(tmp_path, "prepare", "corpus.yaml", "--config", "config.yaml", "--output", "d")
    assert (done.returncode, done.stderr) == (0, "")
    manifest = open_dataset(tmp_path / "d").manifest
    counts = {split: manifest.splits[split] for split in SPLITS}
    assert manifest.subword_statistics is not None
    command = str(Path(sys.executable).with_name("lingo"))  # not on the PATH of the process
    assert done.stdout.replace(command, "lingo").splitlines() == [
        "input  read  kept  rejected  repairs  most frequent reasons",
        "x.tsv  201   200   1         0        1 empty",
        "",
        *split_table(manifest),
        "",
        *subword_table(manifest.subword_statistics),
        "",
        "rejected rows, with reasons: d/rejected",
        QUERY,
        "report: d/report.html",
        "dataset: d",
    ]
    assert sum(c.n_pairs for c in counts.values()) == 200
    for split, c in counts.items():
        assert pq.read_table(tmp_path / f"d/pairs/split={split}").num_rows == c.n_pairs > 0


def test_what_limits_the_subword_model_is_printed_as_notes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = "subwords: {normalisation: nmt_nfkc, vocab_size: 30000}\n"
    content = tsv() + "".join(f"Ask {n}: ok\tPide {n}…\n" for n in range(30)).encode()
    write_corpus(tmp_path, {"x.tsv": content, "config.yaml": config.encode()}, path="x.tsv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["lingo", "prepare", "corpus.yaml", "--config", "config.yaml", "-o", "d"]
    )
    with pytest.raises(SystemExit) as done:
        main()
    assert not done.value.code
    notes = [line for line in capsys.readouterr().out.splitlines() if line.startswith("note: ")]
    assert any("pieces, not the 30,000 of subwords.vocab_size" in note for note in notes)
    assert any("train targets do not survive" in note and "…" in note for note in notes)


def test_inputs_and_outputs_may_be_on_s3(
    tmp_path: Path,
    s3: S3Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (s3 / "raw/x.tsv").write_bytes(tsv())
    write_corpus(tmp_path, {"config.yaml": CONFIG.encode()}, path=f"{s3}/raw/*.tsv")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    command = ("prepare", "corpus.yaml", "--config", "config.yaml", "--output")
    for output in ("d", f"{s3}/d"):
        assert not run_here(tmp_path, monkeypatch, *command, output)
        printed = capsys.readouterr().out.splitlines()
        assert printed[0] == "x.tsv: read 201, kept 200, rejected 1 empty"
        assert printed[-1] == f"dataset: {output}"
    assert (s3 / "d/manifest.json").read_bytes() == (tmp_path / "d/manifest.json").read_bytes()
    assert list((tmp_path / "cache/lingo/prepare").iterdir()) == []
    assert not run_here(tmp_path, monkeypatch, "prepare", "corpus.yaml", "--preview")
    assert f"files     {s3}/raw/x.tsv, " in capsys.readouterr().out
    assert not run_here(tmp_path, monkeypatch, "prepare", "corpus.yaml", "--advise")


def test_a_bad_file_on_s3_is_named_by_its_uri(
    tmp_path: Path,
    s3: S3Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (s3 / "x.tsv").write_bytes(b"a\tb\n1\t2\n")
    write_corpus(tmp_path, {}, path=f"{s3}/x.tsv")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert run_here(tmp_path, monkeypatch, "prepare", "corpus.yaml", "--output", "d") == 2
    assert capsys.readouterr().err.startswith(f"lingo: error: {s3}/x.tsv: has no column 'source'")
    assert not (tmp_path / "d").exists()


UNEQUAL = {"a.en": b"one\n" * 5, "a.es": b"uno\n" * 4}

BAD: dict[str, tuple[dict[str, bytes], dict[str, str], str]] = {
    "unequal lengths": (
        UNEQUAL,
        {"source": "a.en", "target": "a.es"},
        "a.en has 5 lines and {folder}/a.es has 4: aligned files need equally many",
    ),
    "utf-16": ({"x.tsv": tsv().decode().encode("utf-16")}, {"path": "x.tsv"}, "x.tsv: is UTF-16"),
    "latin-1": (
        {"a.en": b"one\n" * 20, "a.es": b"ni\xf1o\n" * 20},
        {"source": "a.en", "target": "a.es"},
        "a.es: 20 of 20 rows are not UTF-8 (the first is row 1); set the `encoding`",
    ),
    "truncated gzip": (
        {"x.tsv.gz": b"\x1f\x8b\x08\x00"},
        {"path": "x.tsv.gz"},
        "x.tsv.gz: damaged",
    ),
    "garbage zstd": ({"x.csv.zst": b"garbage"}, {"path": "x.csv.zst"}, "x.csv.zst: damaged"),
    "garbage parquet": (
        {"x.parquet": b"garbage"},
        {"path": "x.parquet"},
        "x.parquet: not readable as Parquet",
    ),
    "missing file": ({}, {"path": "none.tsv"}, "none.tsv: cannot be read (No such file"),
    "empty folder": ({"a/_SUCCESS": b""}, {"path": "a"}, "a: the folder has no file to read"),
    "empty glob": ({"a.tsv": b""}, {"path": "*.csv"}, "*.csv: the pattern matches no file"),
    "missing column": (
        {"x.tsv": b"en\tfr\none\tun\n"},
        {"path": "x.tsv"},
        "x.tsv: has no column 'source'; its columns are en, fr; set source_column",
    ),
    "column twice": ({"x.csv": b"a,a\n"}, {"path": "x.csv"}, "x.csv: two columns are named 'a'"),
    "unknown key": ({}, {"pth": "x.tsv"}, "corpus.yaml: unknown key 'inputs.0.pth'"),
    "no pair": ({"x.tsv": b"source\ttarget\n\t\n"}, {"path": "x.tsv"}, "1 as empty"),
}

# Starting Python takes seconds. So only these run as processes, and the others call `main`.
AS_PROCESSES = ("unequal lengths", "utf-16", "truncated gzip", "missing column")


def check_refusal(folder: Path, status: int, stdout: str, stderr: str, message: str) -> None:
    """Exit status 2, one line that says why, and nothing written."""
    assert (status, stdout) == (2, "")
    assert stderr.count("\n") == 1
    assert stderr.endswith("\n")
    assert stderr.startswith("lingo: error: ")
    assert message.replace("{folder}", str(folder)) in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize("name", AS_PROCESSES)
def test_bad_input_gives_one_line_on_stderr_and_writes_nothing(tmp_path: Path, name: str) -> None:
    files, item, message = BAD[name]
    write_corpus(tmp_path, files, **item)
    before = sorted(tmp_path.rglob("*"))
    done = lingo(tmp_path, "prepare", "corpus.yaml", "--output", "dataset")
    check_refusal(tmp_path, done.returncode, done.stdout, done.stderr, message)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("name", [name for name in BAD if name not in AS_PROCESSES])
def test_every_other_bad_input_is_refused_too(
    tmp_path: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files, item, message = BAD[name]
    write_corpus(tmp_path, files, **item)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["lingo", "prepare", "corpus.yaml", "--output", "dataset"])
    with pytest.raises(SystemExit) as left:
        main()
    out, err = capsys.readouterr()
    assert isinstance(left.value.code, int)
    check_refusal(tmp_path, left.value.code, out, err, message)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_bad_description_and_bad_settings_are_one_line_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_corpus(tmp_path, {"x.tsv": tsv(), "bad.yaml": b"sead: 3\n"}, path="x.tsv")
    (tmp_path / "broken.yaml").write_text("inputs: [\n")
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    for arguments, message in (
        (["none.yaml"], "none.yaml: cannot be read (No such file or directory); check the path"),
        (["broken.yaml"], "broken.yaml: not valid YAML"),
        (["corpus.yaml", "--config", "bad.yaml"], "unknown key 'sead'; did you mean 'seed'?"),
    ):
        monkeypatch.setattr(sys, "argv", ["lingo", "prepare", *arguments, "--output", "d"])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        assert isinstance(left.value.code, int)
        check_refusal(tmp_path, left.value.code, out, err, message)
    assert sorted(tmp_path.rglob("*")) == before


def run_here(folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str | int | None:
    """Run the command line in this process, in ``folder``. Returns its exit status."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["lingo", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code


@pytest.mark.parametrize("output", ["exp:1/d", "ds:1", "run:7/a:b", "my data/d"])
def test_an_output_may_have_a_colon_in_its_path(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    output: str,
) -> None:
    write_corpus(tmp_path, {"x:1.tsv": tsv(), "config.yaml": CONFIG.encode()}, path="x:1.tsv")
    arguments = ("prepare", "corpus.yaml", "--config", "config.yaml", "-o", output)
    assert not run_here(tmp_path, monkeypatch, *arguments)
    dataset = open_dataset(Path(output))
    dataset.check_files()
    assert dataset.pairs("test").num_rows == dataset.encoded("test").num_rows > 0
    assert dataset.n_row_groups("train") == 8
    query = next(
        line for line in capsys.readouterr().out.splitlines() if line.startswith("query: ")
    )
    assert not run_here(tmp_path, monkeypatch, *shlex.split(query)[2:])
    assert "vacío" in capsys.readouterr().out


@pytest.mark.parametrize("uri", ["s3://bucket/d", "gs://b/d", "https://h/d", "file:///tmp/d"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("prepare", "corpus.yaml", "--output", "d", "--work-folder", "URI"),
        ("prepare", "URI", "--output", "d"),
        ("prepare", "corpus.yaml", "--output", "d", "--config", "URI"),
        ("train", "URI", "--output", "models/m"),
        ("train", "d", "--output", "URI"),
        ("evaluate", "URI"),
        ("evaluate", "d", "--reports", "URI"),
        ("evaluate", "d", "--models", "URI"),
        ("demo", "--output", "URI"),
        ("models", "list", "--models", "URI"),
        ("sql", "SELECT 1", "--reports", "URI"),
    ],
)
def test_a_uri_is_refused_where_only_a_path_can_be_used(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    uri: str,
) -> None:
    write_corpus(tmp_path, {"x.tsv": tsv()}, path="x.tsv")
    before = sorted(tmp_path.rglob("*"))
    given = [uri if argument == "URI" else argument for argument in arguments]
    assert run_here(tmp_path, monkeypatch, *given) == 2
    out, err = capsys.readouterr()
    check_refusal(tmp_path, 2, out, err, f"{uri}: needs a path of this machine; only the input")
    assert sorted(tmp_path.rglob("*")) == before
