"""Lines that are too long and decompression bombs: memory and time stay bounded."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from pipeline.formats import compression, encoding, jsonl, po
from pipeline.formats.read import iter_rows
from pipeline.formats.rows import Row

LIMIT = 10_000


@pytest.fixture(autouse=True)
def _small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (encoding, jsonl, po):
        monkeypatch.setattr(module, "MAX_ROW_CHARACTERS", LIMIT)
    monkeypatch.setattr(encoding, "_MAX_LINE_CHARACTERS", 10 * LIMIT)
    monkeypatch.setattr(encoding, "_SKIPPED_CHARACTERS", 1000)
    monkeypatch.setattr(compression, "MIN_BOMB_BYTES", 1 << 20)


LONG = "y" * (3 * LIMIT)


@pytest.mark.parametrize(
    ("name", "header", "good", "long"),
    [
        ("a.txt", "", "a\n", f"{LONG}\n"),
        ("a.tsv", "source\ttarget\n", "a\tb\n", f"c\t{LONG}\n"),
        ("a.tsv", "source\ttarget\n", 'a\t"b\n', f'c\t"{LONG}"\n'),
        ("a.csv", "source,target\n", "a,b\n", f'c,"{LONG}"\n'),
        ("a.csv", "source,target\n", "a,b\n", f"{LONG},d,e\n"),
        ("a.csv", "source,target\n", "a,b\n", f'"c{LONG}\n'),
        ("a.jsonl", "", '{"a": "b"}\n', json.dumps({"a": LONG}) + "\n"),
    ],
)
@pytest.mark.parametrize("n_after", [0, 3])
def test_a_line_that_is_too_long_is_one_malformed_row(
    tmp_path: Path, name: str, header: str, good: str, long: str, n_after: int
) -> None:
    path = tmp_path / name
    path.write_text(header + good * 3 + long + good * n_after)
    rows = list(iter_rows(path))
    assert [row.problem for row in rows] == [None] * 3 + ["malformed"] + [None] * n_after
    bad = rows[3]
    assert bad.detail == "a line of more than 10,000 characters"
    assert bad.line == (5 if header else 4)
    assert bad.text is not None
    assert 4000 < len(bad.text) <= 4096
    assert long.replace('"', "").startswith(bad.text.replace('"', ""))
    assert rows[4:] == rows[:n_after]


def test_a_line_of_the_longest_length_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x" * (LIMIT - 1) + "\n" + "y" * (LIMIT - 1))
    assert [len(row.values["text"]) for row in iter_rows(path)] == [LIMIT - 1] * 2


def test_a_line_without_end_is_refused(tmp_path: Path, refusal: Callable[..., str]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("good\n" + "y" * (11 * LIMIT))
    assert "line 2 has more than 100,000 characters" in refusal(path)


def test_an_object_that_is_too_long_is_refused(tmp_path: Path, refusal: Callable[..., str]) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps([{"a": "b"}, {"a": LONG}]))
    assert "more than 10,000 characters" in refusal(path)


def test_an_entry_that_is_too_long_is_one_malformed_row(
    tmp_path: Path, bilingual: Callable[..., list[Row]]
) -> None:
    path = tmp_path / "a.po"
    good = 'msgid "a"\nmsgstr "b"\n\n'
    lines = f'"{"y" * 1000}"\n' * 30
    path.write_text(
        f'{good * 3}msgid "c"\nmsgstr "{LONG}"\n\nmsgid ""\n{lines}msgstr "d"\n\n{good}'
    )
    rows = bilingual(path)
    assert [row.problem for row in rows] == [None] * 3 + ["malformed"] * 2 + [None]
    assert ["more than 10,000 characters" in str(row.detail) for row in rows[3:5]] == [True] * 2
    assert rows[3].values == {"source": None, "target": None}


@pytest.mark.parametrize(
    "compress", [gzip.compress, bz2.compress, lzma.compress, zstandard.compress]
)
def test_a_decompression_bomb_is_refused(
    tmp_path: Path, compress: Callable[[bytes], bytes], refusal: Callable[..., str]
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(compress((b"a line " * 30 + b"\n") * 10_000))
    assert "more than 200 times as long as the file" in refusal(path)
    path.write_bytes(compress((b"a line " * 30 + b"\n") * 1000))
    assert sum(1 for _ in iter_rows(path)) == 1000


def test_gzip_files_of_several_members_are_read_and_truncated_ones_refused(
    tmp_path: Path, refusal: Callable[..., str]
) -> None:
    path = tmp_path / "a.txt.gz"
    members = [gzip.compress(f"line {n}\n".encode()) for n in range(3)]
    path.write_bytes(b"".join(members))
    assert [row.values["text"] for row in iter_rows(path)] == ["line 0", "line 1", "line 2"]
    path.write_bytes(b"".join(members)[:-5])
    assert "damaged" in refusal(path)
