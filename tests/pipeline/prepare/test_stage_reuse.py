"""A dataset is made once. The same inputs and settings give the same bytes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from lingo_model import InputError
from pipeline.dataset.dataset import open_dataset
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.prepare.config import CleanConfig, PrepareConfig, SplitConfig, SubwordsConfig
from pipeline.prepare.corpus import CorpusDescription
from pipeline.prepare.stage import prepare_corpus

CONFIG = PrepareConfig(subwords=SubwordsConfig(vocab_size=120))


TRAINING_PAIRS = [(p.source, p.target) for p in generate_pairs(100, seed=2, split="train")]


def describe(*inputs: dict[str, Any], **changed: Any) -> CorpusDescription:
    """A description of English to Spanish."""
    values = {"source_lang": "en", "target_lang": "es", "inputs": list(inputs)} | changed
    return CorpusDescription.model_validate(values)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def marks(folder: Path) -> dict[str, tuple[int, int]]:
    """Inode and modification time of everything below a folder, itself too."""
    paths = [folder, *folder.rglob("*")]
    return {str(p): (p.stat().st_ino, p.stat().st_mtime_ns) for p in paths}


def test_a_second_run_returns_the_manifest_and_writes_nothing(messy: Any) -> None:
    before = marks(messy.output.parent)
    assert prepare_corpus(messy.corpus, messy.output, CONFIG) == messy.manifest
    assert marks(messy.output.parent) == before


def test_two_runs_give_equal_bytes(messy: Any, tmp_path: Path) -> None:
    again = prepare_corpus(messy.corpus, tmp_path / "elsewhere", CONFIG)
    assert again.fingerprint == messy.manifest.fingerprint
    assert tree(tmp_path / "elsewhere") == tree(messy.output)


def test_the_dataset_does_not_depend_on_where_the_files_are(messy: Any, tmp_path: Path) -> None:
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


def test_another_seed_changes_the_order_but_not_the_pairs(messy: Any, tmp_path: Path) -> None:
    other = prepare_corpus(messy.corpus, tmp_path / "d", CONFIG.model_copy(update={"seed": 2}))
    assert other.fingerprint != messy.manifest.fingerprint
    first, second = tree(messy.output), tree(tmp_path / "d")
    same = {name for name in first if first[name] == second[name]}
    assert first.keys() - same == {"manifest.json", "encoded/split=train/part-00000.parquet"}


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
def test_different_settings_are_refused_by_name(
    messy: Any, changed: dict[str, Any], named: str
) -> None:
    before = marks(messy.output.parent)
    with pytest.raises(InputError) as error:
        prepare_corpus(messy.corpus, messy.output, CONFIG.model_copy(update=changed))
    assert str(error.value) == (
        f"{messy.output}: holds a dataset made with different values of {named}; "
        "name another output, or remove the dataset"
    )
    assert marks(messy.output.parent) == before


def test_different_languages_and_inputs_are_refused_by_name(messy: Any) -> None:
    for key, value in (("target_lang", "pt"), ("inputs", messy.corpus.inputs[::-1])):
        corpus = messy.corpus.model_copy(update={key: value})
        with pytest.raises(
            InputError, match=f"made with different values of {key}; name another output"
        ):
            prepare_corpus(corpus, messy.output, CONFIG)


def test_changed_text_is_refused_even_if_both_sides_have_one_name(tmp_path: Path) -> None:
    for folder, side in (("en", 0), ("es", 1)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "text").write_text("".join(f"{p[side]}\n" for p in TRAINING_PAIRS))
    source, target = tmp_path / "en" / "text", tmp_path / "es" / "text"
    prepare_corpus(describe({"source": source, "target": target}), tmp_path / "d", CONFIG)
    with pytest.raises(InputError, match="made with different values of inputs"):
        prepare_corpus(describe({"source": target, "target": source}), tmp_path / "d", CONFIG)
    source.write_text(source.read_text().replace("The", "A"))
    with pytest.raises(InputError, match="made with different values of inputs"):
        prepare_corpus(describe({"source": source, "target": target}), tmp_path / "d", CONFIG)


@pytest.mark.parametrize("version", [0, 2, None])
def test_another_format_version_is_refused(
    tmp_path: Path, small: CorpusDescription, version: int | None
) -> None:
    output = tmp_path / "dataset"
    prepare_corpus(small, output, CONFIG)
    manifest = json.loads((output / "manifest.json").read_text())
    (output / "manifest.json").write_text(json.dumps(manifest | {"format_version": version}))
    for use in (lambda: open_dataset(output), lambda: prepare_corpus(small, output, CONFIG)):
        with pytest.raises(InputError) as error:
            use()
        assert str(error.value) == (
            f"{output / 'manifest.json'}: format_version={version!r}: this release reads 1; make "
            "one with `lingo prepare`"
        )


def test_an_output_that_is_not_a_dataset_is_not_touched(
    tmp_path: Path, small: CorpusDescription
) -> None:
    output = tmp_path / "thesis"
    output.mkdir()
    (output / "chapter1.txt").write_text("years of work")
    with pytest.raises(InputError, match="thesis: not a dataset"):
        prepare_corpus(small, output, CONFIG)
    assert tree(output) == {"chapter1.txt": b"years of work"}
