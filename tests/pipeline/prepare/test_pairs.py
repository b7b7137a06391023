"""The raw pairs of an input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError
from pipeline.formats.options import ReadOptions
from pipeline.formats.rows import Row
from pipeline.prepare import pairs
from pipeline.prepare.corpus import CorpusDescription, CorpusInput
from pipeline.prepare.input_checks import check_inputs
from pipeline.prepare.pairs import RawPair, iter_pairs


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


def test_aligned_files_give_one_pair_for_each_line(tmp_path: Path) -> None:
    source = write(tmp_path / "a.en", "one", "", "three\u2028parts")
    target = write(tmp_path / "a.es", "uno", "dos", "tres")
    assert read_pairs(CorpusInput(source=source, target=target)) == [
        RawPair("one", "uno", "a.en:1", None, {}),
        RawPair("", "dos", "a.en:2", None, {}),
        RawPair("three\u2028parts", "tres", "a.en:3", None, {}),
    ]


def test_a_bad_line_on_either_side_makes_a_bad_pair(tmp_path: Path) -> None:
    (tmp_path / "a.en").write_bytes(b"one\ncaf\xe9\nthree\n")
    (tmp_path / "a.es").write_bytes(b"uno\ndos\nni\xf1o\n")
    item = CorpusInput(source=tmp_path / "a.en", target=tmp_path / "a.es")
    assert [pair.problem for pair in read_pairs(item)] == [None, "undecodable", "undecodable"]


@pytest.mark.parametrize(("n_source", "n_target"), [(3, 5), (5, 3), (0, 1), (1, 0)])
def test_files_of_unequal_length_are_refused_with_both_counts(
    tmp_path: Path, n_source: int, n_target: int
) -> None:
    source = write(tmp_path / "a.en", *("word" for _ in range(n_source)))
    target = write(tmp_path / "a.es", *("palabra" for _ in range(n_target)))
    with pytest.raises(InputError) as error:
        read_pairs(CorpusInput(source=source, target=target))
    assert f"{source} has {n_source} lines and {target} has {n_target}:" in message(error)
    assert "missing or doubled" in message(error)


def test_a_table_gives_one_pair_for_each_row_with_its_other_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tsv", "id\ten\tes", "7\tone\tuno", "8\ttwo", "9\tthree\ttres")
    item = CorpusInput(path=path, source_column="en", target_column="es")
    assert read_pairs(item) == [
        RawPair("one", "uno", "x.tsv:1", None, {"id": "7"}),
        RawPair("two", None, "x.tsv:2", "malformed", {"id": "8"}),
        RawPair("three", "tres", "x.tsv:3", None, {"id": "9"}),
    ]


def test_parquet_keeps_nulls_and_the_types_of_other_columns(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"source": ["one", None], "target": ["uno", "dos"], "score": [0.5, None]}),
        tmp_path / "x.parquet",
    )
    assert read_pairs(CorpusInput(path=tmp_path / "x.parquet")) == [
        RawPair("one", "uno", "x.parquet:1", None, {"score": 0.5}),
        RawPair(None, "dos", "x.parquet:2", None, {"score": None}),
    ]


def test_json_values_that_are_not_text_are_malformed(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.jsonl",
        '{"source": "one", "target": "uno", "other": [1]}',
        '{"source": 2, "target": "dos"}',
        '{"source": "three", "target": ["tres"]}',
        '{"source": "four", "target": null}',
        '{"source": "five"}',
        "no json",
    )
    assert [(p.source, p.target, p.problem) for p in read_pairs(CorpusInput(path=path))] == [
        ("one", "uno", None),
        (None, "dos", "malformed"),
        ("three", None, "malformed"),
        ("four", None, None),  # an empty side is for cleaning to find
        ("five", None, None),
        (None, None, "malformed"),
    ]


@pytest.mark.parametrize(("wrong", "right"), [("target", "source"), ("source", "target")])
def test_a_json_file_without_the_column_is_refused(tmp_path: Path, wrong: str, right: str) -> None:
    path = write(tmp_path / "x.jsonl", f'{{"{right}": "one", "txt": "uno"}}', f'{{"{right}": "b"}}')
    with pytest.raises(InputError) as error:
        read_pairs(CorpusInput(path=path))
    assert message(error) == (
        f"{path}: no row has {wrong!r}; set source_column and target_column (the rows have "
        f"{right!r}, 'txt')"
    )


def test_a_json_row_without_a_column_says_so(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", '{"source": "a", "target": "b"}', '{"source": "c"}', "{}")
    found = [(pair.problem, pair.detail) for pair in read_pairs(CorpusInput(path=path))]
    assert found == [
        (None, None),
        (None, "the row has no 'target'"),
        (None, "the row has no 'source' and no 'target'"),
    ]


def test_the_keys_of_a_json_file_that_a_message_names_are_few(tmp_path: Path) -> None:
    rows = [json.dumps({f"key {n}": n, "source": "a"}) for n in range(100)]
    path = write(tmp_path / "x.jsonl", *rows)
    with pytest.raises(InputError) as error:
        read_pairs(CorpusInput(path=path))
    assert message(error).count("'key ") < 25
    path = write(tmp_path / "y.jsonl", *rows, '{"source": "a", "target": "b"}')
    assert len(read_pairs(CorpusInput(path=path))) == 101


def test_a_table_whose_rows_are_all_too_short_is_not_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tsv", "source\ttarget", "one", "two")
    assert [p.problem for p in read_pairs(CorpusInput(path=path))] == ["malformed"] * 2


def test_other_keys_of_json_are_not_columns_of_a_pair(tmp_path: Path) -> None:
    # Their types are not declared, so they would clash with a column that another file declares.
    path = write(tmp_path / "x.jsonl", '{"source": "a", "target": "b", "year": "2026"}')
    assert [pair.extra for pair in read_pairs(CorpusInput(path=path))] == [{}]


def test_a_pair_keeps_the_place_and_the_reason_of_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        Row({"source": "one", "target": "uno"}, line=2),
        Row({"source": "x"}, "malformed", detail="1 cell, the header has 2", line=3, text="x"),
        Row({"source": 1, "target": "dos"}, line=4),
    ]
    monkeypatch.setattr(pairs, "iter_rows", lambda path, options: iter(rows))
    path = write(tmp_path / "x.csv", "source,target")
    found = [(p.line, p.problem, p.detail, p.text) for p in read_pairs(CorpusInput(path=path))]
    assert found == [
        (2, None, None, None),
        (3, "malformed", "1 cell, the header has 2", "x"),
        (4, "malformed", "source or target is not text", None),
    ]


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_pair_of_aligned_lines_keeps_the_reason_of_the_bad_side(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    def rows(path: Path, options: ReadOptions) -> Iterator[Row]:
        problem = "undecodable" if path.suffix == f".{side}" else None
        yield Row({"text": "good"})
        yield Row({"text": "bad"}, problem, detail=problem and f"byte 0xe9 in {side}")

    monkeypatch.setattr(pairs, "iter_rows", rows)
    item = CorpusInput(source=tmp_path / "a.source", target=tmp_path / "a.target")
    assert [(p.line, p.problem, p.detail) for p in read_pairs(item)] == [
        (1, None, None),
        (2, "undecodable", f"byte 0xe9 in {side}"),
    ]


def test_a_json_file_without_objects_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", "source,target", "a,b")
    with pytest.raises(InputError) as error:
        read_pairs(CorpusInput(path=path))
    assert message(error) == f"{path}: no row is a JSON object; write one JSON object on each line"


@pytest.mark.parametrize(
    "kind",
    [pa.large_string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string()), pa.binary()],
)
def test_parquet_columns_of_every_text_type_are_text(tmp_path: Path, kind: pa.DataType) -> None:
    path = tmp_path / "x.parquet"
    column = pa.array(["año", None, "b"]).cast(kind)
    pq.write_table(pa.table({"source": column, "target": column}), path)
    item = CorpusInput(path=path)
    description = CorpusDescription(source_lang="en", target_lang="es", inputs=(item,))
    check_inputs(description)
    assert [(p.source, p.target, p.problem) for p in read_pairs(item)] == [
        ("año", "año", None),
        (None, None, None),
        ("b", "b", None),
    ]


def test_binary_that_is_not_utf8_is_undecodable(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"source": [b"a", b"caf\xe9"], "target": ["b", "c"]}), path)
    assert [(p.source, p.target, p.problem) for p in read_pairs(CorpusInput(path=path))] == [
        ("a", "b", None),
        ("caf\ufffd", "c", "undecodable"),
    ]


def test_quoting_and_delimiter_of_an_input(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "source;target", '"a;b";c', "d;e")
    pairs = read_pairs(CorpusInput(path=path, delimiter=";"))
    assert [(p.source, p.target) for p in pairs] == [("a;b", "c"), ("d", "e")]
    path = write(tmp_path / "x.tsv", "source\ttarget", '"a"\tb')
    for quoting, source in (("auto", '"a"'), ("none", '"a"'), ("minimal", "a")):
        (pair,) = read_pairs(CorpusInput(path=path, quoting=quoting))
        assert pair.source == source


def test_json_rows_with_other_keys_are_not_empty(tmp_path: Path) -> None:
    """Writers omit one key if its value is null. A row without both has another format."""
    good, other = '{"source":"a","target":"b"}', '{"en":"a","de":"b"}'
    path = write(tmp_path / "x.jsonl", *[good] * 95, *[other] * 5, '{"source":"a"}')
    problems = [pair.problem for pair in read_pairs(CorpusInput(path=path))]
    assert problems == [None] * 95 + ["malformed"] * 5 + [None]
    path = write(tmp_path / "y.jsonl", *[good] * 20, *[other] * 20)
    with pytest.raises(InputError, match="20 of 40 rows have neither 'source' nor 'target'"):
        read_pairs(CorpusInput(path=path))
