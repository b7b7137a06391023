"""Reading files: one meaning in every format, bad rows apart from bad files."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from lingo_model import InputError
from pipeline.formats.read import column_names, iter_rows
from pipeline.formats.rows import Row, format_of

# What line-based tools stumble over stands inside the text: none of it ends a row.
PAIRS = [
    ("one", "uno"),
    ("line\u2028separator", "paragraph\u2029separator"),
    ("vertical\x0btab", "form\x0cfeed"),
    ("carriage\rreturn", "two\r\rreturns"),
    ("next\x85line", "file\x1cgroup\x1drecord\x1eunit\x1f"),
    ('say "hi"', "di «hola»"),
    ('"quoted"', "año 😀"),
    ("", "empty source"),
    ("  spaces  ", "nul\x00"),
    ("last", "último"),
]


def as_lines(texts: list[str]) -> bytes:
    """Plain text, a sentence a line."""
    return "".join(f"{text}\n" for text in texts).encode()


def as_tsv(pairs: list[tuple[str, str]]) -> bytes:
    """TSV without quoting."""
    return as_lines(["source\ttarget", *("\t".join(pair) for pair in pairs)])


def as_csv(pairs: list[tuple[str, str]], line_end: str = "\n") -> bytes:
    """CSV as Python writes it."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=line_end)
    writer.writerows([("source", "target"), *pairs])
    return text.getvalue().encode()


def as_jsonl(pairs: list[tuple[str, str]], *, ascii_only: bool = False) -> bytes:
    """JSON lines."""
    rows = [{"source": source, "target": target} for source, target in pairs]
    return as_lines([json.dumps(row, ensure_ascii=ascii_only) for row in rows])


def as_parquet(pairs: list[tuple[str, str]]) -> bytes:
    """Parquet in row groups of two."""
    table = pa.table({"source": [p[0] for p in pairs], "target": [p[1] for p in pairs]})
    file = io.BytesIO()
    pq.write_table(table, file, row_group_size=2)
    return file.getvalue()


def rows_of(path: Path, content: bytes) -> list[Row]:
    """Write ``content`` and read it as rows."""
    path.write_bytes(content)
    return list(iter_rows(path))


def texts_of(rows: list[Row]) -> list[str]:
    """The texts of a plain text file without bad rows."""
    assert [row.problem for row in rows] == [None] * len(rows)
    return [row.values["text"] for row in rows]


def refusal(path: Path, read: Callable[[Path], object] | None = None) -> str:
    """The message of the InputError: one line that begins with the file."""
    with pytest.raises(InputError) as error:
        (read or (lambda p: list(iter_rows(p))))(path)
    text = str(error.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    return text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.tsv", as_tsv(PAIRS)),
        ("x.tsv.gz", gzip.compress(as_tsv(PAIRS), mtime=0)),
        ("x.tsv.zst", zstandard.compress(as_tsv(PAIRS))),
        ("x.csv", as_csv(PAIRS)),
        ("x.csv", as_csv(PAIRS, "\r\n")),
        ("x.csv.zst", zstandard.compress(as_csv(PAIRS))),
        ("x.jsonl", as_jsonl(PAIRS)),
        ("x.jsonl", as_jsonl(PAIRS, ascii_only=True)),
        ("x.ndjson.gz", gzip.compress(as_jsonl(PAIRS), mtime=0)),
        ("x.parquet", as_parquet(PAIRS)),
    ],
)
def test_every_table_format_gives_the_same_rows(tmp_path: Path, name: str, content: bytes) -> None:
    assert rows_of(tmp_path / name, content) == [
        Row({"source": source, "target": target}) for source, target in PAIRS
    ]


@pytest.mark.parametrize(
    ("name", "compress"),
    [
        ("x", bytes),
        ("x.txt", bytes),
        ("x.en-es.en", bytes),
        ("x.en.gz", gzip.compress),
        ("x.en.zst", zstandard.compress),
    ],
)
def test_plain_text_is_a_sentence_a_line(
    tmp_path: Path, name: str, compress: Callable[[bytes], bytes]
) -> None:
    texts = [text for pair in PAIRS for text in pair]
    assert texts_of(rows_of(tmp_path / name, compress(as_lines(texts)))) == texts


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_members_one_after_another_are_one_file(
    tmp_path: Path, compress: Callable[[bytes], bytes]
) -> None:
    name = "x.gz" if compress is gzip.compress else "x.zst"
    content = compress(b"one\ntw") + compress(b"o\n") + compress(b"three\n")
    assert texts_of(rows_of(tmp_path / name, content)) == ["one", "two", "three"]


def test_a_large_compressed_file_is_read_whole(tmp_path: Path) -> None:
    texts = [f"sentence number {n}" for n in range(60_000)]  # more than one buffer
    for name, compress in (("x.gz", gzip.compress), ("x.zst", zstandard.compress)):
        assert texts_of(rows_of(tmp_path / name, compress(as_lines(texts)))) == texts


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("a.tsv", "tsv"),
        ("a.csv.gz", "csv"),
        ("a.b.jsonl.zst", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.parquet", "parquet"),
        ("a.txt", "text"),
        ("corpus.csv.en", "text"),
        ("a.gz", "text"),
        ("a", "text"),
        ("EXPORT.CSV", "csv"),
        ("A.Tsv.GZ", "tsv"),
    ],
)
def test_the_name_tells_the_format(name: str, found: str) -> None:
    assert format_of(Path(name)) == found


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        (b"a\nb\n", ["a", "b"]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb\r\n", ["a", "b"]),
        (b"a\n\nb\n", ["a", "", "b"]),
        (b"a\rb\nc\r\r\n", ["a\rb", "c\r"]),
        (b"\xef\xbb\xbfa\nb\n", ["a", "b"]),
        (b"a\n\xef\xbb\xbfb\n", ["a", "\ufeffb"]),
        ("a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\n".encode(), ["a\u2028b\u2029c\x85d\x0be\x0cf\x1cg"]),
        (b"", []),
        (b"\n", [""]),
    ],
)
def test_only_a_line_feed_ends_a_line(tmp_path: Path, content: bytes, texts: list[str]) -> None:
    assert texts_of(rows_of(tmp_path / "x.txt", content)) == texts


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.tsv", b"\xef\xbb\xbfsource\ttarget\r\na\tb\r\n\r\nc\td\r\n"),
        ("x.csv", b"\xef\xbb\xbfsource,target\r\na,b\r\n\r\nc,d\r\n"),
        (
            "x.jsonl",
            b'\xef\xbb\xbf{"source":"a","target":"b"}\r\n\r\n{"source":"c","target":"d"}\r\n',
        ),
    ],
)
def test_tables_take_a_bom_dos_line_ends_and_blank_lines(
    tmp_path: Path, name: str, content: bytes
) -> None:
    assert rows_of(tmp_path / name, content) == [
        Row({"source": "a", "target": "b"}),
        Row({"source": "c", "target": "d"}),
    ]


def test_csv_cells_may_hold_line_ends_commas_and_quotation_marks(tmp_path: Path) -> None:
    pairs = [("two\nlines", "a, b"), ('"', "dos\r\nlíneas"), ("a\rb", "\n")]
    assert rows_of(tmp_path / "x.csv", as_csv(pairs)) == [
        Row({"source": source, "target": target}) for source, target in pairs
    ]


@pytest.mark.parametrize("delimiter", ["\t", ","])
def test_a_carriage_return_in_a_cell_stays(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / ("x.csv" if delimiter == "," else "x.tsv")
    lines = ["source|target", "a\rb|c\r", "\rd|\r\re"]
    rows = rows_of(path, as_lines([f"{line}\r".replace("|", delimiter) for line in lines]))
    assert rows == [
        Row({"source": "a\rb", "target": "c\r"}),
        Row({"source": "\rd", "target": "\r\re"}),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.tsv", b"source\ttarget\na\tb\ncaf\xe9\tc\nd\te\n"),
        ("x.csv", b"source,target\na,b\ncaf\xe9,c\nd,e\n"),
        (
            "x.jsonl",
            b'{"source":"a","target":"b"}\n{"source":"caf\xe9","target":"c"}\n'
            b'{"source":"d","target":"e"}\n',
        ),
    ],
)
def test_a_row_that_is_not_utf8_is_undecodable_and_the_others_fine(
    tmp_path: Path, name: str, content: bytes
) -> None:
    assert rows_of(tmp_path / name, content) == [
        Row({"source": "a", "target": "b"}),
        Row({"source": "caf\ufffd", "target": "c"}, "undecodable"),
        Row({"source": "d", "target": "e"}),
    ]


def test_parquet_text_that_is_not_utf8_is_undecodable_and_the_other_rows_fine(
    tmp_path: Path,
) -> None:
    raw = pa.array([b"a", b"caf\xe9", None, b"d"], pa.binary())
    source = pa.Array.from_buffers(pa.string(), 4, raw.buffers())
    pq.write_table(pa.table({"source": source, "n": [1, 2, 3, 4]}), tmp_path / "x.parquet")
    assert list(iter_rows(tmp_path / "x.parquet")) == [
        Row({"source": "a", "n": 1}),
        Row({"source": "caf\ufffd", "n": 2}, "undecodable"),
        Row({"source": None, "n": 3}),
        Row({"source": "d", "n": 4}),
    ]


@pytest.mark.parametrize(
    "line",
    [
        rb'{"source": "\ud800", "target": "b"}',
        rb'{"source": "a", "more": {"deep": ["\udfff"]}}',
        b'{"source": "a", "more": {"deep": ["\xe9"]}}',
        b'{"source": "\xe9 \\ud800 \\udce9"}',
        b'{"sourc\xe9": "a"}',
    ],
)
def test_json_leaves_no_surrogate_anywhere(tmp_path: Path, line: bytes) -> None:
    (row,) = rows_of(tmp_path / "x.jsonl", line + b"\n")
    assert row.problem == "undecodable"
    text = json.dumps(row.values, ensure_ascii=False)
    assert text.encode().decode() == text
    assert "\ufffd" in text


def test_json_that_spells_a_character_in_two_halves_is_fine(tmp_path: Path) -> None:
    (row,) = rows_of(tmp_path / "x.jsonl", rb'{"source": "\ud83d\ude00 \u00e9"}' + b"\n")
    assert row == Row({"source": "😀 é"})


def latin1_lines(n_bad: int, n_good: int) -> bytes:
    """The good lines first."""
    return b"good\n" * n_good + b"caf\xe9\n" * n_bad


@pytest.mark.parametrize(("n_bad", "n_good"), [(9, 0), (9, 9), (10, 91), (50, 451)])
def test_a_few_undecodable_rows_are_bad_rows(tmp_path: Path, n_bad: int, n_good: int) -> None:
    rows = rows_of(tmp_path / "x.txt", latin1_lines(n_bad, n_good))
    assert [row.problem for row in rows] == [None] * n_good + ["undecodable"] * n_bad


@pytest.mark.parametrize(("n_bad", "n_good"), [(10, 0), (10, 90), (50, 450)])
def test_ten_and_a_tenth_undecodable_is_a_file_in_another_encoding(
    tmp_path: Path, n_bad: int, n_good: int
) -> None:
    path = tmp_path / "x.txt"
    path.write_bytes(latin1_lines(n_bad, n_good))
    text = refusal(path)
    assert f"{n_bad} of {n_bad + n_good} rows are not UTF-8" in text
    assert f"the first is row {n_good + 1}" in text
    assert "iconv" in text


def test_the_share_holds_for_parquet_too(tmp_path: Path) -> None:
    raw = pa.array([b"caf\xe9"] * 10, pa.binary())
    source = pa.Array.from_buffers(pa.string(), 10, raw.buffers())
    pq.write_table(pa.table({"source": source}), tmp_path / "x.parquet")
    assert "10 of 10 rows are not UTF-8" in refusal(tmp_path / "x.parquet")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", ["x.txt", "x.tsv", "x.csv", "x.jsonl"])
def test_utf16_is_refused(tmp_path: Path, encoding: str, name: str) -> None:
    path = tmp_path / name
    path.write_bytes("\ufeffsource\ttarget\na\tb\n".encode(encoding))
    assert "UTF-16" in refusal(path)
    assert "iconv -f UTF-16 -t UTF-8" in refusal(path)
    if name in ("x.tsv", "x.csv"):
        assert "UTF-16" in refusal(path, column_names)


LINES = as_lines([f"line {n} {n * 7919 % 1000}" for n in range(5000)])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("half.gz", gzip.compress(LINES, mtime=0)[:-2000]),
        ("last_byte.gz", gzip.compress(LINES, mtime=0)[:-1]),
        ("checksum.gz", gzip.compress(LINES, mtime=0)[:-8] + bytes(8)),
        ("garbage.gz", b"this is no gzip"),
        ("half.zst", zstandard.compress(LINES)[:-2000]),
        ("last_byte.zst", zstandard.compress(LINES)[:-1]),
        ("second_frame.zst", zstandard.compress(LINES) + zstandard.compress(LINES)[:-5]),
        ("garbage.zst", b"this is no zstd"),
        ("trailing.zst", zstandard.compress(LINES) + b"more"),
    ],
)
def test_a_damaged_compressed_file_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    text = refusal(path)
    assert "damaged" in text
    assert "copy the file again" in text


def test_damage_in_the_header_is_refused_by_column_names(tmp_path: Path) -> None:
    for name in ("x.tsv.gz", "x.csv.zst"):
        (tmp_path / name).write_bytes(b"garbage")
        assert "damaged" in refusal(tmp_path / name, column_names)


@pytest.mark.parametrize("content", [b"", b"this is no parquet", as_parquet(PAIRS)[:-10]])
def test_what_is_not_parquet_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(content)
    for read in (None, column_names):
        assert "not readable as Parquet" in refusal(path, read)
        assert "write it again" in refusal(path, read)


def test_a_damaged_parquet_page_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"source": [f"row {n}" for n in range(50_000)]}), path)
    content = bytearray(path.read_bytes())
    content[len(content) // 3 : len(content) // 3 + 5000] = bytes(5000)
    path.write_bytes(content)
    assert "damaged" in refusal(path)


@pytest.mark.parametrize("name", ["x.txt", "x.gz", "x.zst", "x.tsv", "x.jsonl", "x.parquet"])
def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder" / name).mkdir(parents=True)
    for read in (None, column_names):
        missing = refusal(tmp_path / name, read)
        assert missing.endswith("cannot be read (No such file or directory); check the path")
        folder = refusal(tmp_path / "folder" / name, read)
        assert folder.endswith("cannot be read (Is a directory); check the path")


@pytest.mark.parametrize(
    "line",
    [b'{"source": "a"', b"[1, 2]", b'"text"', b"5", b"null", b"plain", b"[" * 100_000],
)
def test_a_line_that_is_no_json_object_is_malformed(tmp_path: Path, line: bytes) -> None:
    rows = rows_of(tmp_path / "x.jsonl", b'{"n": 1}\n' + line + b'\n{"n": 2}\n')
    assert rows == [Row({"n": 1}), Row({}, "malformed"), Row({"n": 2})]


@pytest.mark.parametrize("delimiter", ["\t", ","])
def test_a_row_with_another_number_of_cells_is_malformed(tmp_path: Path, delimiter: str) -> None:
    lines = ["source|target", "a|b", "short", "x|y|long", "c|d"]
    path = tmp_path / ("x.csv" if delimiter == "," else "x.tsv")
    rows = rows_of(path, as_lines([line.replace("|", delimiter) for line in lines]))
    assert [row.problem for row in rows] == [None, "malformed", "malformed", None]
    assert rows[1].values == {"source": "short"}
    assert rows[2].values == {"source": "x", "target": "y"}
    assert rows[3].values == {"source": "c", "target": "d"}


@pytest.mark.parametrize("cell", ['"a" b', '"He said "hi", then left"'])
def test_a_csv_row_against_the_rules_is_malformed(tmp_path: Path, cell: str) -> None:
    content = f"source,target\na,b\n{cell},x\nc,d\n".encode()
    assert rows_of(tmp_path / "x.csv", content) == [
        Row({"source": "a", "target": "b"}),
        Row({}, "malformed"),
        Row({"source": "c", "target": "d"}),
    ]


def test_a_quotation_mark_that_is_never_closed_does_not_swallow_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b'source,target\na,b\nc,"d\ne,f\ng,h\n')
    assert "quotation mark after row 1 is never closed" in refusal(path)


def test_column_names(tmp_path: Path) -> None:
    for name, content, names in (
        ("x.tsv", as_tsv(PAIRS), ["source", "target"]),
        (
            "x.csv.gz",
            gzip.compress(b'\xef\xbb\xbf"so,urce",target\r\n', mtime=0),
            ["so,urce", "target"],
        ),
        ("x.parquet", as_parquet(PAIRS), ["source", "target"]),
        ("x.txt", b"whatever\n", ["text"]),
        ("x.jsonl", as_jsonl(PAIRS), None),
    ):
        (tmp_path / name).write_bytes(content)
        assert column_names(tmp_path / name) == names


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_bytes(b"a\tb\ta\n1\t2\t3\n")
    (tmp_path / "x.csv").write_bytes(b"a,b,a\n1,2,3\n")
    table = pa.Table.from_arrays([pa.array([1])] * 3, names=["a", "b", "a"])
    pq.write_table(table, tmp_path / "x.parquet")
    for name in ("x.tsv", "x.csv", "x.parquet"):
        path = tmp_path / name
        assert refusal(path, column_names) == f"{path}: column 'a' stands twice; rename one"


def test_a_header_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_bytes(b"")
    assert "empty: needs a first line with column names" in refusal(path, column_names)
    path.write_bytes(b"source\ttarget\tcaf\xe9\na\tb\tc\n")
    assert "first line is not UTF-8" in refusal(path, column_names)


def test_rows_come_as_a_stream(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(LINES * 50)[:-1])
    first = next(iter_rows(path))  # the damage is at the end, and nobody has gone there
    assert first.values["text"] == "line 0 0"


def test_a_time_that_python_does_not_know_is_refused(tmp_path: Path) -> None:
    after_9999 = pa.array([4 * 10**17], pa.timestamp("us"))
    pq.write_table(pa.table({"text": ["a"], "at": after_9999}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: holds a value that is too large"):
        list(iter_rows(tmp_path / "a.parquet"))
