"""Reading in batches: chunks of aligned files give the rows that reading line by line gives."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError
from pipeline.prepare import batches, raw_rows
from pipeline.prepare.batches import Chunk, chunks_of, read_batches
from pipeline.prepare.corpus import CorpusInput
from pipeline.prepare.input_names import NamedInput, named_inputs
from pipeline.prepare.pairs import iter_pairs
from pipeline.prepare.raw_rows import RawBatch, store_rows, stored_batches

ROWS_PER_CHUNK = 4

# A row: number, source, target, problem, detail and line.
Row = tuple[int, str | None, str | None, str | None, str | None, int | None]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 4 lines, batches of 3, and reads of 5 bytes, so that each boundary is met."""
    monkeypatch.setattr(batches, "CHUNK_ROWS", ROWS_PER_CHUNK)
    monkeypatch.setattr(batches, "BATCH_ROWS", 3)
    monkeypatch.setattr(batches, "_BLOCK_BYTES", 5)


def one_input(**values: Any) -> NamedInput:
    """An input by itself."""
    (named,) = named_inputs([CorpusInput.model_validate(values)])
    return named


def aligned(folder: Path, source: bytes, target: bytes) -> NamedInput:
    """Two aligned files."""
    (folder / "a.en").write_bytes(source)
    (folder / "a.es").write_bytes(target)
    return one_input(source=folder / "a.en", target=folder / "a.es")


def chunks(named: NamedInput) -> list[Chunk]:
    """The chunks of an input of one part."""
    return chunks_of(named, named.parts[0], 0)


def rows_of(read: Iterator[RawBatch]) -> Iterator[Row]:
    """The rows of some batches."""
    for batch in read:
        sides: list[list[str | None]] = []
        for column, missing in zip((batch.source, batch.target), batch.missing, strict=True):
            texts: list[str | None] = list(column.to_list())
            assert len(texts) == len(batch) == len(batch.lines)
            if missing is not None:
                texts = [None if gone else t for gone, t in zip(missing, texts, strict=True)]
            sides.append(texts)
        for position, (source, target) in enumerate(zip(*sides, strict=True)):
            problem = batch.problems.get(position)
            yield (
                int(batch.numbers[position]),
                source,
                target,
                problem and problem.reason,
                problem and problem.detail,
                int(batch.lines[position]) or None,
            )


def read_in_chunks(named: NamedInput) -> list[Row]:
    """The rows of all chunks of an input."""
    return [row for chunk in chunks(named) for row in rows_of(read_batches(chunk, pa.schema([])))]


def read_one_by_one(named: NamedInput) -> list[Row]:
    """The rows of an input from the reader that takes one after the other."""
    pairs = iter_pairs(named.item, named.parts[0].part, origin="x")
    return [
        (number, pair.source, pair.target, pair.problem, pair.detail, pair.line)
        for number, pair in enumerate(pairs, start=1)
    ]


LINES = [
    b"a",
    b"bb\r",
    b"",
    b"\r",
    b"caf\xc3\xa9",
    b"bad \xe9",
    b"nul\0",
    b"\xf0\x9f\x98\x80",
    b"x\ry",
]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\n\n", b"\r", b"last"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_chunks_have_the_rows_of_the_file(
    tmp_path: Path, small_blocks: None, mark: bytes, end: bytes
) -> None:
    draw = random.Random(1)
    for n_lines in range(14):
        source = mark + b"".join(draw.choice(LINES) + b"\n" for _ in range(n_lines)) + end
        target = b"".join(draw.choice(LINES) + b"\n" for _ in range(n_lines)) + end
        named = aligned(tmp_path, source, target)
        expected = read_one_by_one(named)
        assert len(chunks(named)) == max(1, -(-len(expected) // ROWS_PER_CHUNK))
        assert [row for row in read_in_chunks(named)] == expected


def test_a_line_feed_at_the_end_of_a_chunk_or_a_block(tmp_path: Path, small_blocks: None) -> None:
    for width in range(12):
        for n_lines in (3, 4, 5, 8, 9):
            text = b"".join(b"%d" % (n % 10) * width + b"\n" for n in range(n_lines))
            named = aligned(tmp_path, text, text.rstrip(b"\n") if width else text)
            assert read_in_chunks(named) == read_one_by_one(named)
            assert [chunk.n_rows for chunk in chunks(named)] == [
                min(4, n_lines - first) for first in range(0, n_lines, 4)
            ]


def test_empty_files_have_no_rows(tmp_path: Path, small_blocks: None) -> None:
    assert read_in_chunks(aligned(tmp_path, b"", b"")) == []


def test_each_chunk_can_be_read_by_itself(tmp_path: Path, small_blocks: None) -> None:
    text = b"".join(b"line %d\n" % n for n in range(1, 11))
    named = aligned(tmp_path, text, text)
    last_first = [list(rows_of(read_batches(c, pa.schema([])))) for c in reversed(chunks(named))]
    assert [[row[0] for row in rows] for rows in last_first] == [
        [9, 10],
        [5, 6, 7, 8],
        [1, 2, 3, 4],
    ]
    assert all(row[1] == f"line {row[0]}" for rows in last_first for row in rows)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(("n_source", "n_target"), [(9, 8), (8, 9), (5, 0), (4, 8)])
def test_files_of_different_lengths_are_refused_with_both_counts(
    tmp_path: Path, small_blocks: None, n_source: int, n_target: int, compressed: bool
) -> None:
    source, target = (b"".join(b"%d\n" % i for i in range(n)) for n in (n_source, n_target))
    named = aligned(tmp_path, source, target)
    if compressed:
        for name, content in (("a.en.gz", source), ("a.es.gz", target)):
            (tmp_path / name).write_bytes(gzip.compress(content))
        named = one_input(source=tmp_path / "a.en.gz", target=tmp_path / "a.es.gz")
    with pytest.raises(InputError, match=f"has {n_source} lines and .* has {n_target}"):
        read_in_chunks(named)


def test_a_compressed_file_is_one_chunk_with_the_same_rows(
    tmp_path: Path, small_blocks: None
) -> None:
    draw = random.Random(2)
    source, target = (b"\n".join(draw.choice(LINES) for _ in range(30)) + b"x" for _ in range(2))
    expected = read_in_chunks(aligned(tmp_path, source, target))
    for name, content in (("a.en.gz", source), ("a.es.gz", target)):
        (tmp_path / name).write_bytes(gzip.compress(content))
    named = one_input(source=tmp_path / "a.en.gz", target=tmp_path / "a.es.gz")
    assert len(chunks(named)) == 1
    assert read_in_chunks(named) == expected
    assert len(expected) == 30


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "_BLOCK_BYTES", 100)
    monkeypatch.setattr(batches, "_MAX_LINE_BYTES", 1000)
    text = b"short\n" * 2
    named = aligned(tmp_path, text + b"a" * 5000, text + b"b\n")
    with pytest.raises(InputError, match=r"a\.en: line 3 has more than 1000 bytes"):
        read_in_chunks(named)


def test_a_file_that_became_shorter_is_refused(tmp_path: Path, small_blocks: None) -> None:
    text = b"".join(b"line %d\n" % n for n in range(10))
    named = aligned(tmp_path, text, text)
    planned = chunks(named)
    (tmp_path / "a.es").write_bytes(text[:40])
    with pytest.raises(InputError, match=r"a\.e[ns]"):
        for chunk in planned:
            deque_of = list(read_batches(chunk, pa.schema([])))
            assert deque_of


def tables(folder: Path) -> Iterator[tuple[NamedInput, pa.Schema]]:
    """Tables with bad rows, and the columns besides the texts."""
    rows: list[dict[str, Any]] = [
        {"source": f"row {n}", "target": None if n % 3 == 0 else f"fila {n}", "year": n or None}
        for n in range(11)
    ]
    (folder / "x.jsonl").write_text(
        "".join(f"{json.dumps(row)}\n" for row in [*rows, {"source": "a\0b", "target": "c"}])
        + '{"source": 7, "target": "siete"}\n{"source": "half\n'
    )
    yield one_input(path=folder / "x.jsonl"), pa.schema([])
    (folder / "x.tsv").write_bytes(
        b"source\ttarget\tdomain\nOne\tuno\tnews\nshort\n\t\t\nbad \xff\tmal\tweb\nnul\0\tx\ty\n"
    )
    yield one_input(path=folder / "x.tsv"), pa.schema([pa.field("domain", pa.string())])
    pq.write_table(pa.Table.from_pylist(rows), folder / "x.parquet")
    yield one_input(path=folder / "x.parquet"), pa.schema([pa.field("year", pa.int64())])


def test_stored_rows_are_those_that_were_read(
    tmp_path: Path, small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large tables are read by one process and cleaned by several."""
    monkeypatch.setattr(raw_rows, "CHUNK_ROWS", ROWS_PER_CHUNK)
    for named, schema in tables(tmp_path):
        (chunk,) = chunks(named)
        read = list(read_batches(chunk, schema))
        counts = dict(store_rows(iter(read), tmp_path, "stored", schema))
        files = list(counts)
        of_files = [list(stored_batches(file, schema)) for file in files]
        assert [sum(map(len, some)) for some in of_files] == list(counts.values())
        stored = [batch for some in of_files for batch in some]
        assert len(files) > 1 or sum(map(len, read)) <= 6
        assert list(rows_of(iter(stored))) == list(rows_of(iter(read)))
        if len(schema):
            assert pa.concat_tables(b.extra for b in stored).equals(
                pa.concat_tables(b.extra for b in read)
            )
        for file in files:
            file.unlink()


def test_rows_of_tables_are_numbered_and_keep_their_problems(tmp_path: Path) -> None:
    reasons = []
    for named, _ in tables(tmp_path):
        rows = read_in_chunks(named)
        assert [row[0] for row in rows] == list(range(1, len(rows) + 1))
        reasons.append([row[3] for row in rows])
    assert reasons[0] == [*[None] * 11, "undecodable", "malformed", "malformed"]
    assert reasons[1] == [None, "malformed", None, "undecodable", "undecodable"]
    assert reasons[2] == [None] * 11
