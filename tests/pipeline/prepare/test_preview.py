"""`lingo prepare CORPUS --preview`: how each input is read, with its first rows."""

from __future__ import annotations

import gzip
import json
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from pipeline.cli.app import main
from pipeline.prepare.corpus import CorpusDescription
from pipeline.prepare.input_layout import layout_notes
from pipeline.prepare.input_names import named_inputs
from pipeline.prepare.preview import InputPreview, as_lines, preview_corpus, shown


def previews(*inputs: dict[str, Any], n_rows: int = 10) -> list[InputPreview]:
    """The previews of the inputs of an English-Spanish corpus."""
    description = CorpusDescription.model_validate(
        {"source_lang": "en", "target_lang": "es", "inputs": list(inputs)}
    )
    return list(preview_corpus(description, n_rows))


def facts(preview: InputPreview) -> dict[str, str]:
    """The labels and values at the beginning of a preview."""
    lines = list(as_lines(preview))
    return {
        line[2:11].strip(): line[12:]
        for line in lines
        if line.startswith("  ") and line[11:12] == " " and line[2] != " "
    }


def write(path: Path, *lines: str) -> Path:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_a_table_is_described_and_shown(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tsv", "id\ten\tes", "7\tone\tuno", "8\ttwo", '9\tthree "3"\ttres')
    (preview,) = previews({"path": path, "weight": 2, "drop_columns": ["id"]})
    assert list(as_lines(preview)) == [
        "input: x.tsv",
        f"  files     {path}, 42 bytes",
        "  format    tsv, UTF-8, delimiter '\\t', unquoted",
        "  columns   id, en, es",
        "  source    column en (found by its name)",
        "  target    column es (found by its name)",
        "  left out  id",
        "  settings  drop_columns: ['id'], weight: 2.0",
        "  x.tsv:1",
        "    source one",
        "    target uno",
        "  x.tsv:2 (line 3)    malformed: 2 cells, the header has 3",
        "    source two",
        "    target (none)",
        "    text   8\\ttwo",
        "  x.tsv:3",
        '    source three "3"',
        "    target tres",
    ]


@pytest.mark.parametrize(
    ("lines", "settings", "words"),
    [
        (["en;es", "one;uno", "two;dos"], {}, "csv, UTF-8, delimiter ';', no quotation marks"),
        (['en,es', '"one, two","uno"'], {}, "csv, UTF-8, delimiter ',', quoted"),
        (['en,es', 'one,"uno"'], {"quoting": "none"}, "csv, UTF-8, delimiter ',', unquoted"),
        (["en|es", "one|uno"], {"delimiter": "|", "encoding": "latin-1"}, "csv, latin-1, delim"),
        (["one,uno"], {"columns": ["en", "es"]}, "csv, UTF-8, delimiter ',', no quotation marks"),
    ],
)  # fmt: skip
def test_the_dialect_of_csv_is_shown(
    tmp_path: Path, lines: list[str], settings: dict[str, Any], words: str
) -> None:
    (preview,) = previews({"path": write(tmp_path / "x.csv", *lines)} | settings)
    assert facts(preview)["format"].startswith(words)
    assert preview.error is None
    assert preview.pairs[0].target is not None
    assert preview.pairs[0].target.strip('"') == "uno"


def test_every_format_is_shown(tmp_path: Path) -> None:
    table = pa.table({"translation": [{"en": "one", "es": "uno"}], "n": [1]})
    pq.write_table(table, tmp_path / "x.parquet")
    write(tmp_path / "x.jsonl", json.dumps({"source": "one", "target": "uno", "n": 1}))
    for side, text in (("en", "one"), ("es", "uno")):
        with gzip.open(tmp_path / f"a.{side}.gz", "wt") as stream:
            stream.write(f"{text}\n" * 50)
    parquet, jsonl, aligned = previews(
        {"path": tmp_path / "x.parquet"},
        {"path": tmp_path / "x.jsonl", "split": "test"},
        {"source": tmp_path / "a.en.gz", "target": tmp_path / "a.es.gz"},
        n_rows=3,
    )
    for preview in (parquet, jsonl, aligned):
        assert (preview.pairs[0].source, preview.pairs[0].target) == ("one", "uno")
    assert len(aligned.pairs) == 3
    assert facts(parquet)["source"] == "column translation.en (found by its name)"
    assert facts(parquet)["kept"] == "n"
    assert facts(jsonl)["left out"] == "n"
    assert facts(jsonl)["settings"] == "split: test"
    assert facts(aligned)["format"] == "text, gzip, UTF-8"
    assert facts(aligned)["files"].startswith(f"{tmp_path / 'a.en.gz'} and 1 more, ")


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (["a\tb", "one\tuno"], "x.tsv: has no column 'source'"),
        ([], "x.tsv: empty"),
        (["source\tsource", "one\tuno"], "x.tsv: two columns are named 'source'"),
    ],
)
def test_an_input_that_cannot_be_read_does_not_hide_the_others(
    tmp_path: Path, lines: list[str], error: str
) -> None:
    bad = write(tmp_path / "x.tsv", *lines)
    good = write(tmp_path / "y.tsv", "source\ttarget", "one\tuno")
    first, second = previews({"path": bad}, {"path": good})
    assert first.error is not None
    assert error in first.error
    assert list(as_lines(first))[-1] == f"  error: {first.error}"
    assert second.error is None
    assert len(second.pairs) == 1


def test_an_error_after_some_rows_comes_after_them(tmp_path: Path) -> None:
    source, target = write(tmp_path / "a.en", "one", "two"), write(tmp_path / "a.es", "uno")
    (preview,) = previews({"source": source, "target": target})
    assert [pair.source for pair in preview.pairs] == ["one"]
    assert preview.error is not None
    assert "has 2 lines" in preview.error


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (None, "(none)"),
        ("", "(empty)"),
        ("a\nb\tc\u200bd\u202e", "a\\nb\\tc\\u200bd\\u202e"),
        ("年 é", "年 é"),
        ("x" * 1000, "x" * 200 + "... (800 more characters)"),
    ],
)
def test_a_text_is_shown_on_one_short_line(text: str | None, line: str) -> None:
    assert shown(text) == line


def run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, inputs: list[dict[str, Any]], *options: str
) -> int | str | None:
    """Run the command in a folder with a description of some inputs. Returns its exit status."""
    values = {"source_lang": "en", "target_lang": "es", "inputs": inputs}
    (folder / "corpus.yaml").write_text(yaml.safe_dump(values))
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["lingo", "prepare", "corpus.yaml", *options])
    with pytest.raises(SystemExit) as left:
        main()
    return left.value.code


def test_the_command_shows_inputs_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "x.tsv", "en\tes", *["one\tuno"] * 30)
    inputs = [{"path": "*.tsv"}, {"path": "x.tsv", "name": "again"}]
    status = run(tmp_path, monkeypatch, inputs, "--preview")
    before = sorted(tmp_path.rglob("*"))
    out = capsys.readouterr().out
    assert not status
    assert out.count("\n    source one\n") == 20
    assert "input: x.tsv#1" not in out
    assert "input: again\n" in out
    assert not run(tmp_path, monkeypatch, inputs, "--preview", "--rows", "1", "--json")
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["name"], second["name"]) == ("x.tsv", "again")
    assert first["files"] == [str(tmp_path / "x.tsv")]
    assert first["layout"]["source"] == "en"
    assert [pair["origin"] for pair in second["pairs"]] == ["x.tsv#2:1"]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rows", "3"], "--rows and --json need --preview"),
        (["--output", "d", "--json"], "--rows and --json need --preview"),
        ([], "missing --output DATASET, "),
        (["--preview", "--output", "d"], "--preview"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    write(tmp_path / "x.tsv", "en\tes", "one\tuno")
    assert run(tmp_path, monkeypatch, [{"path": "x.tsv"}], *options) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ("source\ttarget\tn\none\tuno\tx\n", "column 'n' is string but int64"),
        ("source\ttarget\torigin\none\tuno\tx\n", "column 'origin' has a name that the dataset"),
        ("a\tb\n", "y.tsv: cannot be read, as its preview says"),
    ],
)
def test_a_corpus_that_cannot_be_prepared_has_another_exit_status(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    second: str,
    message: str,
) -> None:
    pq.write_table(
        pa.table({"source": ["one"], "target": ["uno"], "n": [1]}), tmp_path / "x.parquet"
    )
    (tmp_path / "y.tsv").write_text(second)
    inputs = [{"path": "x.parquet"}, {"path": "y.tsv"}]
    assert run(tmp_path, monkeypatch, inputs, "--preview") == 2
    out, err = capsys.readouterr()
    assert "source one" in out
    assert message in err


def test_a_preview_of_many_and_large_files_reads_their_beginning_only(tmp_path: Path) -> None:
    files = [write(tmp_path / f"{n:04}.tsv", "source\ttarget", "one\tuno") for n in range(500)]
    with files[0].open("a") as stream:
        for _ in range(50):
            stream.write("the dog plays\tel perro juega\n" * 20_000)
    start = time.perf_counter()
    (preview,) = previews({"path": files})
    assert time.perf_counter() - start < 1
    assert len(preview.pairs) == 10
    assert facts(preview)["files"] == f"{files[0]} and 499 more, 29.0 MB"


def test_a_note_names_the_columns_that_were_found_and_the_keys_that_are_left_out(
    tmp_path: Path,
) -> None:
    path = write(tmp_path / "x.jsonl", '{"en": "one", "es": "uno", "by": "web", "n": 1}')

    def notes(**settings: Any) -> list[str]:
        description = CorpusDescription.model_validate(
            {"source_lang": "en", "target_lang": "es", "inputs": [{"path": path} | settings]}
        )
        (named,) = named_inputs(description.inputs)
        return layout_notes(named)

    found = "x.jsonl: the sources are read from column 'en' and the targets from 'es'"
    assert notes() == [
        found,
        "x.jsonl: keys that are not kept: by, n; name those to keep in keep_columns",
    ]
    assert notes(keep_columns=["by"]) == [found]
    assert notes(keep_columns=[], source_column="en", target_column="es") == []
