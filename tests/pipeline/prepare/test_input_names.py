"""Inputs of a corpus have names that tell them apart."""

from __future__ import annotations

from pathlib import Path

import pyarrow.dataset as pads
import pytest

from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.prepare.config import PrepareConfig, SubwordsConfig
from pipeline.prepare.corpus import CorpusDescription, CorpusInput
from pipeline.prepare.input_names import named_inputs
from pipeline.prepare.stage import prepare_corpus


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["c/a.tsv", "c/b.tsv"], ["a.tsv", "b.tsv"]),
        (["c/books/t.tsv", "c/web/t.tsv", "c/x.tsv"], ["books/t.tsv", "web/t.tsv", "x.tsv"]),
        (["c/a/raw/t.tsv", "c/b/raw/t.tsv"], ["a/raw/t.tsv", "b/raw/t.tsv"]),
        (["/t.tsv", "/d/t.tsv"], ["/t.tsv", "d/t.tsv"]),
        (["c/t.tsv", "c/t.tsv"], ["t.tsv#1", "t.tsv#2"]),
    ],
)
def test_a_table_has_as_many_folders_in_its_name_as_it_needs(
    paths: list[str], names: list[str]
) -> None:
    named = named_inputs([CorpusInput(path=Path(path)) for path in paths])
    assert [item.name for item in named] == names
    assert [part.origin for item in named for part in item.parts] == names


def test_aligned_files_are_named_by_both_and_their_rows_by_the_source() -> None:
    pairs = [("c/books/t.en", "c/books/t.es"), ("c/web/t.en", "c/web/t.es"), ("c/a.en", "c/a.es")]
    named = named_inputs([CorpusInput(source=Path(s), target=Path(t)) for s, t in pairs])
    assert [item.name for item in named] == [
        "books/t.en+books/t.es",
        "web/t.en+web/t.es",
        "a.en+a.es",
    ]
    assert [part.origin for item in named for part in item.parts] == [
        "books/t.en",
        "web/t.en",
        "a.en",
    ]


def test_two_translations_of_one_source_have_rows_of_their_own_names() -> None:
    named = named_inputs(
        [CorpusInput(source=Path("a.en"), target=Path(t)) for t in ("a.es", "b.es")]
    )
    assert [item.name for item in named] == ["a.en+a.es", "a.en+b.es"]
    assert [part.origin for item in named for part in item.parts] == ["a.en#1", "a.en#2"]


def test_each_pair_has_an_origin_of_its_own_and_inputs_keep_their_order(tmp_path: Path) -> None:
    pairs = list(generate_pairs(300, seed=4, split="train"))
    inputs = []
    for number, (folder, split) in enumerate((("a", "train"), ("b", "test"), ("c", "valid"))):
        (tmp_path / folder).mkdir()
        for side in ("source", "target"):
            lines = [getattr(pair, side) for pair in pairs[number * 100 : number * 100 + 100]]
            (tmp_path / folder / side).write_text("".join(f"{line}\n" for line in lines))
        folder_path = tmp_path / folder
        inputs.append(
            {"source": folder_path / "source", "target": folder_path / "target", "split": split}
        )
    corpus = CorpusDescription.model_validate(
        {"source_lang": "en", "target_lang": "es", "inputs": inputs}
    )
    config = PrepareConfig(subwords=SubwordsConfig(vocab_size=200))
    manifest = prepare_corpus(corpus, tmp_path / "d", config)
    assert [item.name for item in manifest.inputs] == [
        f"{folder}/source+{folder}/target" for folder in "abc"
    ]
    rows = pads.dataset(tmp_path / "d" / "pairs").to_table(columns=["origin"])
    rejected = pads.dataset(tmp_path / "d" / "rejected").to_table(columns=["origin"])
    origins = [*rows["origin"].to_pylist(), *rejected["origin"].to_pylist()]
    assert sorted(origins) == sorted(
        f"{folder}/source:{line}" for folder in "abc" for line in range(1, 101)
    )
