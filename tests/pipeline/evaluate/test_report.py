"""A report shows any text as it is, runs nothing, needs nothing else, and comes out the same."""

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

from pipeline.evaluate.report import examples, html, markdown, write_report
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
NASTY = [
    "<script>alert('x')</script>",
    "\"quoted\" & 'single' &amp; &lt;b&gt;",
    "</td></tr></table><img src=http://example.org/x.png onerror=alert(1)>",
    "--> ]]> <!-- <style>body{display:none}</style>",
    "{{ report.model }} {% raw %}",
    "¿Qué? שלום 日本語 \U0001f600",
]


def report_values(**changes: Any) -> dict[str, Any]:
    """The values of a ``report.json``."""
    return ScoreReport.model_validate(
        {
            "format_version": 1,
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
    ).model_dump(mode="json")


def segments_of(*texts: tuple[str, str, str, float]) -> pa.Table:
    """SEGMENTS of source, reference, translation and chrF."""
    rows = [
        {"pair_id": str(i), "source": s, "reference": r, "translation": t, "score": -1, "chrf": c}
        for i, (s, r, t, c) in enumerate(texts)
    ]
    return pa.Table.from_pylist(rows, schema=SEGMENTS)


PLAIN = segments_of(*((f"s{i}", f"r{i}", f"t{i}", float(i)) for i in range(25)))


class Page(HTMLParser):
    """The elements, attributes and cells of a page."""

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


def test_planted_markup_is_shown_and_does_nothing() -> None:
    nasty = segments_of(*((text, text, text, 50.0) for text in NASTY))
    values = report_values(model=NASTY[0], dataset=NASTY[2])
    page = Page(html(values, nasty, TRAINING))
    plain = Page(html(report_values(), segments_of(*[("s", "r", "t", 50.0)] * 6), TRAINING))

    assert page.tags == plain.tags  # the texts have made no element
    assert not {"script", "img", "iframe", "link", "object"} & set(page.tags)
    for text in NASTY:  # in two tables, three columns each
        assert page.texts["td"].count(text) == 6
    assert page.texts["h1"] == [NASTY[0]]
    assert page.texts["title"] == [f"{NASTY[0]}: test scores"]
    assert NASTY[2] in page.texts["code"]


def test_the_page_needs_nothing_from_elsewhere() -> None:
    text = html(report_values(), PLAIN, TRAINING)
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


def test_scores_stand_with_their_signatures() -> None:
    text = html(report_values(), PLAIN, TRAINING)
    assert Page(text).texts["code"][:2] == [SIGNATURE, "nrefs:1|case:lc|tok:tercom"]
    for shown in ("12.35", "101.50", "lower is better", "2026-11-22 01:02:03 UTC", "1,258 steps"):
        assert shown in text


def drawings(page: str) -> list[ET.Element]:
    """The SVG of a page, parsed as XML."""
    return [ET.fromstring(svg) for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]


def test_drawings_are_valid_and_the_curves_are_there_only_with_a_history() -> None:
    assert len(drawings(html(report_values(), PLAIN, TRAINING))) == 2
    for training in (TrainingRecord(), TrainingRecord.model_validate({"history": []})):
        page = html(report_values(), PLAIN, training)
        (histogram,) = drawings(page)
        assert histogram.tag == "{http://www.w3.org/2000/svg}svg"
        assert histogram.get("viewBox")
        assert "How the model learnt" not in page
        assert "trained" not in [h.strip() for h in re.findall(r"<th>(.*?)</th>", page)]


def test_the_worst_come_first_and_the_examples_are_spread() -> None:
    backward = segments_of(*((f"s{i}", f"r{i}", f"t{i}", 25.0 - i) for i in range(25)))
    cells = Page(html(report_values(), backward, TrainingRecord())).texts["td"]
    sources = [cell for cell in cells if re.fullmatch(r"s\d+", cell)]
    assert sources[:10] == [f"s{i}" for i in (0, 2, 5, 7, 10, 12, 15, 17, 20, 22)]
    assert sources[10:] == [f"s{i}" for i in range(24, 14, -1)]


def test_of_few_sentences_each_is_an_example_once() -> None:
    assert [row["source"] for row in examples(PLAIN.slice(0, 3))] == ["s0", "s1", "s2"]


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    write_parquet(tmp_path / "segments.parquet", PLAIN)
    (tmp_path / "values.json").write_text(json.dumps([report_values(), TRAINING.model_dump()]))
    script = """
import hashlib, json, pathlib, sys
import pyarrow.parquet as pq
from pipeline.evaluate.report import html
from pipeline.training_record import TrainingRecord
folder = pathlib.Path(sys.argv[1])
values, training = json.loads((folder / "values.json").read_text())
page = html(values, pq.read_table(folder / "segments.parquet"), TrainingRecord(**training))
print(hashlib.sha256(page.encode()).hexdigest())
"""
    page = html(report_values(), PLAIN, TRAINING)

    assert html(report_values(), PLAIN, TRAINING) == page
    elsewhere = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "123", "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert elsewhere.stdout.strip() == hashlib.sha256(page.encode()).hexdigest()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "leakage certificate says that no test sentence is among the training"),
        ({"same_dataset": False}, "nobody has checked that it never saw these sentences"),
        ({"split": "train"}, "trained on these very sentences"),
        ({"split": "valid"}, "by which its best step was chosen"),
        ({"split": "train", "same_dataset": False}, "nobody has checked"),
    ],
)
def test_a_report_says_how_far_it_can_be_trusted(changes: dict[str, Any], says: str) -> None:
    values = report_values(**changes)
    page = html(values, PLAIN, TrainingRecord())
    assert says in page
    assert says in markdown(values, PLAIN)
    assert ('class="trust unchecked"' in page) == bool(changes)


def cells(row: str) -> list[str]:
    """Cells of a Markdown table's row: only a pipe without a backslash divides."""
    found, text, characters = [], "", iter(row)
    for character in characters:
        if character == "\\":
            text += character + next(characters)
        elif character == "|":
            found.append(text.strip())
            text = ""
        else:
            text += character
    assert not text.strip(), f"{row!r} does not end with a pipe"
    return found[1:]


def unescaped(cell: str) -> str:
    """The text that a cell shows."""
    return re.sub(r"\\(.)", r"\1", cell)


def test_cells_of_the_markdown_show_any_text() -> None:
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
    shown = markdown(report_values(model="a|b<c>"), table)

    lines = shown.splitlines()
    start = lines.index("| source | reference | translation | chrF |")
    rows = [cells(line) for line in lines[start + 2 :] if line]
    one_line = [" ".join(text.split()) for text in texts]
    assert [[unescaped(cell) for cell in row] for row in rows] == [
        [t, t, t, "100"] for t in one_line
    ]
    for row in rows:  # nothing is left that Markdown or HTML would take for its own
        assert not re.search(r"(?<!\\)(?:\\\\)*[*_`<>&~\[\]]", row[0])
    scores = [cells(line) for line in lines if line.startswith(("| BLEU", "| TER"))]
    assert [unescaped(row[2]) for row in scores] == [SIGNATURE, "nrefs:1|case:lc|tok:tercom"]
    assert lines[0] == r"# a\|b\<c\> on test (en-es)"


def test_every_row_of_a_table_is_as_wide_as_its_head() -> None:
    lines = markdown(report_values(), PLAIN).splitlines()
    widths: list[list[int]] = []
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("|"):
            if not before.startswith("|"):
                assert before == ""  # a table begins after an empty line only
                widths.append([])
            widths[-1].append(len(cells(line)))
    assert widths == [[3] * 4, [4] * 12]


def test_three_files_are_written_with_or_without_a_history(tmp_path: Path) -> None:
    for training in (TrainingRecord(), TRAINING):
        write_report(tmp_path / "report", report_values(), PLAIN, training)
        names = sorted(path.name for path in (tmp_path / "report").iterdir())
        assert names == ["report.html", "report.json", "report.md"]
        written = json.loads((tmp_path / "report" / "report.json").read_bytes())
        assert written == report_values()
        page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
        assert ("How the model learnt" in page) == bool(training.n_steps)
