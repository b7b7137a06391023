"""From raw files to a dataset: every row accounted for, whole or not at all, twice the same."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError
from pipeline.dataset.manifest import DatasetManifest, load_dataset, load_subwords
from pipeline.dataset.splits import SPLITS, Split
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.prepare import stage as prepare
from pipeline.prepare.cleaning import CleanConfig
from pipeline.prepare.config import PrepareConfig
from pipeline.prepare.corpus import CorpusDescription
from pipeline.prepare.encoding import SubwordsConfig
from pipeline.prepare.normalise import normalise
from pipeline.prepare.splitting import SplitConfig
from pipeline.prepare.stage import prepare_corpus
from pipeline.schemas import ENCODED, PAIRS, REJECTED
from pipeline.storage.folders import LOCK

CONFIG = PrepareConfig(subwords=SubwordsConfig(vocab_size=120))
N_GOOD: dict[Split, int] = {"train": 100, "valid": 20, "test": 20}
GOOD: dict[Split, list[tuple[str, str]]] = {
    split: [(p.source, p.target) for p in generate_pairs(n, seed=2, split=split)]
    for split, n in N_GOOD.items()
}
OTHER = "una traducción cualquiera"


def describe(*inputs: dict[str, Any], **changed: Any) -> CorpusDescription:
    """A description of English to Spanish."""
    values = {"source_lang": "en", "target_lang": "es", "inputs": list(inputs)} | changed
    return CorpusDescription.model_validate(values)


def write_tsv(path: Path, pairs: list[tuple[str, str]]) -> Path:
    """A table of pairs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["source\ttarget", *("\t".join(pair) for pair in pairs)]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    return path


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Rows of a folder of Parquet files, in order."""
    return [row for file in sorted(folder.glob("*.parquet")) for row in read(file)]


def read(file: Path) -> list[dict[str, Any]]:
    """Rows of one Parquet file."""
    rows: list[dict[str, Any]] = pq.ParquetFile(file).read().to_pylist()
    return rows


@dataclasses.dataclass(frozen=True)
class Messy:
    """A corpus with every kind of bad row, and what should become of it."""

    corpus: CorpusDescription
    rejected: dict[str, list[dict[str, Any]]]
    """By file: the rows of REJECTED."""
    kept: dict[Split, list[str]]
    """By split: the origins of PAIRS."""
    output: Path
    manifest: DatasetManifest


@pytest.fixture(scope="module")
def messy(tmp_path_factory: pytest.TempPathFactory) -> Messy:
    """Three given files and one pair of aligned files without a split."""
    root = tmp_path_factory.mktemp("messy")
    test, valid, train = GOOD["test"], GOOD["valid"], GOOD["train"]
    # Of each bad row: its cells, the reason, and how source and target stand in REJECTED.
    bad_train: list[tuple[bytes, str, str | None, str | None]] = [
        (b"\talgo\tx", "empty", "", "algo"),
        (b"something\t  \tx", "empty", "something", "  "),
        (b"one cell", "malformed", "one cell", None),
        (b"four\tcells\tin\tall", "malformed", "four", "cells"),
        (b"caf\xe9\tcaf\xc3\xa9\tx", "undecodable", "caf\ufffd", "café"),
        (b"a" * 1001 + b"\t" + b"b" * 1001 + b"\tx", "too_long", "a" * 1001, "b" * 1001),
        (b"hello\t" + b"b" * 26 + b"\tx", "ratio", "hello", "b" * 26),
        ("\t".join((*train[0], "x")).encode(), "duplicate", *train[0]),
        (
            f" {train[1][0]} \t{train[1][1]}\tx".encode(),
            "duplicate",
            f" {train[1][0]} ",
            train[1][1],
        ),
        (f"{test[3][0].upper()}\t{OTHER}\tx".encode(), "leak", test[3][0].upper(), OTHER),
        (f"- {valid[4][0]}\t{OTHER}\tx".encode(), "leak", f"- {valid[4][0]}", OTHER),
    ]
    good_lines = [f"{source}\t{target}\tgrammar".encode() for source, target in train]
    lines = [b"source\ttarget\tdomain", *good_lines, *(row[0] for row in bad_train)]
    (root / "train.tsv").write_bytes(b"".join(line + b"\n" for line in lines))
    # Repeated pairs stay in validation and test, so that scores compare with published ones.
    write_tsv(root / "valid.tsv", [*valid, (test[5][0], OTHER), valid[0]])
    write_tsv(root / "test.tsv", [*test, test[0], ("", "x")])
    more = [(f"number {n} of many", f"número {n} de muchos") for n in range(30)]
    more[7] = ("", "nada")
    more[9] = (test[6][0], OTHER)
    (root / "more.en").write_text("".join(f"{p[0]}\n" for p in more), encoding="utf-8")
    (root / "more.es").write_text("".join(f"{p[1]}\n" for p in more), encoding="utf-8")

    def rejected(
        split: Split, origin: str, reason: str, source: Any, target: Any
    ) -> dict[str, Any]:
        return {
            "origin": origin,
            "split": split,
            "reason": reason,
            "source": source,
            "target": target,
        }

    corpus = describe(
        {"path": root / "train.tsv", "split": "train"},
        {"source": root / "more.en", "target": root / "more.es"},
        {"path": root / "valid.tsv", "split": "valid"},
        {"path": root / "test.tsv", "split": "test"},
    )
    output = root / "out" / "dataset"
    return Messy(
        corpus=corpus,
        rejected={
            "test.tsv": [rejected("test", "test.tsv:22", "empty", "", "x")],
            "valid.tsv": [rejected("valid", "valid.tsv:21", "leak", test[5][0], OTHER)],
            "more.en+more.es": [
                rejected("train", "more.en:8", "empty", "", "nada"),
                rejected("train", "more.en:10", "leak", test[6][0], OTHER),
            ],
            "train.tsv": [
                rejected("train", f"train.tsv:{number}", reason, source, target)
                for number, (_, reason, source, target) in enumerate(bad_train, start=101)
            ],
        },
        kept={
            "test": [f"test.tsv:{n}" for n in range(1, 22)],
            "valid": [*(f"valid.tsv:{n}" for n in range(1, 21)), "valid.tsv:22"],
            "train": [
                *(f"more.en:{n}" for n in range(1, 31) if n not in (8, 10)),
                *(f"train.tsv:{n}" for n in range(1, 101)),
            ],
        },
        output=output,
        manifest=prepare_corpus(corpus, output, CONFIG),
    )


def test_every_row_is_kept_or_rejected_with_its_reason(messy: Messy) -> None:
    assert rows_of(messy.output / "rejected") == [
        row for rows in messy.rejected.values() for row in rows
    ]
    for split in SPLITS:
        found = rows_of(messy.output / "pairs" / f"split={split}")
        assert [row["origin"] for row in found] == messy.kept[split]


def test_counts_add_up_per_input(messy: Messy) -> None:
    n_read = {"test.tsv": 22, "valid.tsv": 22, "more.en+more.es": 30, "train.tsv": 111}
    assert {item.name: item.n_read for item in messy.manifest.inputs} == n_read
    for item in messy.manifest.inputs:
        assert item.n_kept + sum(item.n_rejected.values()) == item.n_read
        assert item.n_rejected == Counter(row["reason"] for row in messy.rejected[item.name])
    assert messy.manifest.n_rejected == {
        "duplicate": 2,
        "empty": 4,
        "leak": 4,
        "malformed": 2,
        "ratio": 1,
        "too_long": 1,
        "undecodable": 1,
    }
    assert list(messy.manifest.n_rejected) == sorted(messy.manifest.n_rejected)
    assert {s: c.n_pairs for s, c in messy.manifest.splits.items()} == {
        split: len(origins) for split, origins in messy.kept.items()
    }


def test_pairs_are_stripped_and_carry_other_columns(messy: Messy) -> None:
    rows = {row["origin"]: row for row in rows_of(messy.output / "pairs" / "split=train")}
    assert rows["train.tsv:2"] | {"pair_id": ""} == {
        "pair_id": "",
        "source": GOOD["train"][1][0],
        "target": GOOD["train"][1][1],
        "origin": "train.tsv:2",
        "domain": "grammar",
    }
    assert rows["more.en:1"]["domain"] is None


def test_every_table_has_its_schema(messy: Messy) -> None:
    pairs = pa.schema([*PAIRS, pa.field("domain", pa.string())])
    for split in SPLITS:
        for kind, schema in (("pairs", pairs), ("encoded", ENCODED)):
            files = sorted((messy.output / kind / f"split={split}").iterdir())
            assert [file.name for file in files] == ["part-00000.parquet"]
            assert pq.read_schema(files[0]).equals(schema)
    (file,) = (messy.output / "rejected").iterdir()
    assert pq.read_schema(file).equals(REJECTED)


def test_a_folder_reads_as_one_table(messy: Messy) -> None:
    table = pq.read_table(messy.output / "pairs")  # hive partitions, as any other tool sees them
    assert table.num_rows == sum(map(len, messy.kept.values()))
    assert set(table["split"].to_pylist()) == set(SPLITS)


def test_pairs_and_encoded_rows_have_equal_ids(messy: Messy) -> None:
    everything: list[str] = []
    for split in SPLITS:
        ids = [row["pair_id"] for row in rows_of(messy.output / "pairs" / f"split={split}")]
        encoded = [row["pair_id"] for row in rows_of(messy.output / "encoded" / f"split={split}")]
        assert sorted(encoded) == sorted(ids)
        everything += ids
    assert len(set(everything)) == len(everything)


def test_the_manifest_names_exactly_the_files_there_are(messy: Messy) -> None:
    named = [
        name
        for counts in messy.manifest.splits.values()
        for name in (*counts.pairs_files, *counts.encoded_files)
    ]
    others = ["manifest.json", "subwords.model", "rejected/part-00000.parquet"]
    assert sorted([*named, *others]) == sorted(tree(messy.output))


def test_the_manifest_on_disk_is_the_one_returned(messy: Messy) -> None:
    found = load_dataset(messy.output)
    assert found == messy.manifest
    assert (found.source_lang, found.target_lang) == ("en", "es")
    assert found.vocab_size == load_subwords(messy.output, found).vocab_size <= 120


def test_the_leakage_certificate_counts(messy: Messy) -> None:
    leakage = messy.manifest.leakage
    assert leakage is not None
    assert leakage.n_rejected_as_leak == 4
    assert leakage.n_sources_in_several_splits == 0
    # Given files that lost rows for any reason: scores on them are not those on the whole file.
    assert leakage.inputs_that_lost_rows == {"test.tsv": 1, "valid.tsv": 1, "train.tsv": 11}


def test_a_leak_that_the_splitter_let_by_is_found_in_the_written_files(
    messy: Messy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare.Splitter, "reason_to_reject", lambda *_: None)
    with pytest.raises(RuntimeError, match="4 sources stand in several splits"):
        prepare_corpus(messy.corpus, tmp_path / "dataset", CONFIG)
    assert list(tmp_path.iterdir()) == []


# Splits by hash.


def test_without_given_files_the_splits_are_drawn_and_disjoint(tmp_path: Path) -> None:
    pairs = [(p.source, p.target) for p in generate_pairs(300, seed=3, split="train")]
    shouted = [(f"{source.upper()}!", target) for source, target in pairs]
    write_tsv(tmp_path / "a.tsv", pairs)
    write_tsv(tmp_path / "b.tsv", shouted)
    config = CONFIG.model_copy(update={"split": SplitConfig(valid_share=0.1, test_share=0.1)})
    corpus = describe({"path": tmp_path / "a.tsv"}, {"path": tmp_path / "b.tsv"})
    manifest = prepare_corpus(corpus, tmp_path / "dataset", config)
    sources = {
        split: [normalise(r["source"]) for r in rows_of(tmp_path / f"dataset/pairs/split={split}")]
        for split in SPLITS
    }
    assert sum(map(len, sources.values())) == 600
    assert all(Counter(texts).most_common(1)[0][1] >= 2 for texts in sources.values())
    assert not set(sources["train"]) & set(sources["valid"])
    assert not set(sources["train"]) & set(sources["test"])
    assert not set(sources["valid"]) & set(sources["test"])
    assert 20 < len(sources["valid"]) < 120  # 60 expected
    assert 20 < len(sources["test"]) < 120
    assert manifest.leakage is not None
    assert manifest.leakage.inputs_that_lost_rows == {}


@pytest.mark.parametrize("given", ["valid", "test"])
def test_a_given_file_loses_nothing_to_a_split_that_is_drawn(tmp_path: Path, given: Split) -> None:
    pairs = [(p.source, p.target) for p in generate_pairs(200, seed=3, split="train")]
    write_tsv(tmp_path / "all.tsv", pairs)
    write_tsv(tmp_path / "given.tsv", pairs[:100])
    share = {"valid_share": 0.4, "test_share": 0.4}
    config = CONFIG.model_copy(update={"split": SplitConfig.model_validate(share)})
    corpus = describe(
        {"path": tmp_path / "all.tsv"}, {"path": tmp_path / "given.tsv", "split": given}
    )
    manifest = prepare_corpus(corpus, tmp_path / "dataset", config)
    counts = {item.name: item for item in manifest.inputs}
    assert counts["given.tsv"].n_kept == 100
    assert counts["all.tsv"].n_rejected == {"leak": 100}
    assert manifest.splits["test" if given == "valid" else "valid"].n_pairs > 20


# Identity of rows.


def test_ids_are_unique_for_inputs_of_one_name_and_content(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write_tsv(tmp_path / folder / "test.tsv", [("same", "mismo"), ("same", "mismo"), ("", "x")])
    write_tsv(tmp_path / "train.tsv", GOOD["train"])
    corpus = describe(
        {"path": tmp_path / "a/test.tsv", "split": "test"},
        {"path": tmp_path / "b/test.tsv", "split": "test"},
        {"path": tmp_path / "train.tsv"},
    )
    manifest = prepare_corpus(corpus, tmp_path / "dataset", CONFIG)
    rows = rows_of(tmp_path / "dataset/pairs/split=test")
    assert [row["origin"] for row in rows] == ["test.tsv:1", "test.tsv:2"] * 2
    assert len({row["pair_id"] for row in rows}) == 4
    assert manifest.leakage is not None
    assert manifest.leakage.inputs_that_lost_rows == {"test.tsv": 2}


def test_text_of_any_kind_comes_through(tmp_path: Path) -> None:
    odd = [
        {"source": "two\nlines", "target": "dos\r\nlíneas"},
        {"source": "nul\x00byte", "target": "tab\tulador"},
        {"source": "line\u2028separator", "target": "<ph0> 😀 <ph9>"},
    ]
    path = tmp_path / "odd.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in odd))
    write_tsv(tmp_path / "train.tsv", GOOD["train"])
    corpus = describe({"path": tmp_path / "train.tsv"}, {"path": path, "split": "train"})
    config = CONFIG.model_copy(update={"split": SplitConfig(valid_share=0, test_share=0)})
    manifest = prepare_corpus(corpus, tmp_path / "dataset", config)
    rows = rows_of(tmp_path / "dataset/pairs/split=train")
    assert [{"source": r["source"], "target": r["target"]} for r in rows[-3:]] == odd
    assert manifest.splits["train"].n_pairs == 103


def test_json_keys_do_not_clash_with_columns_of_other_files(tmp_path: Path) -> None:
    pq.write_table(
        pa.table(
            {
                "source": [p[0] for p in GOOD["train"]],
                "target": [p[1] for p in GOOD["train"]],
                "year": list(range(100)),
                "tag": pa.array(["a", "b"] * 50).dictionary_encode(),
            }
        ),
        tmp_path / "x.parquet",
    )
    path = tmp_path / "x.jsonl"
    path.write_text('{"source": "good day", "target": "buen día", "year": "n/a", "origin": 5}\n')
    corpus = describe({"path": tmp_path / "x.parquet"}, {"path": path, "split": "train"})
    prepare_corpus(corpus, tmp_path / "dataset", CONFIG)
    rows = [r for split in SPLITS for r in rows_of(tmp_path / f"dataset/pairs/split={split}")]
    assert {row["origin"]: (row["year"], row["tag"]) for row in rows} == {
        f"x.parquet:{n}": (n - 1, "ab"[(n - 1) % 2]) for n in range(1, 101)
    } | {"x.jsonl:1": (None, None)}


# Whole or not at all.


@pytest.fixture
def small(tmp_path: Path) -> CorpusDescription:
    """A good corpus."""
    return describe({"path": write_tsv(tmp_path / "raw" / "small.tsv", GOOD["train"])})


def fail_at(monkeypatch: pytest.MonkeyPatch, step: str, *, after: bool) -> None:
    """Have a step of ``prepare`` fail, before or after it has done its work."""
    real: Callable[..., Any] = getattr(prepare, step)

    def failing(*args: Any, **kwargs: Any) -> Any:
        if after:
            real(*args, **kwargs)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(prepare, step, failing)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    "step", ["_write_pairs", "train_subwords", "encode_split", "leakage_certificate", "write_json"]
)
def test_a_failure_anywhere_leaves_nothing(
    tmp_path: Path,
    small: CorpusDescription,
    monkeypatch: pytest.MonkeyPatch,
    step: str,
    after: bool,
) -> None:
    (tmp_path / "out").mkdir()
    with monkeypatch.context() as patch:
        fail_at(patch, step, after=after)
        with pytest.raises(OSError, match="No space left"):
            prepare_corpus(small, tmp_path / "out" / "dataset", CONFIG)
    assert list((tmp_path / "out").iterdir()) == []
    # And the same command then succeeds.
    assert prepare_corpus(small, tmp_path / "out" / "dataset", CONFIG).splits["train"].n_pairs > 0


def test_an_input_that_changes_while_it_is_read_leaves_nothing(
    tmp_path: Path, small: CorpusDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fingerprint would be that of other text."""
    true_train = prepare.train_subwords

    def meanwhile(*given: Any, **settings: Any) -> Any:
        (path, *_) = small.inputs[0].files
        path.write_bytes(path.read_bytes() + b"One more.\tNoch einer.\n")
        return true_train(*given, **settings)

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(prepare, "train_subwords", meanwhile)
    with pytest.raises(InputError, match="an input changed while it was read; prepare it again"):
        prepare_corpus(small, tmp_path / "out" / "dataset", CONFIG)
    assert list((tmp_path / "out").iterdir()) == []


def test_the_manifest_is_written_last(
    tmp_path: Path, small: CorpusDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "dataset"
    seen: dict[str, bytes] = {}
    real = prepare.write_json

    def spy(path: Path, value: Any) -> None:
        assert not output.exists()
        assert path.name == "manifest.json"
        assert not seen
        seen.update(tree(path.parent))
        real(path, value)

    monkeypatch.setattr(prepare, "write_json", spy)
    prepare_corpus(small, output, CONFIG)
    final = tree(output)
    del seen[LOCK]
    assert len(seen) > 5
    assert final.keys() - seen.keys() == {"manifest.json"}
    assert {name: final[name] for name in seen} == seen


def test_files_found_unequal_at_their_end_leave_nothing(tmp_path: Path) -> None:
    source, target = tmp_path / "a.en", tmp_path / "a.es"
    source.write_text("".join(f"sentence {n}\n" for n in range(300)))
    target.write_text("".join(f"frase {n}\n" for n in range(299)))
    with pytest.raises(InputError, match=r"a\.en has 300 lines and .*a\.es has 299"):
        prepare_corpus(describe({"source": source, "target": target}), tmp_path / "d", CONFIG)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.en", "a.es"]


def test_no_training_pair_is_refused_with_the_reasons(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "x.tsv", [("", "a"), ("b", ""), ("hello", "b" * 26)])
    with pytest.raises(InputError) as error:
        prepare_corpus(describe({"path": path}), tmp_path / "d", CONFIG)
    assert str(error.value) == (
        "x.tsv: no training pair in 3 rows (rejected: 2 as empty, 1 as ratio); check the files "
        "and the limits in 'clean'"
    )
    write_tsv(path, [])
    with pytest.raises(InputError, match=r"no training pair in 0 rows \(rejected: none\)"):
        prepare_corpus(describe({"path": path}), tmp_path / "d", CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["x.tsv"]


def test_a_vocabulary_that_is_too_small_leaves_nothing(
    tmp_path: Path, small: CorpusDescription
) -> None:
    config = PrepareConfig(subwords=SubwordsConfig(vocab_size=32))
    with pytest.raises(InputError, match=r"subwords\.vocab_size"):
        prepare_corpus(small, tmp_path / "d", config)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


# Made once, and the same each time.


def marks(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and modification time of everything below a folder, itself too."""
    paths = [folder, *folder.rglob("*")]
    return {str(p): (p.stat().st_ino, p.stat().st_mtime_ns) for p in paths}


def test_running_again_returns_the_manifest_and_writes_nothing(messy: Messy) -> None:
    before = marks(messy.output.parent)
    assert prepare_corpus(messy.corpus, messy.output, CONFIG) == messy.manifest
    assert marks(messy.output.parent) == before


def test_two_runs_give_equal_bytes(messy: Messy, tmp_path: Path) -> None:
    again = prepare_corpus(messy.corpus, tmp_path / "elsewhere", CONFIG)
    assert again.fingerprint == messy.manifest.fingerprint
    assert tree(tmp_path / "elsewhere") == tree(messy.output)


def test_the_dataset_does_not_depend_on_where_the_files_are(messy: Messy, tmp_path: Path) -> None:
    inputs = []
    for item in messy.corpus.inputs:
        moved = {
            key: shutil.copy(value, tmp_path)
            for key in ("source", "target", "path")
            if (value := getattr(item, key)) is not None
        }
        inputs.append(moved | {"split": item.split})
    prepare_corpus(describe(*inputs), tmp_path / "dataset", CONFIG)
    assert tree(tmp_path / "dataset") == tree(messy.output)


def test_another_seed_shuffles_otherwise_and_keeps_the_pairs(messy: Messy, tmp_path: Path) -> None:
    other = prepare_corpus(messy.corpus, tmp_path / "d", CONFIG.model_copy(update={"seed": 2}))
    assert other.fingerprint != messy.manifest.fingerprint
    ours, theirs = tree(messy.output), tree(tmp_path / "d")
    same = {name for name in ours if ours[name] == theirs[name]}
    assert ours.keys() - same == {"manifest.json", "encoded/split=train/part-00000.parquet"}


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"seed": 2}, "config.seed"),
        ({"clean": CleanConfig(max_characters=900)}, "config.clean.max_characters"),
        ({"split": SplitConfig(test_share=0.1)}, "config.split.test_share"),
        ({"subwords": SubwordsConfig(vocab_size=121)}, "config.subwords.vocab_size"),
        (
            {"seed": 2, "clean": CleanConfig(max_length_ratio=4)},
            "config.clean.max_length_ratio, config.seed",
        ),
    ],
)
def test_other_settings_are_refused_by_name(
    messy: Messy, changed: dict[str, Any], named: str
) -> None:
    before = marks(messy.output.parent)
    with pytest.raises(InputError) as error:
        prepare_corpus(messy.corpus, messy.output, CONFIG.model_copy(update=changed))
    assert str(error.value) == (
        f"{messy.output}: holds a dataset made with another {named}; name another output or "
        "remove it"
    )
    assert marks(messy.output.parent) == before


def test_other_languages_and_inputs_are_refused_by_name(messy: Messy) -> None:
    for key, value in (("target_lang", "pt"), ("inputs", messy.corpus.inputs[::-1])):
        corpus = messy.corpus.model_copy(update={key: value})
        with pytest.raises(InputError, match=f"made with another {key}; name another output"):
            prepare_corpus(corpus, messy.output, CONFIG)


def test_changed_text_is_refused_even_where_both_sides_have_one_name(tmp_path: Path) -> None:
    for folder, side in (("en", 0), ("es", 1)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "text").write_text("".join(f"{p[side]}\n" for p in GOOD["train"]))
    source, target = tmp_path / "en" / "text", tmp_path / "es" / "text"
    prepare_corpus(describe({"source": source, "target": target}), tmp_path / "d", CONFIG)
    with pytest.raises(InputError, match="made with another inputs"):
        prepare_corpus(describe({"source": target, "target": source}), tmp_path / "d", CONFIG)
    source.write_text(source.read_text().replace("The", "A"))
    with pytest.raises(InputError, match="made with another inputs"):
        prepare_corpus(describe({"source": source, "target": target}), tmp_path / "d", CONFIG)


@pytest.mark.parametrize("version", [0, 2, None])
def test_another_format_version_is_refused_by_name(
    tmp_path: Path, small: CorpusDescription, version: int | None
) -> None:
    output = tmp_path / "dataset"
    prepare_corpus(small, output, CONFIG)
    manifest = json.loads((output / "manifest.json").read_text())
    (output / "manifest.json").write_text(json.dumps(manifest | {"format_version": version}))
    for use in (lambda: load_dataset(output), lambda: prepare_corpus(small, output, CONFIG)):
        with pytest.raises(InputError) as error:
            use()
        assert str(error.value) == (
            f"{output / 'manifest.json'}: format_version={version!r}: this release reads 1; make "
            "one with `lingo prepare`"
        )


def test_an_output_that_holds_something_else_is_not_touched(
    tmp_path: Path, small: CorpusDescription
) -> None:
    output = tmp_path / "thesis"
    output.mkdir()
    (output / "chapter1.txt").write_text("years of work")
    with pytest.raises(InputError, match="thesis: not a dataset"):
        prepare_corpus(small, output, CONFIG)
    assert tree(output) == {"chapter1.txt": b"years of work"}
