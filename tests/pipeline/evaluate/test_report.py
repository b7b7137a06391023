"""Score reports: all text is escaped, pages load nothing, and equal input gives equal bytes."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.evaluate.report import (
    example_rows,
    html_report,
    markdown_report,
    write_report,
)
from pipeline.evaluate.scores import Score, ScoreReport
from pipeline.schemas import SEGMENTS
from pipeline.storage.files import write_parquet
from pipeline.training_record import TrainingRecord

ROOT = Path(__file__).parents[3]
SIGNATURE = "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0"
HISTORY = [
    {"step": step, "train_loss": 3 / step, "valid_loss": 4 / step, "valid_bleu": 10.0 * step}
    | {"learning_rate": 1e-3 / step}
    for step in (1, 2, 3)
]
TRAINING = TrainingRecord.model_validate(
    {
        "n_steps": 1258,
        "seconds": 125.4,
        "stopped_by": "max_epochs",
        "n_parameters": 1303528,
        "best_step": 1200,
        "best_valid_bleu": 86.739,
        "history": HISTORY,
    }
)
HOSTILE_TEXTS = [
    "<script>alert('x')</script>",
    "\"quoted\" & 'single' &amp; &lt;b&gt;",
    "</td></tr></table><img src=http://example.org/x.png onerror=alert(1)>",
    "--> ]]> <!-- <style>body{display:none}</style>",
    "{{ report.model }} {% raw %}",
    "¿Qué? שלום 日本語 \U0001f600",
]


def make_report(**changes: Any) -> ScoreReport:
    """A score report for these tests."""
    return ScoreReport.model_validate(
        {
            "format_version": ScoreReport.FORMAT_VERSION,
            "evaluation_id": "0123456789abcdef",
            "evaluated_at": datetime.datetime(2026, 11, 22, 1, 2, 3, 456, tzinfo=datetime.UTC),
            "model": "en-es",
            "model_id": "fedcba9876543210",
            "dataset": "datasets/en-es",
            "dataset_fingerprint": "ab" * 32,
            "same_dataset": True,
            "split": "test",
            "source_lang": "en",
            "target_lang": "es",
            "n_sentences": 3,
            "seconds": 1.25,
            "scores": (
                Score(metric="BLEU", score=12.345, signature=SIGNATURE),
                Score(metric="TER", score=101.5, signature="nrefs:1|case:lc|tok:tercom"),
            ),
            "folder": "reports/en-es-test-01234567",
        }
        | changes
    )


def segments_of(*texts: tuple[str, str, str, float]) -> pa.Table:
    """A SEGMENTS table from tuples of source, reference, translation and chrF."""
    rows = [
        {"pair_id": str(i), "source": s, "reference": r, "translation": t, "score": -1, "chrf": c}
        for i, (s, r, t, c) in enumerate(texts)
    ]
    return pa.Table.from_pylist(rows, schema=SEGMENTS)


PLAIN = segments_of(*((f"s{i}", f"r{i}", f"t{i}", float(i)) for i in range(25)))


class Page(HTMLParser):
    """The elements, attributes and texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: dict[str, list[str]] = {"td": [], "h1": [], "title": [], "code": [], "h2": []}
        self._inside: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag in self.texts:
            self.texts[tag].append("")
            self._inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._inside:
            self._inside.remove(tag)

    def handle_data(self, data: str) -> None:
        for tag in self._inside:
            self.texts[tag][-1] += data


def test_markup_in_the_data_is_shown_as_text() -> None:
    hostile = segments_of(*((text, text, text, 50.0) for text in HOSTILE_TEXTS))
    report = make_report(model=HOSTILE_TEXTS[0], dataset=HOSTILE_TEXTS[2])
    page = Page(html_report(report, hostile, TRAINING))
    plain = Page(html_report(make_report(), segments_of(*[("s", "r", "t", 50.0)] * 6), TRAINING))

    assert page.tags == plain.tags  # the texts add no element
    assert not {"script", "img", "iframe", "link", "object"} & set(page.tags)
    for text in HOSTILE_TEXTS:  # in three columns of two tables
        assert page.texts["td"].count(text) == 6
    assert page.texts["h1"] == [HOSTILE_TEXTS[0]]
    assert page.texts["title"] == [f"{HOSTILE_TEXTS[0]}: scores on test"]
    assert HOSTILE_TEXTS[2] in page.texts["code"]


def test_the_page_loads_nothing() -> None:
    text = html_report(make_report(), PLAIN, TRAINING)
    page = Page(text)

    assert not {"script", "link", "iframe", "img", "base", "object", "embed"} & set(page.tags)
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        if name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
            assert value.startswith("#"), (tag, name, value)
        assert not re.search(r"url\((?!#)", value), (tag, name, value)
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert ("meta", "charset", "utf-8") in page.attributes


def test_scores_are_shown_with_their_signatures() -> None:
    text = html_report(make_report(), PLAIN, TRAINING)
    assert Page(text).texts["code"][:2] == [SIGNATURE, "nrefs:1|case:lc|tok:tercom"]
    for shown in ("12.35", "101.50", "lower is better", "2026-11-22 01:02:03 UTC", "1,258 steps"):
        assert shown in text


def figures(page: str) -> list[ET.Element]:
    """The SVG figures of a page, parsed as XML."""
    return [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


def test_figures_are_valid_and_learning_curves_need_a_history() -> None:
    assert len(figures(html_report(make_report(), PLAIN, TRAINING))) == 2
    for training in (TrainingRecord(), TrainingRecord.model_validate({"history": []})):
        page = html_report(make_report(), PLAIN, training)
        (histogram,) = figures(page)
        assert histogram.tag == "{http://www.w3.org/2000/svg}svg"
        assert histogram.get("viewBox")
        assert "Learning curves" not in page
        assert "training" not in [h.strip() for h in re.findall(r"<th>(.*?)</th>", page)]


def test_examples_are_evenly_spaced_and_lowest_scores_come_first() -> None:
    descending = segments_of(*((f"s{i}", f"r{i}", f"t{i}", 25.0 - i) for i in range(25)))
    texts = Page(html_report(make_report(), descending, TrainingRecord())).texts["td"]
    sources = [cell for cell in texts if re.fullmatch(r"s\d+", cell)]
    assert sources[:10] == [f"s{i}" for i in (0, 2, 5, 7, 10, 12, 15, 17, 20, 22)]
    assert sources[10:] == [f"s{i}" for i in range(24, 14, -1)]


def test_a_short_split_shows_each_sentence_once() -> None:
    assert [row["source"] for row in example_rows(PLAIN.slice(0, 3))] == ["s0", "s1", "s2"]


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    write_parquet(tmp_path / "segments.parquet", PLAIN)
    (tmp_path / "values.json").write_text(
        json.dumps([make_report().model_dump(mode="json"), TRAINING.model_dump()])
    )
    script = """
import hashlib, json, pathlib, sys
import pyarrow.parquet as pq
from pipeline.evaluate.report import html_report
from pipeline.evaluate.scores import ScoreReport
from pipeline.training_record import TrainingRecord
folder = pathlib.Path(sys.argv[1])
values, training = json.loads((folder / "values.json").read_text())
report = ScoreReport.model_validate(values)
page = html_report(report, pq.read_table(folder / "segments.parquet"), TrainingRecord(**training))
print(hashlib.sha256(page.encode()).hexdigest())
"""
    page = html_report(make_report(), PLAIN, TRAINING)

    assert html_report(make_report(), PLAIN, TRAINING) == page
    other_process = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "123", "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert other_process.stdout.strip() == hashlib.sha256(page.encode()).hexdigest()


@pytest.mark.parametrize(
    ("changes", "statement"),
    [
        ({}, "states that no test sentence is among the training sentences"),
        ({"same_dataset": False}, "The model was trained on another dataset."),
        ({"split": "train"}, "The model was trained on these sentences."),
        ({"split": "valid"}, "its best step was chosen by its score on these sentences"),
        ({"split": "train", "same_dataset": False}, "The model was trained on another dataset."),
    ],
)
def test_a_report_says_whether_the_model_may_have_seen_the_sentences(
    changes: dict[str, Any], statement: str
) -> None:
    report = make_report(**changes)
    page = html_report(report, PLAIN, TrainingRecord())
    assert statement in page
    assert statement in markdown_report(report, PLAIN)
    assert ('class="notice warning"' in page) == bool(changes)


def cells(row: str) -> list[str]:
    """The cells of a Markdown table row. A pipe after a backslash does not end a cell."""
    row_cells, text, characters = [], "", iter(row)
    for character in characters:
        if character == "\\":
            text += character + next(characters)
        elif character == "|":
            row_cells.append(text.strip())
            text = ""
        else:
            text += character
    assert not text.strip(), f"{row!r} does not end with a pipe"
    return row_cells[1:]


def unescaped(cell: str) -> str:
    """The text that a cell shows."""
    return re.sub(r"\\(.)", r"\1", cell)


def test_markdown_cells_escape_any_text() -> None:
    texts = [
        *(
            "a|b||c",
            "a\\|b",
            "ends with \\",
            "`|` code",
            "two\nlines\r\nand\u2028\tthree",
            "*b* _i_",
        ),
        *("[link](http://x)", "<b>", "AT&amp;T", "~~gone~~"),
    ]
    table = segments_of(*((text, text, text, 100.0) for text in texts))
    shown = markdown_report(make_report(model="a|b<c>"), table)

    lines = shown.splitlines()
    start = lines.index("| source | reference | translation | chrF |")
    rows = [cells(line) for line in lines[start + 2 :] if line]
    one_line = [" ".join(text.split()) for text in texts]
    assert [[unescaped(cell) for cell in row] for row in rows] == [
        [t, t, t, "100"] for t in one_line
    ]
    for row in rows:  # no character is left that Markdown or HTML would interpret
        assert not re.search(r"(?<!\\)(?:\\\\)*[*_`<>&~\[\]]", row[0])
    scores = [cells(line) for line in lines if line.startswith(("| BLEU", "| TER"))]
    assert [unescaped(row[2]) for row in scores] == [SIGNATURE, "nrefs:1|case:lc|tok:tercom"]
    assert lines[0] == r"# a\|b\<c\> on test (en-es)"


def test_markdown_rows_have_as_many_cells_as_their_header() -> None:
    lines = markdown_report(make_report(), PLAIN).splitlines()
    widths: list[list[int]] = []
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("|"):
            if not before.startswith("|"):
                assert before == ""  # a table must begin after an empty line
                widths.append([])
            widths[-1].append(len(cells(line)))
    assert widths == [[3] * 4, [4] * 12]


def test_three_files_are_written_with_or_without_a_history(tmp_path: Path) -> None:
    for training in (TrainingRecord(), TRAINING):
        write_report(tmp_path / "report", make_report(), PLAIN, training)
        names = sorted(path.name for path in (tmp_path / "report").iterdir())
        assert names == ["report.html", "report.json", "report.md"]
        written = json.loads((tmp_path / "report" / "report.json").read_bytes())
        assert written == make_report().model_dump(mode="json")
        page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
        assert ("Learning curves" in page) == bool(training.n_steps)
