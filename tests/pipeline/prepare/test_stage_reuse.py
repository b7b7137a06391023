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
            key: [shutil.copy(file, tmp_path) for file in value]
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
    reports = {"report.html", "report.json"}  # these name the fingerprint
    assert first.keys() - same - reports == {
        "manifest.json",
        "encoded/split=train/part-00000.parquet",
    }


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"seed": 2}, "config.seed was 1 and is 2"),
        (
            {"clean": CleanConfig(max_characters=900)},
            "config.clean.max_characters was 1000 and is 900",
        ),
        ({"split": SplitConfig(test_share=0.1)}, "config.split.test_share was 0.02 and is 0.1"),
        (
            {"subwords": SubwordsConfig(vocab_size=121)},
            "config.subwords.vocab_size was 120 and is 121",
        ),
        (
            {"subwords": SubwordsConfig(vocab_size=120, algorithm="bpe", split_digits=True)},
            "config.subwords.algorithm was not set and is 'bpe'; "
            "config.subwords.split_digits was not set and is True",
        ),
        (
            {"seed": 2, "clean": CleanConfig(max_length_ratio=4)},
            "config.clean.max_length_ratio was 5.0 and is 4.0; config.seed was 1 and is 2",
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
        f"{messy.output}: holds a dataset made from other inputs or settings: {named}; "
        "name another output, or remove the dataset"
    )
    assert marks(messy.output.parent) == before


def test_different_languages_and_inputs_are_refused_by_name(messy: Any) -> None:
    inputs = messy.corpus.inputs
    another_column = inputs[0].model_copy(update={"target_column": "domain"})
    for changed, named in (
        ({"target_lang": "pt"}, "target_lang was 'es' and is 'pt'"),
        ({"inputs": inputs[::-1]}, "the inputs are in another order"),
        ({"inputs": inputs[1:]}, "input train.tsv is missing"),
        (
            {"inputs": (another_column, *inputs[1:])},
            "inputs.0 (train.tsv): target_column was 'target' and is 'domain'",
        ),
        (
            {"inputs": (*inputs[:3], inputs[3].model_copy(update={"split": "train"}))},
            "inputs.3 (test.tsv): split was 'test' and is 'train'",
        ),
    ):
        with pytest.raises(InputError) as error:
            prepare_corpus(messy.corpus.model_copy(update=changed), messy.output, CONFIG)
        assert f"from other inputs or settings: {named}; name another" in str(error.value)


def test_the_one_input_of_twenty_that_changed_is_named(tmp_path: Path) -> None:
    inputs = []
    for number in range(20):
        pairs = TRAINING_PAIRS[number * 5 : number * 5 + 5]
        lines = ["source\ttarget", *("\t".join(pair) for pair in pairs)]
        path = tmp_path / f"part{number:02}.tsv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        inputs.append({"path": path})
    prepare_corpus(describe(*inputs), tmp_path / "d", CONFIG)
    with (tmp_path / "part13.tsv").open("a") as file:
        file.write("One more.\tUno más.\n")
    with pytest.raises(InputError) as error:
        prepare_corpus(describe(*inputs), tmp_path / "d", CONFIG)
    assert "settings: inputs.13 (part13.tsv): the content of part13.tsv changed; name" in str(
        error.value
    )


def test_changed_text_is_refused_even_if_both_sides_have_one_name(tmp_path: Path) -> None:
    for folder, side in (("en", 0), ("es", 1)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "text").write_text("".join(f"{p[side]}\n" for p in TRAINING_PAIRS))
    source, target = tmp_path / "en" / "text", tmp_path / "es" / "text"
    prepare_corpus(describe({"source": source, "target": target}), tmp_path / "d", CONFIG)
    with pytest.raises(InputError, match="from other inputs or settings: inp"):
        prepare_corpus(describe({"source": target, "target": source}), tmp_path / "d", CONFIG)
    source.write_text(source.read_text().replace("The", "A"))
    with pytest.raises(InputError, match="from other inputs or settings: inp"):
        prepare_corpus(describe({"source": source, "target": target}), tmp_path / "d", CONFIG)


@pytest.mark.parametrize("version", [0, 2, None])
def test_another_format_version_is_refused(
    tmp_path: Path, small: CorpusDescription, version: int | None
) -> None:
    output = tmp_path / "dataset"
    prepare_corpus(small, output, CONFIG)
    manifest = json.loads((output / "manifest.json").read_text())
    (output / "manifest.json").write_text(json.dumps(manifest | {"format_version": version}))
    for is_prepare, use in (
        (False, lambda: open_dataset(output)),
        (True, lambda: prepare_corpus(small, output, CONFIG)),
    ):
        with pytest.raises(InputError) as error:
            use()
        assert f"format_version={version!r}: this release reads 1" in str(error.value)
        assert ("remove the folder" in str(error.value)) == is_prepare


def test_an_output_that_is_not_a_dataset_is_not_touched(
    tmp_path: Path, small: CorpusDescription
) -> None:
    output = tmp_path / "thesis"
    output.mkdir()
    (output / "chapter1.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"thesis: holds other files \(chapter1.txt\)"):
        prepare_corpus(small, output, CONFIG)
    assert tree(output) == {"chapter1.txt": b"years of work"}


def test_how_tables_are_read_is_part_of_the_fingerprint_only_if_it_is_set(
    tmp_path: Path, messy: Any
) -> None:
    assert not any(key in str(messy.manifest.made_from) for key in ("quoting", "delimiter"))
    path = tmp_path / "x.tsv"
    path.write_text("source\ttarget\n" + "".join(f"{s}\t{t}\n" for s, t in TRAINING_PAIRS))
    prepare_corpus(describe({"path": path}), tmp_path / "dataset", CONFIG)
    with pytest.raises(InputError, match="inputs"):
        prepare_corpus(describe({"path": path, "quoting": "none"}), tmp_path / "dataset", CONFIG)


def test_new_settings_are_part_of_the_fingerprint_only_if_they_differ_from_the_defaults(
    tmp_path: Path, messy: Any
) -> None:
    assert messy.manifest.made_from["config"]["subwords"] == {
        "vocab_size": 120,
        "normalisation": "nfc",
    }
    path = tmp_path / "x.tsv"
    path.write_text("source\ttarget\n" + "".join(f"{s}\t{t}\n" for s, t in TRAINING_PAIRS))
    bpe = PrepareConfig(subwords=SubwordsConfig(vocab_size=120, algorithm="bpe"))
    manifest = prepare_corpus(describe({"path": path}), tmp_path / "dataset", bpe)
    assert manifest.made_from["config"]["subwords"]["algorithm"] == "bpe"
    with pytest.raises(InputError, match=r"config\.subwords\.algorithm was 'bpe' and is not set"):
        prepare_corpus(describe({"path": path}), tmp_path / "dataset", CONFIG)
