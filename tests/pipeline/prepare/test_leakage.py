"""No sentence is in two splits of a dataset, and the leakage certificate says so."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.dataset.splits import SPLITS, Split
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.prepare import partitions
from pipeline.prepare.config import PrepareConfig, SplitConfig, SubwordsConfig
from pipeline.prepare.corpus import CorpusDescription
from pipeline.prepare.stage import prepare_corpus
from tests.pipeline.prepare.normalised import normalise

CONFIG = PrepareConfig(subwords=SubwordsConfig(vocab_size=120))


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


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """Rows of a folder of Parquet files, in order."""
    files = sorted(folder.glob("*.parquet"))
    return [row for file in files for row in pq.ParquetFile(file).read().to_pylist()]


def test_the_leakage_certificate_counts(messy: Any) -> None:
    leakage = messy.manifest.leakage
    assert leakage is not None
    assert leakage.n_rejected_as_leak == 4
    assert leakage.n_sources_in_several_splits == 0
    # These files lost rows, so scores on them differ from scores on the whole files.
    assert leakage.inputs_that_lost_rows == {"valid.tsv": 1, "train.tsv": 11}


def test_a_leak_that_the_second_pass_misses_is_found_in_the_written_files(
    messy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions._Rejections, "add_leaks", lambda *_: None)
    with pytest.raises(RuntimeError, match="4 sources are in several splits"):
        prepare_corpus(messy.corpus, tmp_path / "dataset", CONFIG)
    assert list(tmp_path.iterdir()) == []


def test_splits_without_files_are_sampled_and_disjoint(tmp_path: Path) -> None:
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
def test_a_given_file_loses_nothing_to_a_sampled_split(tmp_path: Path, given: Split) -> None:
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


def test_invisible_characters_do_not_hide_a_leak(tmp_path: Path) -> None:
    test = [("The example is short.", "El ejemplo es corto."), ("", "vacío")]
    hidden = [
        "The exam\u00adple is short.",
        "The\u200b example is short.",
        "\ufeffThe example is short.\u200e",
        "The exam\u2060ple is sho\ufe0frt.",
        "The example is short.".replace("a", "\u202aa\u202c"),
    ]
    train = [(p.source, p.target) for p in generate_pairs(100, seed=3, split="train")]
    write_tsv(tmp_path / "test.tsv", test)
    write_tsv(tmp_path / "valid.tsv", [("", "nada")])
    write_tsv(tmp_path / "train.tsv", [*train, *((text, "otra traducción") for text in hidden)])
    corpus = describe(
        {"path": tmp_path / "test.tsv", "split": "test"},
        {"path": tmp_path / "valid.tsv", "split": "valid"},
        {"path": tmp_path / "train.tsv", "split": "train"},
    )
    manifest = prepare_corpus(corpus, tmp_path / "dataset", CONFIG)
    counts = {item.name: item.n_rejected for item in manifest.inputs}
    assert counts["train.tsv"]["leak"] == len(hidden)
    # Empty sources of two given files are not the same sentence.
    assert counts["test.tsv"] == counts["valid.tsv"] == {}
