"""Corpora and datasets for the tests of ``prepare``."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from pipeline.dataset.manifest import DatasetManifest
from pipeline.dataset.splits import Split
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.prepare.config import PrepareConfig, SubwordsConfig
from pipeline.prepare.corpus import CorpusDescription
from pipeline.prepare.stage import prepare_corpus

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
    """Write pairs to a new TSV file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["source\ttarget", *("\t".join(pair) for pair in pairs)]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    return path


@dataclasses.dataclass(frozen=True)
class Messy:
    """A corpus with every kind of bad row, and the dataset made from it.

    Args:
        corpus: the description.
        rejected: the expected rows of REJECTED, by input.
        kept: the expected origins of PAIRS, by split.
        output: the dataset.
        manifest: the manifest that ``prepare_corpus`` returned.
    """

    corpus: CorpusDescription
    rejected: dict[str, list[dict[str, Any]]]
    kept: dict[Split, list[str]]
    output: Path
    manifest: DatasetManifest


@pytest.fixture(scope="session")
def messy(tmp_path_factory: pytest.TempPathFactory) -> Messy:
    """A dataset of three tables with a split, and two aligned files without one."""
    root = tmp_path_factory.mktemp("messy")
    test, valid, train = GOOD["test"], GOOD["valid"], GOOD["train"]
    # For each bad row: its cells, the reason, and source and target in REJECTED.
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
            train[1][0],  # found in the second pass, after the repairs
            train[1][1],
        ),
        (f"{test[3][0].upper()}\t{OTHER}\tx".encode(), "leak", test[3][0].upper(), OTHER),
        (f"- {valid[4][0]}\t{OTHER}\tx".encode(), "leak", f"- {valid[4][0]}", OTHER),
    ]
    good_lines = [f"{source}\t{target}\tgrammar".encode() for source, target in train]
    lines = [b"source\ttarget\tdomain", *good_lines, *(row[0] for row in bad_train)]
    (root / "train.tsv").write_bytes(b"".join(line + b"\n" for line in lines))
    # Repeated and empty pairs stay in validation and test: scores compare with published ones.
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
            "test.tsv": [],
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
            "test": [f"test.tsv:{n}" for n in range(1, 23)],
            "valid": [*(f"valid.tsv:{n}" for n in range(1, 21)), "valid.tsv:22"],
            "train": [
                *(f"more.en:{n}" for n in range(1, 31) if n not in (8, 10)),
                *(f"train.tsv:{n}" for n in range(1, 101)),
            ],
        },
        output=output,
        manifest=prepare_corpus(corpus, output, CONFIG),
    )


@pytest.fixture
def small(tmp_path: Path) -> CorpusDescription:
    """A corpus of 100 good pairs."""
    return describe({"path": write_tsv(tmp_path / "raw" / "small.tsv", GOOD["train"])})
