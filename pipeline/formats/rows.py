"""A row of an input file, the file formats, and the errors of reading a file."""

from __future__ import annotations

import csv
import dataclasses
import lzma
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from lingo_model import InputError
from pipeline.errors import one_line
from pipeline.formats.compression import (
    COMPRESSION_ENDINGS,
    TooLargeError,
    compression_of,
    is_compressed,
    open_bytes,
)
from pipeline.formats.signatures import (
    BILINGUAL_NAMES,
    BilingualFormat,
    JsonLayout,
    bilingual_format,
    foreign_encoding,
    foreign_kind,
    is_binary,
    is_utf8,
    json_layout,
    python_encoding,
)

Format = Literal["text", "tsv", "csv", "jsonl", "parquet"] | BilingualFormat
"""``text`` is plain text with a sentence on each line. ``moses_zip`` is a zip archive with it."""

_FORMATS: dict[str, Format] = {
    ".tsv": "tsv",
    ".tab": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonlines": "jsonl",
    ".ldjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".parq": "parquet",
    ".pq": "parquet",
}

KNOWN_FORMATS = (
    ".parquet, .jsonl, .json, .csv, .tsv and plain text such as .txt or .en; text may be "
    "compressed as .gz, .zst, .bz2 or .xz"
)
"""The endings that messages name."""

# Endings of markup, code, documents and archives. Text in them is not one sentence on each line.
# None of them is the code of a language: .cs, .pl, .sh, .ts and others are.
_REFUSED_ENDINGS = frozenset(
    (
        # translation memories, catalogues and resources
        *(".tmx", ".xlf", ".xliff", ".sdlxliff", ".mqxliff", ".tbx", ".po", ".pot", ".mo"),
        *(".gmo", ".resx"),
        *(".strings", ".stringsdict", ".xcstrings"),
        # markup, documents and subtitles
        *(".xml", ".xsd", ".xsl", ".html", ".htm", ".xhtml", ".svg", ".rss", ".md", ".markdown"),
        *(".mdx", ".rst", ".adoc", ".tex", ".ipynb", ".pdf", ".doc", ".docx", ".odt", ".rtf"),
        *(".xls", ".xlsx", ".xlsb", ".ods", ".ppt", ".pptx", ".odp", ".epub", ".mobi"),
        *(".srt", ".vtt", ".sbv", ".ttml"),
        # code and settings
        *(".py", ".js", ".jsx", ".tsx", ".css", ".scss", ".java", ".cpp", ".hpp", ".rb", ".sql"),
        *(".ps1", ".php", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf"),
        *(".properties", ".env", ".log"),
        # binary tables, archives, unknown compressions and models
        *(".orc", ".avro", ".arrow", ".feather", ".ipc", ".sqlite", ".sqlite3", ".duckdb", ".db"),
        *(".hdf5", ".h5", ".npy", ".npz", ".pkl", ".pickle", ".safetensors", ".onnx"),
        *(".zip", ".tgz", ".tbz2", ".txz", ".7z", ".rar", ".jar", ".lz4", ".snappy"),
        *(".lzma", ".lzo", ".z"),
        # media
        *(".png", ".jpg", ".jpeg", ".gif", ".webp", ".mp3", ".mp4", ".wav"),
    )
)
# The endings of formats that are told by their content only.
_BILINGUAL_ENDINGS = (".tmx", ".xlf", ".xliff", ".po", ".pot", ".mo", ".gmo", ".zip")

# Log rotation and split writers add a number: a.csv.1, a.csv-00000-of-00010.
_NUMBER = re.compile(r"\.\d+$|-\d+(?:-of-\d+)?$")

_HEAD_BYTES = 1 << 16
# A file with this many and no line feed has lines that end with carriage returns alone.
_MIN_CARRIAGE_RETURNS = 2

UNDECODABLE = "undecodable"
"""The problem of a row with bytes that are not UTF-8. They are replaced by U+FFFD."""

MALFORMED = "malformed"
"""The problem of a row that breaks the rules of its format, or has too many or too few cells."""

EMPTY = "empty"
"""The problem of a unit that does not have a text in both languages of the corpus."""

UNTRANSLATED = "untranslated"
"""The problem of a unit of a catalogue or an XLIFF file whose target is missing or empty."""

UNFINISHED = "unfinished"
"""The problem of an XLIFF unit whose state is none of the states that are used."""

FUZZY = "fuzzy"
"""The problem of an entry of a catalogue whose translation is marked as a guess."""

OBSOLETE = "obsolete"
"""The problem of an entry of a catalogue that its program no longer uses."""

NOT_TRANSLATABLE = "not_translatable"
"""The problem of an XLIFF unit that is marked as no text to translate."""

UNREADABLE_PROBLEMS = frozenset((UNDECODABLE, MALFORMED))
"""The problems that make a file an error if many of its rows have them."""

UNUSED_PROBLEMS = frozenset((EMPTY, UNTRANSLATED, UNFINISHED, FUZZY, OBSOLETE, NOT_TRANSLATABLE))
"""The problems of rows that can be read, and that are no translations to learn from."""

MAX_ROW_CHARACTERS = 1 << 26
"""The longest row that is read. A longer one is malformed, so that memory is bounded."""

MAX_TEXT_CHARACTERS = 4096
"""How much of the text of a malformed row is kept."""

_READ_ERRORS = (
    *(EOFError, zlib.error, lzma.LZMAError, csv.Error, OSError),
    *(pa.ArrowException, UnicodeDecodeError),
)


@dataclasses.dataclass(slots=True)
class Row:
    """One row of a file. Rows are equal if their values and problems are.

    Args:
        values: the cells by column name.
        problem: one of :data:`UNREADABLE_PROBLEMS` or :data:`UNUSED_PROBLEMS`, or None if the row
            is good.
        detail: why the row has its problem, such as ``3 cells, the header has 2``.
        line: the number of its first line in the uncompressed file, counted from 1. None for
            Parquet and compiled catalogues.
        n_lines: the number of lines that it takes.
        text: the beginning of a malformed row's text, as it is in the file.
        unit: the name of a translation unit in its file. None if the format or the unit has none.
    """

    values: dict[str, Any]
    problem: str | None = None
    detail: str | None = dataclasses.field(default=None, compare=False)
    line: int | None = dataclasses.field(default=None, compare=False)
    n_lines: int = dataclasses.field(default=1, compare=False)
    text: str | None = dataclasses.field(default=None, compare=False)
    unit: str | None = dataclasses.field(default=None, compare=False)


def format_of(path: Path, encoding: str | None = None) -> Format:
    """The format of a file, told by its first bytes and by its name.

    The first bytes tell Parquet, JSON, the bilingual formats, and files that are not text. The name
    tells the other formats. Text with any other ending is plain text, because aligned files end in
    the code of their language. A file that cannot be opened has the format that its name tells.

    Args:
        path: the file.
        encoding: the encoding of its text. None is UTF-8.

    Raises:
        InputError: the file is damaged, its format cannot be read, or it is not text in the
            encoding.
    """
    head = read_head(path)
    ending = _ending(path.name)
    if head.startswith(b"PAR1"):
        if is_compressed(path):
            raise InputError(
                f"{path}: is a compressed Parquet file; decompress it, because Parquet compresses "
                "its columns itself"
            )
        return "parquet"
    if encoding is not None and bilingual_format(head) is None:
        head = _head_text(head, encoding).encode()
    if foreign := foreign_kind(head):
        kind, remedy = foreign
        raise InputError(
            f"{path}: is {kind}, which cannot be read; {remedy} (known: {KNOWN_FORMATS})"
        )
    if bilingual := bilingual_format(head):
        if bilingual == "moses_zip" and is_compressed(path):
            raise InputError(f"{path}: is a compressed zip archive; decompress it once")
        return bilingual
    if _FORMATS.get(ending) == "parquet":
        return "parquet"
    _check_text(path, head)
    if ending in _REFUSED_ENDINGS:
        limit = ", unless its content is of that format" if ending in _BILINGUAL_ENDINGS else ""
        raise InputError(
            f"{path}: a file that ends in {ending} cannot be read{limit}; give its text as one of "
            f"the known formats, or rename it if it is one (known: {KNOWN_FORMATS})"
        )
    if json_layout(head, is_whole=len(head) < _HEAD_BYTES):
        return "jsonl"
    return _FORMATS.get(ending, "text")


def json_layout_of(path: Path, encoding: str | None = None) -> JsonLayout:
    """How the objects of a JSON file are arranged. ``lines`` if its beginning does not tell."""
    head = read_head(path)
    if encoding is not None:
        head = _head_text(head, encoding).encode()
    return json_layout(head, is_whole=len(head) < _HEAD_BYTES) or "lines"


def read_head(path: Path) -> bytes:
    """The first 64 KiB of a file, uncompressed. Empty if the file cannot be opened.

    Raises:
        InputError: the compressed file is damaged.
    """
    try:
        with path.open("rb"):
            pass
    except OSError:
        return b""
    with read_errors_as_input_errors(path), open_bytes(path) as stream:
        return stream.read(_HEAD_BYTES)


def head_lines(path: Path, encoding: str | None = None) -> list[str]:
    """The lines at the beginning of a text file, with their ends. The last one is whole.

    Args:
        path: the file.
        encoding: the encoding of its text. None is UTF-8.

    Raises:
        InputError: the compressed file is damaged.
    """
    head = read_head(path)
    if encoding is None:
        text = head.decode("utf-8-sig", "surrogateescape")
    else:
        text = _head_text(head, encoding)
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)  # not splitlines, which splits at U+2028 too
    return lines[:-1] if len(head) == _HEAD_BYTES else lines


def _head_text(head: bytes, encoding: str) -> str:
    """The beginning of a file that is in a named encoding, without a byte order mark."""
    return head.decode(encoding, "replace").removeprefix("\ufeff")


def _check_text(path: Path, head: bytes) -> None:
    """Check that the beginning of a file is UTF-8 text, as far as it can be told.

    Raises:
        InputError: it is compressed in a way that cannot be read, binary, or in another encoding.
    """
    if encoding := foreign_encoding(head):
        name = python_encoding(encoding, head)
        raise InputError(
            f"{path}: is {encoding[:6]}; set `encoding: {name}` of the input, or convert it with "
            f"`iconv -f {encoding} -t UTF-8`"
        )
    if compression := compression_of(head):
        raise InputError(
            f"{path}: is compressed twice, the second time with {compression}; decompress it once"
        )
    promised = COMPRESSION_ENDINGS.get(Path(path.name.lower()).suffix)
    is_text = is_utf8(head) and b"\n" in head  # text that was never compressed, or is so no longer
    if promised and head and not is_text and not is_compressed(path):
        raise InputError(f"{path}: damaged (neither {promised} nor text); copy the file again")
    if b"\n" not in head and head.rstrip(b"\r").count(b"\r") >= _MIN_CARRIAGE_RETURNS:
        raise InputError(
            f"{path}: its lines end with carriage returns alone, as on old Macs; convert them with "
            "`tr '\\r' '\\n'`"
        )
    if is_binary(head):
        raise InputError(f"{path}: is not text; give one of the known formats ({KNOWN_FORMATS})")


def _ending(name: str) -> str:
    """The last ending of a name that does not tell a compression or a number, in lower case."""
    suffixes = Path(_NUMBER.sub("", name.lower())).suffixes
    while suffixes and suffixes[-1] in COMPRESSION_ENDINGS:
        suffixes.pop()
    return _NUMBER.sub("", suffixes[-1]) if suffixes else ""


def check_is_table(path: Path, file_format: Format) -> None:
    """Check that a file has rows of its own, and not texts with their translations.

    Raises:
        InputError: it is in one of the bilingual formats.
    """
    if file_format in BILINGUAL_NAMES:
        name = BILINGUAL_NAMES[file_format]
        if file_format == "moses_zip":
            remedy = "extract its files and give those"
        else:
            remedy = "export its text as CSV, TSV, JSONL or Parquet"
        raise InputError(
            f"{path}: is {name}, which only `lingo prepare` reads, as the 'path' of an input; "
            f"{remedy} (known: {KNOWN_FORMATS})"
        )


def check_unique_names(path: Path, names: Sequence[str]) -> None:
    """Check that no two columns of a file have one name.

    Raises:
        InputError: two have.
    """
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path}: two columns are named {repeated!r}; rename one of them")


def check_readable(path: Path) -> None:
    """Check that a file can be opened.

    Raises:
        InputError: the file is missing, is a folder, or may not be read.
    """
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error


@contextmanager
def read_errors_as_input_errors(path: Path) -> Iterator[None]:
    """Turn the errors of decompression, Arrow and the csv module into errors that name the file.

    Raises:
        InputError: the file is damaged, or holds a value that Python cannot represent.
    """
    try:
        yield
    except _READ_ERRORS as error:
        reason = one_line(error)
        raise InputError(f"{path}: damaged ({reason}); copy the file again") from error
    except TooLargeError as error:
        raise InputError(f"{path}: {error}; leave the file out if you do not trust it") from error
    except OverflowError as error:  # a timestamp after the year 9999
        reason = one_line(error)
        raise InputError(
            f"{path}: holds a value that is too large ({reason}); drop its column"
        ) from error
