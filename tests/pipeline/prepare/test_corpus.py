"""Corpus descriptions, and the checks of the files that they name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pydantic import ValidationError

from lingo_model import InputError
from pipeline.prepare.corpus import (
    CorpusDescription,
    CorpusInput,
    load_corpus,
)
from pipeline.prepare.input_checks import check_inputs, extra_schema
from pipeline.prepare.pairs import RawPair, iter_pairs

TABLE = {"path": "x.tsv"}


def describe(*inputs: dict[str, Any], **changed: Any) -> dict[str, Any]:
    """A description of English to Spanish."""
    return {"source_lang": "en", "target_lang": "es", "inputs": list(inputs)} | changed


def corpus(*inputs: dict[str, Any]) -> CorpusDescription:
    """A validated description of English to Spanish."""
    return CorpusDescription.model_validate(describe(*inputs))


def extra_schema_of(description: CorpusDescription) -> pa.Schema:
    """The columns besides source and target, as ``prepare`` finds them."""
    return extra_schema(description, check_inputs(description))


def message(error: pytest.ExceptionInfo[InputError]) -> str:
    """The message, which must be one line."""
    text = str(error.value)
    assert "\n" not in text
    return text


def read_pairs(item: CorpusInput) -> list[RawPair]:
    """The pairs of all parts of an input."""
    return [pair for part in item.parts for pair in iter_pairs(item, part)]


def write(path: Path, *lines: str) -> Path:
    """Write lines to a new file."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("description", "parts"),
    [
        (describe(TABLE, langs=1), ["unknown key 'langs'", "inputs, source_lang, target_lang"]),
        (describe({"path": "x.tsv", "colum": "a"}), ["unknown key 'inputs.0.colum'"]),
        ({"source_lang": "en", "inputs": [TABLE]}, ["'target_lang' is missing"]),
        ({"source_lang": "en", "target_lang": "es"}, ["'inputs' is missing"]),
        (describe(), ["inputs=[]: needs 1 or more entries"]),
        (describe({}), ["inputs.0", "give either both 'source' and 'target' files, or one 'path'"]),
        (describe({"source": "a"}), ["inputs.0", "give either both"]),
        (
            describe(TABLE, {"source": "a", "target": "b", "path": "c.tsv"}),
            ["inputs.1", "give either both"],
        ),
        (describe({"source": "a", "path": "c.tsv"}), ["inputs.0", "give either both"]),
        (
            describe(TABLE | {"source_column": "text", "target_column": "text"}),
            ["source_column and target_column are the same"],
        ),
        (
            describe(TABLE | {"split": "dev"}),
            ["inputs.0.split='dev'", "'train', 'valid' or 'test'"],
        ),
        (
            describe(TABLE, source_lang="english!"),
            ["source_lang='english!': is no language tag", "en, pt-BR or zh_Hant"],
        ),
        (describe(TABLE, source_lang=""), ["source_lang=''"]),
        (describe(TABLE, target_lang=False), ["target_lang=False: is a truth value, not a text"]),
        (describe(TABLE, target_lang=12), ["target_lang=12: is a number, not a text; put it in"]),
        (describe({"path": []}), ["inputs.0.path=[]: is an empty list; needs one path or more"]),
        (describe({"path": 7}), ["inputs.0.path=7: 7 is not a path; put it in quotes"]),
        (
            describe({"path": {"a": 1}}),
            ["inputs.0.path: {'a': 1} is not a path"],
        ),
        (describe({"path": None}), ["inputs.0: give either both"]),
        (describe("x.tsv"), ["inputs.0='x.tsv': is a text; needs keys and values"]),  # type: ignore[arg-type]
        (describe(inputs={"path": "x.tsv"}), ["inputs={'path'", "needs a list"]),
        (
            describe({"sorce": "a", "target": "b"}),
            [
                "unknown key 'inputs.0.sorce'; did you mean 'inputs.0.source'?",
                "path, quoting, rename, source, ",
            ],
        ),
        (
            {"source_lang": "en", "targt_lang": "es", "inputs": [TABLE]},
            ["unknown key 'targt_lang'; did you mean 'target_lang'?"],
        ),
        (describe(TABLE, clean={"max_characters": 9}), ["unknown key 'clean': it belongs in the"]),
        (describe(TABLE, vocab_size=9), ["'vocab_size': it belongs in the settings", "--config"]),
        (describe(TABLE | {"seed": 1}), ["'inputs.0.seed': it belongs in the settings of prepare"]),
        (
            describe({"path": "gs://b/x.tsv"}),
            ["inputs.0.path='gs://b/x.tsv': needs a path of this machine, or s3://BUCKET/KEY"],
        ),
        (
            describe({"source": "https://h/a", "target": "file:///b"}),
            ["inputs.0.source='https://h/a': needs a path of this machine"],
        ),
    ],
)
def test_a_wrong_description_is_refused_by_key(
    tmp_path: Path, description: dict[str, Any], parts: list[str]
) -> None:
    path = tmp_path / "corpus.yaml"
    path.write_text(yaml.safe_dump(description))
    with pytest.raises(InputError) as error:
        load_corpus(path)
    assert message(error).startswith(f"{path}: ")
    for part in parts:
        assert part in message(error)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"source_lang: [en\n", "not valid YAML"),
        (b"source_lang: en # espa\xf1ol\n", "not UTF-8"),
        (b"- en\n- es\n", "holds a list; needs keys and values, such as source_lang, "),
        (b"", "is empty; needs keys and values, such as source_lang, target_lang, inputs"),
        (b"# nothing yet\n", "is empty; needs keys and values"),
        (b"just text\n", "holds a text; needs keys and values"),
    ],
)
def test_a_description_that_is_not_yaml_is_refused(
    tmp_path: Path, content: bytes, part: str
) -> None:
    path = tmp_path / "corpus.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        load_corpus(path)
    assert message(error).startswith(f"{path}: ")
    assert part in message(error)


def test_a_missing_description_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        load_corpus(tmp_path / "none.yaml")
    assert message(error) == (
        f"{tmp_path / 'none.yaml'}: cannot be read (No such file or directory); check the path"
    )


@pytest.mark.parametrize("tag", ["en", "deu", "pt-BR", "zh_Hant", "zh-Hant-TW"])
def test_language_tags(tag: str) -> None:
    assert CorpusDescription.model_validate(describe(TABLE, source_lang=tag)).source_lang == tag


def test_paths_are_relative_to_the_description(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "corpora"
    folder.mkdir()
    (folder / "corpus.yaml").write_text(
        yaml.safe_dump(
            describe(
                {"source": "raw/a.en", "target": "../a.es"},
                {"path": "/data/b.tsv", "split": "test", "source_column": "en"},
            )
        )
    )
    monkeypatch.chdir(tmp_path)
    aligned, table = load_corpus(Path("corpora/corpus.yaml")).inputs
    assert aligned.files == [folder / "raw/a.en", folder / "../a.es"]
    assert table.files == [Path("/data/b.tsv")]
    assert (table.split, table.source_column, table.target_column) == ("test", "en", "target")


@pytest.mark.parametrize("name", ["x.tsv", "x.csv", "x.parquet"])
def test_a_missing_column_is_refused_with_the_existing_ones(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "x.parquet":
        pq.write_table(pa.table({"en": ["one"], "es": ["uno"]}), path)
    else:
        write(path, "en\tes".replace("\t", "\t" if name == "x.tsv" else ","))
    with pytest.raises(InputError) as error:
        check_inputs(corpus({"path": path, "source_column": "en"}))
    assert message(error) == (
        f"{path}: has no column 'target'; its columns are en, es; set source_column and "
        "target_column"
    )


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pa.array([1, 2]), "int64"),
        (pa.array([["a"], ["b"]]), "list"),
    ],
)
def test_a_parquet_column_that_is_not_text_is_refused(
    tmp_path: Path, values: pa.Array, kind: str
) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"source": ["one", "two"], "target": values}), path)
    with pytest.raises(InputError) as error:
        check_inputs(corpus({"path": path}))
    assert message(error).startswith(f"{path}: column 'target' is {kind}")
    assert message(error).endswith(", not text; cast it to string")


def test_a_parquet_column_of_large_strings_is_text(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    text = pa.array(["one"], pa.large_string())
    pq.write_table(pa.table({"source": text, "target": text}), path)
    check_inputs(corpus({"path": path}))
    assert [pair.source for pair in read_pairs(CorpusInput(path=path))] == ["one"]


def test_files_of_the_wrong_kind_are_refused(tmp_path: Path) -> None:
    text, table = write(tmp_path / "a.en", "one"), write(tmp_path / "x.tsv", "source\ttarget")
    with pytest.raises(InputError) as error:
        check_inputs(corpus({"source": text, "target": table}))
    assert message(error).startswith(f"{table}: a tsv file cannot be one side of aligned text")
    with pytest.raises(InputError) as error:
        check_inputs(corpus({"path": text}))
    assert message(error).startswith(f"{text}: plain text has one column; give 'source'")


def test_plain_text_with_tabs_is_told_from_plain_text(tmp_path: Path) -> None:
    for content, is_table in (("en\tes\na\tb\n", True), ("a\nb\tc\n", False)):
        path = tmp_path / "x.txt"
        path.write_text(content)
        with pytest.raises(InputError) as error:
            check_inputs(corpus({"path": path}))
        assert ".tsv, .csv, .jsonl, .json or .parquet" in message(error)
        assert ("rename it to .tsv" in message(error)) is is_table


@pytest.mark.parametrize("delimiter", [";", "|", ","])
def test_another_delimiter_is_named(tmp_path: Path, delimiter: str) -> None:
    path = write(tmp_path / "x.tsv", f"source{delimiter}target", f"a{delimiter}b")
    with pytest.raises(InputError) as error:
        check_inputs(corpus({"path": path}))
    assert message(error).endswith(f", or delimiter: {json.dumps(delimiter)}")
    check_inputs(corpus({"path": path, "delimiter": delimiter}))


def test_options_of_tables_are_refused_for_aligned_text(tmp_path: Path) -> None:
    for option, value in (("quoting", "minimal"), ("delimiter", ";")):
        with pytest.raises(ValidationError, match="are for a 'path'"):
            CorpusInput(source=tmp_path / "a", target=tmp_path / "b", **{option: value})
    with pytest.raises(ValidationError, match="delimiter=';;': needs one character"):
        CorpusInput(path=tmp_path / "a.csv", delimiter=";;")


def test_every_file_is_checked_before_any_is_read(tmp_path: Path) -> None:
    good = write(tmp_path / "good.tsv", "source\ttarget")
    source = write(tmp_path / "a.en", "one")
    for item in ({"path": tmp_path / "none.tsv"}, {"source": source, "target": tmp_path / "none"}):
        with pytest.raises(InputError) as error:
            check_inputs(corpus({"path": good}, item))
        assert message(error).startswith(f"{tmp_path / 'none'}")
        assert "cannot be read" in message(error)


def test_other_columns_are_joined_over_inputs(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"source": ["a"], "target": ["b"], "year": [2026], "domain": ["law"]}),
        tmp_path / "x.parquet",
    )
    write(tmp_path / "x.tsv", "domain\ten\tes\tlicence", "law\ta\tb\tfree")
    write(tmp_path / "x.jsonl", '{"source": "a", "target": "b", "other": 1}')
    write(tmp_path / "a.txt", "a")
    write(tmp_path / "b.txt", "b")
    schema = extra_schema_of(
        corpus(
            {"path": tmp_path / "x.parquet"},
            {"path": tmp_path / "x.tsv", "source_column": "en", "target_column": "es"},
            {"path": tmp_path / "x.jsonl"},
            {"source": tmp_path / "a.txt", "target": tmp_path / "b.txt"},
        )
    )
    assert schema.equals(
        pa.schema([("year", pa.int64()), ("domain", pa.string()), ("licence", pa.string())])
    )


def test_other_columns_may_be_null_because_a_file_may_lack_them(tmp_path: Path) -> None:
    schema = pa.schema(
        [
            ("source", pa.string()),
            ("target", pa.string()),
            pa.field("n", pa.int64(), nullable=False),
        ]
    )
    pq.write_table(pa.table([["a"], ["b"], [1]], schema=schema), tmp_path / "x.parquet")
    assert extra_schema_of(corpus({"path": tmp_path / "x.parquet"})).field("n").nullable


@pytest.mark.parametrize(
    ("left", "right", "joined"),
    [
        (pa.array([1], pa.int32()), pa.array([2**40]), pa.int64()),
        (pa.array([1], pa.uint8()), pa.array([0.5]), pa.float64()),
        (pa.array(["a"], pa.large_string()), pa.array(["b"]), pa.large_string()),
        (pa.array(["a"]).dictionary_encode(), pa.array(["b"]), pa.string()),
        (pa.array([None], pa.null()), pa.array([True]), pa.bool_()),
    ],
)
def test_a_column_of_two_types_has_the_type_that_holds_both(
    tmp_path: Path, left: pa.Array, right: pa.Array, joined: pa.DataType
) -> None:
    for name, values in (("a.parquet", left), ("b.parquet", right)):
        table = pa.table({"source": ["a"], "target": ["b"], "x": values})
        pq.write_table(table, tmp_path / name)
    inputs = ({"path": tmp_path / "a.parquet"}, {"path": tmp_path / "b.parquet"})
    assert extra_schema_of(corpus(*inputs)).field("x").type == joined
    assert extra_schema_of(corpus(*inputs[::-1])).field("x").type == joined


def test_a_column_that_is_text_in_one_file_and_a_number_in_another_is_refused(
    tmp_path: Path,
) -> None:
    first = tmp_path / "x.parquet"
    pq.write_table(pa.table({"source": ["a"], "target": ["b"], "year": [2026]}), first)
    path = write(tmp_path / "x.tsv", "source\ttarget\tyear")
    with pytest.raises(InputError) as error:
        extra_schema_of(corpus({"path": first}, {"path": path}))
    assert message(error) == (
        f"{path}: column 'year' is string but int64 in {first}; leave it out with drop_columns: "
        "[year], or give it another name with rename: {year: year_2}"
    )
    for remedy in ({"drop_columns": ["year"]}, {"rename": {"year": "year_2"}}):
        extra_schema_of(corpus({"path": first}, {"path": path} | remedy))


@pytest.mark.parametrize("taken", ["pair_id", "origin", "source"])
def test_a_column_with_a_name_of_the_dataset_is_refused(tmp_path: Path, taken: str) -> None:
    path = write(tmp_path / "x.tsv", f"en\tes\t{taken}", "one\tuno\tweb")
    item = {"path": path, "source_column": "en", "target_column": "es"}
    with pytest.raises(InputError) as error:
        extra_schema_of(corpus(item))
    assert message(error) == (
        f"{path}: column {taken!r} has a name that the dataset uses; leave it out with "
        f"drop_columns: [{taken}], or give it another name with rename: {{{taken}: input_{taken}}}"
    )
    assert extra_schema_of(corpus(item | {"drop_columns": [taken]})).names == []
    renamed = corpus(item | {"rename": {taken: "input"}})
    assert extra_schema_of(renamed).names == ["input"]
    assert [pair.extra for pair in read_pairs(renamed.inputs[0])] == [{"input": "web"}]
    with pytest.raises(InputError, match=f"rename gives column '{taken}' the name 'target', whi"):
        extra_schema_of(corpus(item | {"rename": {taken: "target"}}))


def as_symbolic_link(source: Path, target: Path) -> Path:
    target.symlink_to(source)
    return target


def as_hard_link(source: Path, target: Path) -> Path:
    target.hardlink_to(source)
    return target


def as_other_path(source: Path, target: Path) -> Path:
    return target.parent / ".." / source.parent.name / source.name


@pytest.mark.parametrize("alias", [lambda s, t: s, as_symbolic_link, as_hard_link, as_other_path])
def test_one_file_as_source_and_target_is_refused(
    tmp_path: Path, alias: Callable[[Path, Path], Path]
) -> None:
    source = write(tmp_path / "a.en", "one", "two")
    target = alias(source, tmp_path / "a.es")
    with pytest.raises(InputError, match="'source' and 'target' are the same file; give two"):
        check_inputs(corpus({"source": source, "target": target}))


@pytest.mark.parametrize("tag", ["no", "NO", "on", "off", "yes", "y", "'no'", "no-NO"])
def test_a_language_tag_that_yaml_takes_for_a_truth_value_is_text(tmp_path: Path, tag: str) -> None:
    path = tmp_path / "corpus.yaml"
    path.write_text(f"source_lang: en\ntarget_lang: {tag}\ninputs: [{{path: x.tsv}}]\n")
    if tag == "y":
        with pytest.raises(InputError, match="target_lang='y': is no language tag"):
            load_corpus(path)
    else:
        assert load_corpus(path).target_lang == tag.strip("'")


@pytest.mark.parametrize(
    ("name", "options", "line"),
    [
        ("x.csv", {"delimiter": ";"}, "one, two;uno"),
        ("x.csv", {"delimiter": "|"}, "one, two|uno"),
        ("x.tsv", {"delimiter": ","}, '"one, two",uno'),
        ("x.csv", {"delimiter": "\t", "quoting": "none"}, "one, two\tuno"),
    ],
)
def test_an_input_can_have_a_delimiter_and_a_quoting(
    tmp_path: Path, name: str, options: dict[str, str], line: str
) -> None:
    delimiter = options["delimiter"]
    path = write(tmp_path / name, f"source{delimiter}target", line)
    if name == "x.tsv":
        options = options | {"quoting": "minimal"}
    description = corpus({"path": path} | options)
    check_inputs(description)
    (pair,) = read_pairs(description.inputs[0])
    assert (pair.source, pair.target, pair.problem) == ("one, two", "uno", None)


@pytest.mark.parametrize("options", [{"delimiter": ";;"}, {"quoting": "maybe"}])
def test_a_wrong_delimiter_or_quoting_is_refused(tmp_path: Path, options: dict[str, str]) -> None:
    path = tmp_path / "corpus.yaml"
    path.write_text(yaml.safe_dump(describe(TABLE | options)))
    with pytest.raises(InputError, match=r"inputs\.0"):
        load_corpus(path)


def test_a_table_without_a_header_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tsv", "The dog plays.\tEl perro juega.")
    with pytest.raises(InputError, match=r"name the columns with columns: \[source, ta"):
        check_inputs(corpus({"path": str(path)}))
