"""A quick look: texts of any input in order, translated like everywhere else."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError, Translator, load_bundle
from pipeline.translate.in_process import run_in_process
from pipeline.translate.preview import preview_texts, translate_texts
from pipeline.translate.stage import translate_table

translate_here = partial(translate_table, run_units=run_in_process)


def test_translations_come_in_the_order_of_the_texts(bundle: Path) -> None:
    texts = ["Two dogs play.", "Eggs!", "The old teacher reads a long book to the children."]
    translator = Translator(load_bundle(bundle))
    alone = [translator.translate([text])[0] for text in texts]

    found = translate_texts(bundle, texts)

    assert [t.text for t in found] == [t.text for t in alone]
    scores = [t.whole.score for t in found if t.whole is not None]
    assert scores == pytest.approx([t.score for t in alone], abs=1e-5)
    assert len({t.score for t in alone}) == 3  # else any order would do


def test_what_a_table_would_hold_is_shown(bundle: Path, tmp_path: Path) -> None:
    texts = ["Two dogs play.\n\nCall {name}. 42", "42 %", "The cat sleeps. " * 400]
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet")
    translate_here(tmp_path / "a.parquet", bundle, tmp_path / "table")
    rows = pq.read_table(next((tmp_path / "table").glob("data/*/*/part-*"))).to_pylist()

    found = translate_texts(bundle, texts)

    assert [t.text for t in found] == [row["translation"] for row in rows]
    assert [t.whole and t.whole.score for t in found] == [row["score"] for row in rows]


def test_text_that_is_not_utf8_is_refused(bundle: Path) -> None:
    with pytest.raises(InputError, match=r"text 'caf\\udce9': is not UTF-8"):
        translate_texts(bundle, ["caf\udce9"])


def test_nothing_gives_nothing(bundle: Path) -> None:
    assert translate_texts(bundle, []) == []


def write_lake(folder: Path) -> Path:
    """A file of each kind, in the order of their names, and files that are not input."""
    folder.mkdir()
    rows = [{"body": f"csv {i}"} for i in range(3)]
    (folder / "a.csv").write_text("n,body\n" + "".join(f"1,{r['body']}\n" for r in rows))
    (folder / "b.jsonl").write_text(
        "".join(
            json.dumps(row) + "\n" for row in ({"body": "json 0"}, {"n": 1}, {"body": "json 2"})
        )
    )
    pq.write_table(
        pa.table({"body": ["parquet 0", None, "", "parquet 3"], "n": [1, 2, 3, 4]}),
        folder / "c.parquet",
    )
    (folder / "_hidden.csv").write_text("body\nhidden\n")
    return folder


def test_the_first_rows_of_each_file_that_hold_text(tmp_path: Path) -> None:
    lake = write_lake(tmp_path / "lake")
    assert preview_texts(lake, "body", 2) == ["csv 0", "csv 1", "json 0", "parquet 0"]
    assert preview_texts(lake, "body", 9) == [
        *("csv 0", "csv 1", "csv 2", "json 0", "json 2", "parquet 0", "parquet 3")
    ]


def test_one_file_of_plain_text(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("one\n\ntwo\n", encoding="utf-8")
    assert preview_texts(tmp_path / "x.txt", "text", 5) == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", "id,body\n1,a\n"),
        ("x.tsv", "id\tbody\n1\ta\n"),
        ("x.jsonl", '{"id": 1}\n{"body": "a"}\n'),
    ],
)
def test_a_missing_column_is_named_with_those_that_are_there(
    tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError) as error:
        preview_texts(tmp_path, "text", 5)
    assert str(error.value) == (
        f"{tmp_path / name}: has no column 'text'; its columns are id, body; set --text-column"
    )


def test_a_file_without_rows_gives_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("")
    (tmp_path / "b.txt").write_text("")
    (tmp_path / "c.csv").write_text("text\n")
    assert preview_texts(tmp_path, "text", 5) == []


def test_no_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: cannot be read"):
        preview_texts(tmp_path / "none", "text", 5)
    with pytest.raises(InputError, match="holds no file to translate"):
        preview_texts(tmp_path, "text", 5)
