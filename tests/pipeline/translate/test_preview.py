"""A preview translates texts of any input in order, as a table would hold them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError, Translator, load_bundle
from pipeline.table.manifest import RunManifest
from pipeline.translate.preview import preview_texts, translate_texts


def test_translations_come_in_the_order_of_the_texts(bundle: Path) -> None:
    texts = ["Two dogs play.", "Eggs!", "The old teacher reads a long book to the children."]
    translator = Translator(load_bundle(bundle))
    alone = [translator.translate([text])[0] for text in texts]

    translations = translate_texts(bundle, texts)

    assert [t.text for t in translations] == [t.text for t in alone]
    scores = [t.whole.score for t in translations if t.whole is not None]
    assert scores == pytest.approx([t.score for t in alone], abs=1e-5)
    assert len({t.score for t in alone}) == 3  # otherwise the order would not matter


def test_a_preview_gives_the_rows_of_a_table(
    bundle: Path, tmp_path: Path, translate_here: Callable[..., RunManifest | None]
) -> None:
    texts = ["Two dogs play.\n\nCall {name}. 42", "42 %", "The cat sleeps. " * 400]
    pq.write_table(pa.table({"text": texts}), tmp_path / "a.parquet")
    translate_here(tmp_path / "a.parquet", bundle, tmp_path / "table")
    rows = pq.read_table(next((tmp_path / "table").glob("data/*/*/part-*"))).to_pylist()

    translations = translate_texts(bundle, texts)

    assert [t.text for t in translations] == [row["translation"] for row in rows]
    assert [t.whole and t.whole.score for t in translations] == [row["score"] for row in rows]


def test_text_that_is_not_utf8_is_refused(bundle: Path) -> None:
    with pytest.raises(InputError, match=r"text 'caf\\udce9': is not UTF-8"):
        translate_texts(bundle, ["caf\udce9"])


def test_no_texts_give_no_translations(bundle: Path) -> None:
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


def test_the_texts_of_the_first_rows_of_each_file_are_shown(tmp_path: Path) -> None:
    lake = write_lake(tmp_path / "lake")
    assert preview_texts(lake, "body", 2) == ["csv 0", "csv 1", "json 0", "parquet 0"]
    assert preview_texts(lake, "body", 9) == [
        *("csv 0", "csv 1", "csv 2", "json 0", "json 2", "parquet 0", "parquet 3")
    ]


def test_the_input_may_be_a_plain_text_file(tmp_path: Path) -> None:
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
def test_a_missing_column_is_named_with_the_existing_ones(
    tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError) as error:
        preview_texts(tmp_path, "text", 5)
    assert str(error.value) == (
        f"{tmp_path / name}: has no column 'text'; its columns are id, body; set --text-column"
    )


def test_files_without_rows_have_no_texts(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("")
    (tmp_path / "b.txt").write_text("")
    (tmp_path / "c.csv").write_text("text\n")
    assert preview_texts(tmp_path, "text", 5) == []


def test_a_missing_or_empty_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none: cannot be read"):
        preview_texts(tmp_path / "none", "text", 5)
    with pytest.raises(InputError, match="holds no file to translate"):
        preview_texts(tmp_path, "text", 5)
