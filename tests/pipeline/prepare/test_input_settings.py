"""Settings of single inputs: names, weights, cleaning, encodings, languages and states."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.dataset as pads
import pytest
import yaml

from lingo_model import InputError
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.prepare.config import CleanConfig, PrepareConfig, SubwordsConfig
from pipeline.prepare.corpus import (
    CorpusDescription,
    CorpusInput,
    effective_clean,
    load_corpus,
)
from pipeline.prepare.input_checks import check_inputs
from pipeline.prepare.input_names import named_inputs
from pipeline.prepare.pairs import iter_pairs
from pipeline.prepare.reuse import differences, values_made_from
from pipeline.prepare.stage import prepare_corpus
from pipeline.settings import parse_settings

CONFIG = PrepareConfig(subwords=SubwordsConfig(vocab_size=120))


def corpus(*inputs: dict[str, Any]) -> CorpusDescription:
    """English to Spanish."""
    return CorpusDescription.model_validate(
        {"source_lang": "en", "target_lang": "es", "inputs": list(inputs)}
    )


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weight": 0}, "weight=0: "),
        ({"weight": -1}, "weight=-1: "),
        ({"weight": float("inf")}, "weight=inf: "),
        ({"weight": 2, "split": "test"}, "weight=2 is for training pairs, and the input is the te"),
        ({"weight": 2, "split": "valid"}, "weight=2 is for training pairs"),
        ({"name": ""}, "name='': "),
        (
            {"clean": {"max_charcters": 5}},
            "clean.max_charcters'; did you mean 'inputs.0.clean.max_",
        ),
        ({"clean": {"max_characters": 0}}, "clean.max_characters=0: "),
        ({"clean": 7}, "inputs.0.clean=7: is a number; needs keys and values"),
        ({"max_characters": 7}, "'inputs.0.max_characters'; did you mean 'inputs.0.clean.max_char"),
        ({"keep_columns": ["a"], "drop_columns": ["b"]}, "keep_columns and drop_columns exclude"),
        ({"encoding": "klingon"}, "encoding='klingon': is no text encoding"),
        ({"escape": "ab"}, "escape='ab': needs one character"),
        ({"source_lang": "english!"}, "source_lang='english!': is no language tag"),
        ({"rename": ["a"]}, "inputs.0.rename"),
    ],
)
def test_a_wrong_setting_of_an_input_is_refused_by_name(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    path = tmp_path / "corpus.yaml"
    item = {"path": "x.tsv"} | settings
    path.write_text(yaml.safe_dump({"source_lang": "en", "target_lang": "es", "inputs": [item]}))
    with pytest.raises(InputError) as error:
        load_corpus(path)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "settings", [{"keep_columns": []}, {"drop_columns": ["a"]}, {"rename": {"a": "b"}}]
)
def test_columns_are_not_for_aligned_text(settings: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="'rename' are for a 'path'; leave them out"):
        parse({"source": "a", "target": "b"} | settings)
    parse({"source": "a", "target": "b", "encoding": "cp1252", "weight": 3})


def parse(item: dict[str, Any]) -> CorpusInput:
    """One input of a description."""
    return parse_settings(CorpusInput, item, where="corpus.yaml")


def test_the_cleaning_of_an_input_replaces_single_values() -> None:
    config = PrepareConfig(clean=CleanConfig(max_characters=500, max_length_ratio=3))
    item = corpus({"path": "x.tsv", "clean": {"max_characters": 1000}}).inputs[0]
    expected = CleanConfig(max_characters=1000, max_length_ratio=3)
    assert effective_clean(item, config) == expected
    assert effective_clean(corpus({"path": "x.tsv"}).inputs[0], config) is config.clean
    nested = corpus({"path": "x.tsv", "clean": {"language": {"min_letters": 40}}}).inputs[0]
    language = effective_clean(nested, config).language
    assert language == config.clean.language.model_copy(update={"min_letters": 40})


def entry_of(path: Path | list[Path], **settings: Any) -> dict[str, Any]:
    """What the fingerprint of a dataset holds about one input."""
    description = corpus({"path": path} | settings)
    values = values_made_from(description, named_inputs(description.inputs), CONFIG)
    (entry,) = values["inputs"]
    return dict(entry)


def test_the_fingerprint_holds_the_settings_that_are_not_defaults(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tsv", "source\ttarget\n")
    plain = entry_of(path)
    assert plain.keys() == {"source_column", "target_column", "split", "files"}
    assert entry_of(path, weight=1.0, header=True, drop_columns=[], rename={}) == plain
    for settings in (
        {"weight": 2.5},
        {"name": "web"},
        {"encoding": "cp1252"},
        {"keep_columns": []},
        {"rename": {"a": "b"}},
        {"source_lang": "en-US"},
        {"clean": {"max_characters": 1000}},  # a default that is given may replace another value
    ):
        assert entry_of(path, **settings) == plain | settings


def test_the_fingerprint_holds_every_file_of_an_input(tmp_path: Path) -> None:
    first = write(tmp_path / "a.tsv", "source\ttarget\n")
    second = write(tmp_path / "b.tsv", "source\ttarget\none\tuno\n")
    files = entry_of([first, second])["files"]
    assert [name for name, _ in files] == ["a.tsv", "b.tsv"]
    write(second, "source\ttarget\ntwo\tdos\n")
    changed = entry_of([first, second])["files"]
    assert [left == right for left, right in zip(files, changed, strict=True)] == [True, False]


def test_a_file_that_came_or_went_is_named(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{n}.tsv", f"source\ttarget\n{n}\t{n}\n") for n in range(5)]

    def values(*inputs: list[Path]) -> dict[str, Any]:
        description = corpus(*({"path": paths} for paths in inputs))
        return values_made_from(description, named_inputs(description.inputs), CONFIG)

    before = values(files[:4])
    assert list(differences(before, values(files))) == [
        "inputs.0 (0.tsv+1.tsv and 3 more): file 4.tsv is new"
    ]
    assert list(differences(before, values(files[1:4]))) == [
        "inputs.0 (1.tsv+2.tsv and 1 more): file 0.tsv is missing"
    ]
    assert list(differences(before, values(files[4:]))) == [
        "input 0.tsv+1.tsv and 2 more is missing",
        "inputs.0 (4.tsv) is new",
    ]
    assert list(differences(before, values(files[4:], files[:4]))) == ["inputs.0 (4.tsv) is new"]
    write(files[2], "source\ttarget\n")
    assert list(differences(before, values(files[:4]))) == [
        "inputs.0 (0.tsv+1.tsv and 2 more): the content of 2.tsv changed"
    ]


def test_inputs_with_one_name_are_numbered() -> None:
    items = [{"path": "a.tsv", "name": "web"}, {"path": "b.tsv", "name": "web"}, {"path": "c.tsv"}]
    named = named_inputs(corpus(*items).inputs)
    assert [item.name for item in named] == ["web#1", "web#2", "c.tsv"]
    assert [part.origin for item in named for part in item.parts] == ["a.tsv", "b.tsv", "c.tsv"]


TMX = """<?xml version="1.0" encoding="UTF-8"?>
<tmx version="1.4"><header srclang="en-US" segtype="sentence" creationtool="t"
 creationtoolversion="1" adminlang="en" datatype="plaintext" o-tmf="t"/><body>
<tu tuid="u7"><tuv xml:lang="en-US"><seg>one</seg></tuv><tuv xml:lang="es-ES"><seg>uno</seg></tuv>
</tu></body></tmx>
"""
XLIFF = """<?xml version="1.0" encoding="UTF-8"?>
<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">
<file source-language="en" target-language="es" datatype="plaintext" original="a"><body>
<trans-unit id="1"><source>one</source><target state="final">uno</target></trans-unit>
<trans-unit id="2"><source>two</source><target state="new">dos</target></trans-unit>
</body></file></xliff>
"""


def test_units_of_a_translation_memory_are_read_with_their_names(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tmx", TMX)
    for settings in ({}, {"source_lang": "en-US", "target_lang": "es-ES"}, {"source_column": "en"}):
        description = corpus({"path": path} | settings)
        check_inputs(description)
        item = description.inputs[0]
        (pair,) = iter_pairs(item, item.parts[0])
        assert (pair.source, pair.target, pair.origin) == ("one", "uno", "x.tmx:1")
        assert pair.unit == "u7"


@pytest.mark.parametrize(
    "settings", [{"source_column": "text"}, {"keep_columns": ["a"]}, {"rename": {"a": "b"}}]
)
def test_formats_without_columns_refuse_settings_of_columns(
    tmp_path: Path, settings: dict[str, Any]
) -> None:
    path = write(tmp_path / "x.tmx", TMX)
    with pytest.raises(InputError, match="a tmx file has no columns, so "):
        check_inputs(corpus({"path": path} | settings))


def test_states_choose_the_units_of_xliff_and_of_nothing_else(tmp_path: Path) -> None:
    path = write(tmp_path / "x.xlf", XLIFF)
    for settings, problems in (({}, [None, "unfinished"]), ({"states": ["new"]}, [..., None])):
        item = corpus({"path": path} | settings).inputs[0]
        found = [pair.problem for pair in iter_pairs(item, item.parts[0])]
        assert found[1] == problems[1]
    for name, text in (("x.tmx", TMX), ("x.tsv", "source\ttarget\n")):
        with pytest.raises(
            InputError, match=r"'states' is for XLIFF and PO, and this is (tmx|tsv)"
        ):
            check_inputs(corpus({"path": write(tmp_path / name, text), "states": ["final"]}))


def test_a_dataset_of_many_files_and_encodings(tmp_path: Path) -> None:
    pairs = list(generate_pairs(200, seed=1, split="train"))
    folder = tmp_path / "table"
    folder.mkdir()
    for number in range(3):
        rows = "".join(f"{p.source},{p.target}\n" for p in pairs[number * 40 : number * 40 + 40])
        write(folder / f"{number}.csv", f"en,es\n{rows}", "cp1252")
    for side in ("source", "target"):
        lines = "".join(f"{getattr(pair, side)}\n" for pair in pairs[120:])
        write(tmp_path / f"a.{side}", lines, "utf-16-le")
    description = corpus(
        {"path": sorted(folder.iterdir()), "encoding": "cp1252"},
        {
            "source": tmp_path / "a.source",
            "target": tmp_path / "a.target",
            "encoding": "utf-16-le",
        },
    )
    manifest = prepare_corpus(description, tmp_path / "dataset", CONFIG)
    assert [item.n_read for item in manifest.inputs] == [120, 80]
    table = pads.dataset(tmp_path / "dataset" / "pairs").to_table()
    target_of = dict(zip(table["source"].to_pylist(), table["target"].to_pylist(), strict=True))
    assert target_of.items() <= {pair.source: pair.target for pair in pairs}.items()
    origins = {origin.partition(":")[0] for origin in table["origin"].to_pylist()}
    assert origins == {"0.csv", "1.csv", "2.csv", "a.source"}
