"""The report of a dataset: its counts, examples, lengths, languages and the page."""

from __future__ import annotations

import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.dataset.dataset import open_dataset
from pipeline.dataset.manifest import MANIFEST, DatasetManifest
from pipeline.dataset.report import (
    LENGTH_EDGES,
    N_EXAMPLES,
    RATIO_EDGES,
    REPORT,
    REPORT_PAGE,
    DatasetReport,
    Distribution,
    RepairExample,
)
from pipeline.prepare import batches, raw_rows, report_data, report_samples
from pipeline.prepare.config import CleanConfig, PrepareConfig
from pipeline.prepare.notes import input_table, split_table
from pipeline.prepare.report import (
    compared,
    histogram,
    html_report,
    markdown_report,
    marked_sides,
    percent,
    shown,
)
from pipeline.prepare.report_data import added, changed_settings
from pipeline.prepare.report_samples import LowestHashes, length_counts, shortened
from pipeline.prepare.report_words import REASON_WORDS, REPAIR_WORDS
from pipeline.prepare.rules.registry import RULES
from pipeline.prepare.rules.repairs import REPAIRS
from pipeline.prepare.stage import prepare_corpus
from tests.pipeline.prepare.conftest import CONFIG, GOOD, Messy, describe, write_tsv

SCRIPT = "<script>alert(1)</script>"


def noisy_pairs() -> list[tuple[str, str]]:
    """Good pairs, and four or more for each of some reasons and repairs."""
    pairs = list(GOOD["train"])
    for n in range(4):
        word = f"{'abcd'[n] * 3}word"
        pairs += [
            (f"the {word} is here now", ""),
            (f"the {word} has 12{n}45 parts", f"el {word} tiene 98{n}76 partes"),
            (f"hello {word}", f"{word} " + " ".join(f"palabra{'abcd'[k % 4]}" for k in range(40))),
            (f"a {word} {SCRIPT} of this house", f"una {word} de esta casa"),
            (f"the {word} &amp; the\u200b house", f"la {word} y la  casa"),
            (f"see the {word} caf\u00c3\u00a9 here", f"mira el {word} caf\u00e9 aqu\u00ed"),
            GOOD["train"][n],
        ]
    return pairs


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DatasetManifest]:
    """A dataset of two inputs, one of them with markup in its file name and with noise."""
    root = tmp_path_factory.mktemp("noisy")
    corpus = describe(
        {"path": write_tsv(root / "a<b>&.tsv", noisy_pairs())},
        {"path": write_tsv(root / "test.tsv", GOOD["test"]), "split": "test"},
    )
    output = root / "dataset"
    return output, prepare_corpus(corpus, output, CONFIG)


def report_of(dataset: Path) -> DatasetReport:
    return DatasetReport.load(dataset / REPORT)


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_counts_are_those_of_the_manifest(messy: Messy) -> None:
    report = report_of(messy.output)
    assert [item.counts for item in report.inputs] == list(messy.manifest.inputs)
    for item in report.inputs:
        assert item.lengths is not None
        for distribution in dict(item.lengths).values():
            assert sum(distribution.counts) == item.counts.n_kept
    assert messy.manifest.report == REPORT
    assert {REPORT, REPORT_PAGE} <= messy.manifest.files_sha256.keys()
    open_dataset(messy.output).check_files()


def test_each_reason_and_each_repair_has_examples(
    noisy: tuple[Path, DatasetManifest], messy: Messy
) -> None:
    reasons: set[str] = set()
    repairs: set[str] = set()
    for output in (noisy[0], messy.output):
        for item in report_of(output).inputs:
            for reason, n in item.counts.n_rejected.items():
                assert len(item.rejected[reason]) == min(n, N_EXAMPLES)
                reasons.add(reason)
            for name, n in item.counts.n_repaired.items():
                origins = {example.origin for example in item.repaired[name]}
                assert len(origins) == min(n, N_EXAMPLES)
                assert all(example.before != example.after for example in item.repaired[name])
                repairs.add(name)
    assert reasons >= {"empty", "malformed", "undecodable", "too_long", "ratio", "numbers", "tags"}
    assert reasons >= {"duplicate", "leak"}
    assert repairs >= {"entities", "encoding", "invisible", "spaces"}


def test_examples_are_rejected_rows_of_their_reason(messy: Messy) -> None:
    for item in report_of(messy.output).inputs:
        rows = {row["origin"]: row for row in messy.rejected[item.counts.name]}
        for reason, examples in item.rejected.items():
            for example in examples:
                row = rows[example.origin]
                assert row["reason"] == reason
                for side in ("source", "target"):
                    text = getattr(example, side)
                    assert text is row[side] or row[side].startswith(text.removesuffix("…"))


def test_the_report_does_not_depend_on_workers_or_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = describe({"path": write_tsv(tmp_path / "x.tsv", noisy_pairs())})
    for module in (report_samples, report_data):
        monkeypatch.setattr(module, "N_JUDGED", 40)
    prepare_corpus(corpus, tmp_path / "one", CONFIG, n_workers=1)
    for module in (raw_rows, batches):
        monkeypatch.setattr(module, "BATCH_ROWS", 8)
        monkeypatch.setattr(module, "CHUNK_ROWS", 24)
    prepare_corpus(corpus, tmp_path / "other", CONFIG, n_workers=1)
    for name in (REPORT, REPORT_PAGE):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "other" / name).read_bytes()


def test_markup_in_texts_and_names_is_escaped(noisy: tuple[Path, DatasetManifest]) -> None:
    html = (noisy[0] / REPORT_PAGE).read_text(encoding="utf-8")
    page = Page(html)
    names = Counter(tag for tag, _ in page.tags)
    assert names["script"] == 0
    assert SCRIPT in page.text
    assert "a<b>&.tsv" in page.text
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        for name in ("src", "href", "action"):
            assert (attributes.get(name) or "#").startswith("#"), "the page loads nothing"
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org)", html)


def test_the_links_of_the_page_lead_to_its_parts(noisy: tuple[Path, DatasetManifest]) -> None:
    page = Page((noisy[0] / REPORT_PAGE).read_text(encoding="utf-8"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    links = {str(a["href"]).removeprefix("#") for tag, a in page.tags if tag == "a"}
    assert links <= set(ids)
    assert {f"i1-{reason}" for reason in noisy[1].inputs[0].n_rejected} <= links


def test_texts_have_a_direction_of_their_own(noisy: tuple[Path, DatasetManifest]) -> None:
    page = Page((noisy[0] / REPORT_PAGE).read_text(encoding="utf-8"))
    for tag, attributes in page.tags:
        if tag == "td" and attributes.get("data-label") in ("source", "target", "before", "after"):
            assert attributes["dir"] == "auto"


def rows(lengths: list[tuple[int, int, int, int, int]]) -> pa.Table:
    """Spilled rows of ranks and lengths."""
    names = ("rank", "source_characters", "target_characters", "source_words", "target_words")
    columns = zip(*lengths, strict=True)
    return pa.table(
        {name: pa.array(column, pa.int32()) for name, column in zip(names, columns, strict=True)}
    )


def test_lengths_are_counted_by_input() -> None:
    # Ranks 0 and 2 are of input 1, and rank 1 is of input 0.
    table = rows([(0, 7, 14, 1, 3), (1, 0, 5, 0, 1), (2, 8, 8, 2, 2), (2, 90_000, 10, 5, 3)])
    counts = length_counts(table, np.array([1, 0, 1]))
    bin_of = {edge: number for number, edge in enumerate(LENGTH_EDGES)}
    assert counts["source_characters"] == {
        "bins": [[0, bin_of[0], 1], [1, bin_of[6], 1], [1, bin_of[8], 1], [1, bin_of[65536], 1]],
        "totals": [[0, 0, 0], [1, 90_015, 90_000]],
    }
    assert counts["target_words"] == {
        "bins": [[0, bin_of[1], 1], [1, bin_of[2], 1], [1, bin_of[3], 2]],
        "totals": [[0, 1, 1], [1, 8, 3]],
    }
    ratio_bin = {edge: number for number, edge in enumerate(RATIO_EDGES)}
    # 5 over an empty side, which counts as 1; 14/7, 8/8, and 10/90,000, in thousandths.
    assert counts["ratio"] == {
        "bins": [
            [0, ratio_bin[5.0], 1],
            [1, 0, 1],
            [1, ratio_bin[0.9434], 1],
            [1, ratio_bin[2.0], 1],
        ],
        "totals": [[0, 5000, 5.0], [1, 3000, 2.0]],
    }


@pytest.mark.parametrize("edges", [LENGTH_EDGES, RATIO_EDGES])
def test_each_edge_begins_a_bin(edges: tuple[float, ...]) -> None:
    assert list(edges) == sorted(set(edges))
    assert edges[0] == 0
    table = rows([(0, edge, 1, edge, edge) for edge in LENGTH_EDGES])
    for name in ("source_characters", "source_words"):
        bins = length_counts(table, np.array([0]))[name]["bins"]
        assert bins == [[0, number, 1] for number in range(len(LENGTH_EDGES))]


def test_distributions_are_added() -> None:
    first = Distribution(counts=(1, 0, 2), mean=2.0, longest=3)
    second = Distribution(counts=(0, 0, 1), mean=6.0, longest=6)
    assert added([first, second]) == Distribution(counts=(1, 0, 3), mean=3.0, longest=6)


def test_the_lowest_hashes_stay_whatever_the_order() -> None:
    hashes = np.random.default_rng(1).permutation(1000).astype(np.uint64)
    for size in (1, 3, 50, 2000):
        expected = [[n, f"row {n}"] for n in range(min(size, 1000))]
        for step in (1, 7, 1000):
            sample = LowestHashes(size)
            for start in range(0, 1000, step):
                part = hashes[start : start + step]
                sample.add(part, lambda position, part=part: [f"row {part[position]}"])  # type: ignore[misc]
            assert sample.items == expected


def test_language_shares_are_of_the_rows_that_were_read(tmp_path: Path) -> None:
    english = [p[0] for p in GOOD["train"]]
    czech = "Dvě ženy se dívají na velké město za řekou a mluví o počasí"
    pairs = [*GOOD["train"], *((source, f"{czech} {n}") for n, source in enumerate(english[:50]))]
    corpus = describe({"path": write_tsv(tmp_path / "x.tsv", pairs)})
    prepare_corpus(corpus, tmp_path / "d", CONFIG)
    (item,) = report_of(tmp_path / "d").inputs
    assert item.languages is not None
    assert item.languages.n_sampled == len(pairs)
    assert sum(item.languages.source.values()) == sum(item.languages.target.values()) == len(pairs)
    assert item.languages.target["cs"] == 50
    assert next(iter(item.languages.source)) in ("en", "unknown")
    assert item.languages.source["en"] > 100


def test_languages_are_not_sampled_if_they_are_not_judged(tmp_path: Path) -> None:
    off = CONFIG.model_copy(
        update={"clean": CleanConfig.model_validate({"language": {"enabled": False}})}
    )
    corpus = describe({"path": write_tsv(tmp_path / "x.tsv", GOOD["train"])})
    prepare_corpus(corpus, tmp_path / "d", off)
    report = report_of(tmp_path / "d")
    assert [item.languages for item in report.inputs] == [None]
    assert report.changed_settings["clean.language.enabled"] == (True, False)
    assert "clean.language.enabled" in (tmp_path / "d" / REPORT_PAGE).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a<b>&\"'", "a&lt;b&gt;&amp;&#34;&#39;"),
        ("a\u202eb", 'a<span class="ctl" dir="ltr" title="RIGHT-TO-LEFT OVERRIDE">U+202E</span>b'),
        ("\x07", '<span class="ctl" dir="ltr" title="U+0007">U+0007</span>'),
        ("\u0645\u200c\u06cc", "\u0645\u200c\u06cc"),
    ],
)
def test_invisible_characters_are_shown(text: str, expected: str) -> None:
    assert str(shown(text)) == expected


def test_what_a_repair_changed_is_marked() -> None:
    example = RepairExample(origin="x:1", side="source", before="a &lt; b", after="a < b")
    before, after = map(str, compared(example))
    assert re.sub(r"<[^>]*>", "", before) == "a &amp;lt; b"
    assert re.sub(r"</?(?:ins|del)>", "", after) == "a &lt; b"
    assert "<del>" in before
    spaces = RepairExample(origin="x:1", side="source", before="a  b", after="a b")
    assert "<del>" in compared(spaces)[0]
    assert "·" in compared(spaces)[0]


@pytest.mark.parametrize(
    ("reason", "source", "target", "marked"),
    [
        ("numbers", "12 of 30", "30 de 13", ["12", "13"]),
        ("placeholders", "%s of {n}", "%d de {n}", ["%s", "%d"]),
        ("tags", "<b>x</b>", "<b>x", ["&lt;/b&gt;"]),
        ("urls", "see https://a.b/c", "mira https://a.b/c", []),
        ("ratio", "1", "2", []),
    ],
)
def test_what_only_one_side_has_is_marked(
    reason: str, source: str, target: str, marked: list[str]
) -> None:
    both = "".join(map(str, marked_sides(reason, source, target)))
    assert re.findall(r"<mark>(.*?)</mark>", both) == marked


def test_long_texts_are_cut() -> None:
    assert shortened("x" * 300) == "x" * 300
    assert shortened("x" * 301) == "x" * 300 + "…"


def test_a_histogram_has_a_bar_for_each_bin_that_is_used() -> None:
    counts = [0] * len(LENGTH_EDGES)
    counts[3], counts[5] = 10, 5
    svg = str(
        histogram(
            [("sources", Distribution(counts=tuple(counts), mean=4.0, longest=7))], LENGTH_EDGES
        )
    )
    heights = [float(h) for h in re.findall(r'<rect[^>]* height="([\d.]+)"', svg)]
    assert heights == [pytest.approx(2 * heights[1]), heights[1]]
    assert "3: 10 sources" in svg
    assert "6 to 7: 5 sources" in svg


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [(0, 0, "0 %"), (0, 9, "0.0 %"), (1, 3, "33.3 %"), (1, 10**6, "< 0.1 %"), (9, 9, "100.0 %")],
)
def test_shares(part: int, whole: int, expected: str) -> None:
    assert percent(part, whole) == expected


def test_settings_that_differ_are_listed() -> None:
    config = PrepareConfig.model_validate({"clean": {"max_characters": 7}, "seed": 2})
    made_from: dict[str, Any] = {
        "config": config.model_dump(mode="json"),
        "inputs": [
            {"source_column": "source", "split": "test", "files": [["a", "0"]]},
            {"weight": 3.0, "clean": {"min_words": 2}, "files": [["b", "0"]]},
        ],
    }
    assert changed_settings(made_from, ["a.tsv", "b.tsv"]) == {
        "seed": (1, 2),
        "clean.max_characters": (1000, 7),
        "a.tsv: split": (None, "test"),
        "b.tsv: weight": (1.0, 3.0),
        "b.tsv: clean.min_words": (1, 2),
    }


def test_every_rule_and_repair_is_described() -> None:
    assert {rule.name for rule in RULES} <= REASON_WORDS.keys()
    assert {repair.name for repair in REPAIRS} - {"surrounding_space"} == REPAIR_WORDS.keys()


def test_a_manifest_of_an_earlier_release_is_shown(
    noisy: tuple[Path, DatasetManifest], tmp_path: Path
) -> None:
    values = json.loads((noisy[0] / MANIFEST).read_bytes())
    for name in ("report", "leakage", "subword_statistics", "round_trips"):
        del values[name]
    (tmp_path / MANIFEST).write_text(json.dumps(values))
    old = DatasetManifest.load(tmp_path / MANIFEST)
    assert old.report is None
    assert "Rejected pairs" in html_report(old, report_of(noisy[0]))
    assert "| reason |" in markdown_report(old, report_of(noisy[0]))


def test_the_markdown_has_every_input_and_escapes_its_name(
    noisy: tuple[Path, DatasetManifest],
) -> None:
    text = markdown_report(noisy[1], report_of(noisy[0]))
    assert "a\\<b\\>\\&.tsv" in text
    for item in noisy[1].inputs:
        assert f"| {item.n_read:,} | {item.n_kept:,} |" in text
    for reason, n in noisy[1].n_rejected.items():
        assert f"| {n:,} |" in text
        assert reason.replace("_", "\\_") in text


def test_the_page_of_many_inputs_is_small(tmp_path: Path) -> None:
    items = [
        {
            "path": write_tsv(
                tmp_path / f"f{n}.tsv", [(f"{a} {n}", f"{b} {n}") for a, b in noisy_pairs()]
            )
        }
        for n in range(30)
    ]
    prepare_corpus(describe(*items), tmp_path / "d", CONFIG)
    assert (tmp_path / "d" / REPORT_PAGE).stat().st_size < 1_000_000


def test_the_tables_of_the_terminal_have_every_input_and_split(messy: Messy) -> None:
    header, *lines, total = input_table(messy.manifest)
    assert header.split()[:5] == ["input", "read", "kept", "rejected", "repairs"]
    for line, item in zip(lines, messy.manifest.inputs, strict=True):
        cells = re.split(r"  +", line)
        n_rejected = item.n_read - item.n_kept
        assert cells[:4] == [item.name, f"{item.n_read}", f"{item.n_kept}", f"{n_rejected}"]
    train = next(line for line in lines if line.startswith("train.tsv"))
    assert train.endswith("2 duplicate, 2 empty, 2 leak, 5 others")
    assert total.startswith("all inputs")
    assert [line.split()[0] for line in split_table(messy.manifest)] == [
        *("split", "train", "valid", "test")
    ]
