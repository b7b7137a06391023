"""``lingo dataset check`` names what a dataset's splits share, or a dataset and a test file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

Lingo = Callable[..., Any]

WORDS = ("red", "blue", "tall", "kind", "slow", "cold", "warm", "loud", "calm", "dark")
CLEAN = 0
LEAKS = 4


def sentence(number: int) -> tuple[str, str]:
    """A pair of long sentences; two of them differ in several words."""
    names = [f"{WORDS[number // 10**place % 10]}{'xyz'[place]}" for place in range(3)]
    source = " ".join(f"the {name} animal of {name}land" for name in names)
    target = " ".join(f"el animal {name} de {name}landia" for name in names)
    return source, target


TRAIN = [sentence(n) for n in range(150)]
VALID = [sentence(n) for n in range(200, 205)]
TEST = [sentence(n) for n in range(300, 305)]


def write_tsv(path: Path, pairs: list[tuple[str, str]], header: str = "source\ttarget") -> Path:
    """Write pairs to a TSV file."""
    lines = [header, *("\t".join(pair) for pair in pairs)]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of three clean splits."""
    from pipeline.prepare.config import PrepareConfig, SubwordsConfig
    from pipeline.prepare.corpus import load_corpus
    from pipeline.prepare.stage import prepare_corpus

    root = tmp_path_factory.mktemp("check")
    splits = {"train": TRAIN, "valid": VALID, "test": TEST}
    inputs = []
    for split, pairs in splits.items():
        write_tsv(root / f"{split}.tsv", pairs)
        inputs.append({"path": f"{split}.tsv", "split": split})
    description = {"source_lang": "en", "target_lang": "es", "inputs": inputs}
    (root / "corpus.yaml").write_text(yaml.safe_dump(description), encoding="utf-8")
    config = PrepareConfig(subwords=SubwordsConfig(vocab_size=100))
    prepare_corpus(load_corpus(root / "corpus.yaml"), root / "dataset", config)
    return root / "dataset"


@pytest.fixture
def leaking(dataset: Path, tmp_path: Path) -> Path:
    """The dataset as another program could have made it: some training pairs are near others."""
    copied = tmp_path / "dataset"
    (copied / "pairs").mkdir(parents=True)
    manifest = json.loads((dataset / "manifest.json").read_text(encoding="utf-8"))
    del manifest["leakage"], manifest["files_sha256"]
    (copied / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    for split in ("train", "valid", "test"):
        name = manifest["splits"][split]["pairs_files"][0]
        table = pq.ParquetFile(dataset / name).read()
        rows = table.to_pylist()
        if split == "train":
            rows[3]["source"] = TEST[1][0].upper()
            rows[5]["source"] = "so " + VALID[2][0]
            rows[7]["target"] = " ".join(reversed(TEST[3][1].split()))
        (copied / name).parent.mkdir(parents=True)
        pq.write_table(table.from_pylist(rows, schema=table.schema), copied / name)
    return copied


def test_a_clean_dataset_has_exit_status_0(lingo: Lingo, dataset: Path) -> None:
    ended = lingo("dataset", "check", dataset)
    assert ended.status == CLEAN
    rows = [line.split() for line in ended.out.splitlines()[1:4]]
    assert rows == [
        ["150", "train", "5", "test", "0", "0", "0", "0"],
        ["150", "train", "5", "valid", "0", "0", "0", "0"],
        ["5", "valid", "5", "test", "0", "0", "0", "0"],
    ]


def test_leaks_are_counted_and_named_with_both_texts(lingo: Lingo, leaking: Path) -> None:
    ended = lingo("dataset", "check", leaking)
    assert ended.status == LEAKS
    rows = [line.split()[4:] for line in ended.out.splitlines()[1:4]]
    assert rows == [["1", "0", "0", "1"], ["0", "1", "0", "0"], ["0", "0", "0", "0"]]
    assert "exact_source, 1.00: train.tsv:4 (train), test.tsv:2\n" in ended.out
    assert f"    {TEST[1][0].upper()}\n    {TEST[1][0]}\n" in ended.out
    assert "near_source, 0.94: train.tsv:6 (train), valid.tsv:3\n" in ended.out
    assert "near_target, 1.00: train.tsv:8 (train), test.tsv:4\n" in ended.out
    assert f"    {TEST[3][1]}\n" in ended.out


def test_the_json_has_a_certificate_of_a_dataset_without_one(lingo: Lingo, leaking: Path) -> None:
    ended = lingo("dataset", "check", leaking, "--json")
    assert ended.status == LEAKS
    certificate = json.loads(ended.out)["certificate"]
    assert certificate["n_sources_in_several_splits"] == 1
    assert certificate["similarity"] == 0.8
    assert certificate["comparisons"][1] == {
        "split": "train",
        "against": "valid",
        "n_pairs": 150,
        "n_against": 5,
        "n_close": {"exact_source": 0, "near_source": 1, "exact_target": 0, "near_target": 0},
    }
    assert certificate["left"][1] == {
        "kind": "near_source",
        "split": "train",
        "origin": "train.tsv:6",
        "against": "valid",
        "of": "valid.tsv:3",
        "similarity": 0.9375,
    }


def test_the_limits_can_be_set(lingo: Lingo, leaking: Path) -> None:
    options = ("--similarity", "0.95", "--min-target-words", "99", "--rows", "0")
    ended = lingo("dataset", "check", leaking, *options)
    assert [line.split()[4:] for line in ended.out.splitlines()[1:4]] == [
        ["1", "0", "0", "0"],
        ["0", "0", "0", "0"],
        ["0", "0", "0", "0"],
    ]
    assert "1 more; name them with --rows 1" in ended.out
    ended = lingo("dataset", "check", leaking, "--similarity", "7")
    assert ended.status == 2
    assert "similarity=7" in ended.err


@pytest.mark.parametrize(
    ("source", "kind", "status"),
    [
        (f"so {VALID[1][0]}", "near_source, 0.94", CLEAN),
        (VALID[1][0].title(), "exact_source, 1.00", LEAKS),
    ],
)
def test_a_validation_pair_leaks_if_its_source_is_equal(
    lingo: Lingo, dataset: Path, tmp_path: Path, source: str, kind: str, status: int
) -> None:
    file = write_tsv(tmp_path / "news.tsv", [(source, "nada")])
    ended = lingo("dataset", "check", dataset, "--against", file)
    assert ended.status == status
    assert f"{kind}: valid.tsv:2 (valid), news.tsv:1\n" in ended.out


@pytest.mark.parametrize("kind", ["table", "columns", "aligned", "sources", "jsonl"])
def test_a_test_file_in_any_format_is_compared(
    lingo: Lingo, dataset: Path, tmp_path: Path, kind: str
) -> None:
    pairs = [(f"Well {TRAIN[7][0]}!", "nada"), sentence(900), ("", ""), (TEST[0][0], TEST[0][1])]
    options: list[str] = []
    match kind:
        case "table":
            files = [write_tsv(tmp_path / "news.tsv", pairs)]
        case "columns":
            files = [write_tsv(tmp_path / "news.tsv", pairs, "en\tes")]
            options = ["--source-column", "en", "--target-column", "es"]
        case "jsonl":
            files = [tmp_path / "news.jsonl"]
            rows = [json.dumps({"source": a, "target": b}) for a, b in pairs]
            files[0].write_text("\n".join(rows), encoding="utf-8")
        case _:
            files = [tmp_path / "news.en", tmp_path / "news.es"]
            for side, file in enumerate(files):
                text = "".join(f"{pair[side]}\n" for pair in pairs)
                file.write_text(text, encoding="utf-8")
            files = files if kind == "aligned" else files[:1]
    ended = lingo("dataset", "check", dataset, "--against", *files, "--json", *options)
    assert ended.status == LEAKS, ended.err
    check = json.loads(ended.out)
    assert [item["n_close"]["near_source"] for item in check["comparisons"]] == [1, 0]
    assert [item["n_against"] for item in check["comparisons"]] == [4, 4]
    assert [(row["origin"], row["of"]) for row in check["rows"]] == [
        ("train.tsv:8", f"{files[0].name}:1")
    ]
    assert check["rows"][0]["of_source"] == pairs[0][0]
    assert check["certificate"] is None


def test_a_test_file_that_shares_nothing_is_clean(
    lingo: Lingo, dataset: Path, tmp_path: Path
) -> None:
    file = write_tsv(tmp_path / "news.tsv", [sentence(900), TEST[0]])
    assert lingo("dataset", "check", dataset, "--against", file).status == CLEAN


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (None, [], "cannot be read"),
        ("", [], "news.tsv"),
        ("a\tb\nx\ty\n", [], "'source'"),
        ("source\ttarget\n", [], "no row that can be read"),
        ("source\ttarget\nx\ty\n", ["b.txt", "c.txt"], "3 test files"),
    ],
)
def test_a_bad_test_file_is_refused_in_one_line(
    lingo: Lingo, dataset: Path, tmp_path: Path, content: str | None, arguments: list[str],
    message: str,
) -> None:  # fmt: skip
    file = tmp_path / "news.tsv"
    if content is not None:
        file.write_text(content, encoding="utf-8")
    ended = lingo("dataset", "check", dataset, "--against", file, *arguments)
    assert ended.status == 2
    assert message in ended.err
    assert ended.err.count("\n") == 1


def test_options_of_a_test_file_need_one(lingo: Lingo, dataset: Path, tmp_path: Path) -> None:
    for arguments in (["news.de"], ["--source-column", "en"]):
        ended = lingo("dataset", "check", dataset, *arguments)
        assert ended.status == 2
        assert "needs --against" in ended.err
    ended = lingo("dataset", "check", tmp_path)
    assert ended.status == 2


def test_a_damaged_dataset_is_refused(lingo: Lingo, leaking: Path) -> None:
    next((leaking / "pairs" / "split=train").glob("*.parquet")).write_bytes(b"PAR1")
    ended = lingo("dataset", "check", leaking)
    assert ended.status == 2
    assert "not readable" in ended.err
