"""Inputs on S3 are copied to this machine, and give the dataset that local files give."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from lingo_model import InputError
from lingo_model.atomic_files import reserved
from pipeline.prepare.config import LeaksConfig, PrepareConfig, SubwordsConfig
from pipeline.prepare.corpus import CorpusDescription, load_corpus
from pipeline.prepare.input_checks import check_inputs
from pipeline.prepare.open_corpus import open_corpus
from pipeline.prepare.preview import N_CHECKED_PARTS, as_lines, preview_corpus
from pipeline.prepare.stage import prepare_corpus
from pipeline.storage.file_version import FileStamp
from pipeline.storage.s3 import S3Path

CONFIG = PrepareConfig(subwords=SubwordsConfig(vocab_size=120), leaks=LeaksConfig(near=False))
PAIRS = [(f"the number {n} of many", f"el número {n} de muchos") for n in range(40)]


def files() -> dict[str, bytes]:
    """A corpus of aligned text, also compressed, and of tables, by relative path."""
    sides = ["".join(f"{pair[side]}\n" for pair in PAIRS[:20]).encode() for side in (0, 1)]
    rows = ["source\ttarget", *("\t".join(pair) for pair in PAIRS[20:])]
    table = "".join(f"{row}\n" for row in rows).encode()
    return {
        "news/a.en": sides[0],
        "news/a.es": sides[1],
        "news/_SUCCESS": b"",
        "gz/b.en.gz": gzip.compress(sides[0].replace(b"many", b"few"), mtime=0),
        "gz/b.es.gz": gzip.compress(sides[1].replace(b"muchos", b"pocos"), mtime=0),
        "tables/day=1/x.tsv": table,
        "tables/day=2/x.tsv": table.replace(b"number", b"figure"),
    }


def put(root: Path | S3Path, content: dict[str, bytes]) -> None:
    for name, data in content.items():
        if isinstance(root, Path):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def describe(folder: Path, root: Path | S3Path, *inputs: dict[str, Any]) -> Path:
    """Write a description of inputs below ``root``."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = [
        {key: f"{root}/{value}" if key != "split" else value for key, value in item.items()}
        for item in inputs
        or (
            {"source": "news/*.en", "target": "news/*.es"},
            {"source": "gz/b.en.gz", "target": "gz/b.es.gz"},
            {"path": "tables"},
        )
    ]
    values = {"source_lang": "en", "target_lang": "es", "inputs": entries}
    (folder / "corpus.yaml").write_text(json.dumps(values))
    return folder / "corpus.yaml"


def opened(path: Path, copies: Path) -> CorpusDescription:
    with open_corpus(path, copies) as corpus:
        return corpus


def names(corpus: CorpusDescription, copies: Path) -> list[str]:
    return [
        file.relative_to(copies / "files").as_posix().partition("/")[2]
        for item in corpus.inputs
        for file in item.files
    ]


def test_a_corpus_on_s3_gives_the_dataset_of_the_same_files_on_a_disk(
    tmp_path: Path, s3: S3Path
) -> None:
    put(tmp_path / "raw", files())
    put(s3 / "raw", files())
    here = describe(tmp_path / "here", tmp_path / "raw")
    there = describe(tmp_path / "there", s3 / "raw")
    expected = prepare_corpus(load_corpus(here), tmp_path / "d1", CONFIG)
    with open_corpus(there, tmp_path / "copies") as corpus:
        manifest = prepare_corpus(corpus, tmp_path / "d2", CONFIG)
    assert manifest == expected
    assert manifest.inputs[2].n_read == 40
    assert not (tmp_path / "copies").exists()


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("news", ["news/a.en", "news/a.es"]),
        ("news/", ["news/a.en", "news/a.es"]),
        ("news/_*", ["news/_SUCCESS"]),
        ("*/*.en*", ["gz/b.en.gz", "news/a.en"]),
        ("**/x.tsv", ["tables/day=1/x.tsv", "tables/day=2/x.tsv"]),
        ("tables/day=*", ["tables/day=1/x.tsv", "tables/day=2/x.tsv"]),
        ("tables/day=2/x.tsv", ["tables/day=2/x.tsv"]),
    ],
)
def test_folders_and_patterns_mean_what_they_mean_on_a_disk(
    tmp_path: Path, s3: S3Path, entry: str, expected: list[str]
) -> None:
    put(tmp_path / "raw", files())
    put(s3 / "raw", files())
    here = load_corpus(describe(tmp_path / "h", tmp_path / "raw", {"path": entry}))
    there = opened(describe(tmp_path / "t", s3 / "raw", {"path": entry}), tmp_path / "copies")
    on_disk = [file.relative_to(tmp_path).as_posix() for file in here.inputs[0].files]
    assert names(there, tmp_path / "copies") == on_disk == [f"raw/{name}" for name in expected]
    assert there.inputs[0].given_name == here.inputs[0].given_name


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("none.tsv", "no such file, and no folder with a file"),
        ("*/none.*", "the pattern matches no file"),
        ("a//b.tsv", "a part of the key is empty, '.' or '..'"),
        ("a/../b.tsv", "a part of the key is empty, '.' or '..'"),
    ],
)
def test_a_missing_or_impossible_file_is_named_by_its_uri(
    tmp_path: Path, s3: S3Path, entry: str, problem: str
) -> None:
    put(s3, {"other.tsv": b"source\ttarget\n"})
    description = describe(tmp_path, s3, {"path": entry})
    with pytest.raises(InputError) as error, open_corpus(description):
        pass
    assert f"s3://{s3.bucket}/{entry}: {problem}" in str(error.value)


def test_errors_of_a_file_name_its_uri_and_leave_no_copy(tmp_path: Path, s3: S3Path) -> None:
    put(s3, {"x.tsv": b"a\tb\n1\t2\n"})
    description = describe(tmp_path / "c", s3, {"path": "x.tsv"})
    with (
        pytest.raises(InputError, match=f"^{s3}/x.tsv: has no column 'source'"),
        open_corpus(description, tmp_path / "work" / "copies") as corpus,
    ):
        check_inputs(corpus)
    assert list((tmp_path / "work").iterdir()) == []


def test_only_files_that_changed_are_copied_again(
    tmp_path: Path, s3: S3Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(s3, files())
    description = describe(tmp_path / "c", s3)
    downloaded: list[str] = []
    download = S3Path.download

    def counted(file: S3Path, to: Path) -> FileStamp:
        downloaded.append(file.key)
        return download(file, to)

    monkeypatch.setattr(S3Path, "download", counted)

    def interrupt() -> None:
        with pytest.raises(KeyboardInterrupt), open_corpus(description, tmp_path / "copies"):
            raise KeyboardInterrupt

    interrupt()
    assert len(downloaded) == 6
    downloaded.clear()
    put(s3, {"news/a.en": b"other\n" * 20})
    interrupt()
    assert downloaded == ["news/a.en"]


@pytest.mark.parametrize("content", [None, b"source\ttarget\nother\totro\n"])
def test_a_file_that_changes_or_vanishes_before_it_is_copied_is_an_error_in_one_line(
    tmp_path: Path, s3: S3Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    put(s3, {"x.tsv": b"source\ttarget\na\tb\n"})
    download = S3Path.download

    def change(file: S3Path, to: Path) -> FileStamp:
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content)
        return download(file, to)

    monkeypatch.setattr(S3Path, "download", change)
    problem = "vanished" if content is None else "changed"
    description = describe(tmp_path / "c", s3, {"path": "x.tsv"})
    with (
        pytest.raises(InputError, match=f"^{s3}/x.tsv: {problem} before it was copied"),
        open_corpus(description, tmp_path / "copies"),
    ):
        pass
    assert not (tmp_path / "copies").exists()


def test_two_processes_do_not_copy_to_one_folder(tmp_path: Path, s3: S3Path) -> None:
    put(s3, {"x.tsv": b"source\ttarget\na\tb\n"})
    description = describe(tmp_path / "c", s3, {"path": "x.tsv"})
    with (
        reserved(tmp_path / "copies"),
        pytest.raises(InputError, match="another process is using it"),
        open_corpus(description, tmp_path / "copies"),
    ):
        pass


def test_a_corpus_on_s3_that_is_not_copied_is_refused(tmp_path: Path, s3: S3Path) -> None:
    put(s3, {"x.tsv": b"source\ttarget\na\tb\n"})
    description = describe(tmp_path / "c", s3, {"path": "x.tsv"})
    with pytest.raises(InputError, match="is on S3; open the corpus with open_corpus"):
        load_corpus(description)
    inputs = [{"path": f"{s3}/x.tsv"}]
    corpus = CorpusDescription.model_validate(
        {"source_lang": "en", "target_lang": "es", "inputs": inputs}
    )
    with pytest.raises(InputError, match="is on S3; open the corpus with open_corpus"):
        check_inputs(corpus)


def test_a_preview_copies_the_first_files_and_shows_uris(
    tmp_path: Path,
    s3: S3Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table = b"source\ttarget\n" + b"a dog\tun perro\n"
    put(s3, {f"t/{number:03d}.tsv": table for number in range(30)})
    description = describe(tmp_path / "c", s3, {"path": "t"})
    with open_corpus(description, n_parts=N_CHECKED_PARTS) as corpus:
        (shown,) = preview_corpus(corpus, 25)
        lines = corpus.with_uris("\n".join(as_lines(shown)))
        copied = [file for file in corpus.inputs[0].files if file.exists()]
    assert len(copied) == N_CHECKED_PARTS
    assert f"files     {s3}/t/000.tsv and 29 more, {30 * len(table)} bytes" in lines
    assert len(shown.pairs) == N_CHECKED_PARTS
    assert shown.error is None
