"""Tells from the first bytes of a file whether it is text, and if not, what it seems to be."""

from __future__ import annotations

import json
import re
import unicodedata
from typing import Literal

BilingualFormat = Literal["tmx", "xliff", "po", "mo", "moses_zip"]
"""The formats that hold texts together with their translations."""

BILINGUAL_NAMES: dict[BilingualFormat, str] = {
    "tmx": "TMX",
    "xliff": "XLIFF",
    "po": "a gettext catalogue (.po)",
    "mo": "a gettext catalogue (.mo)",
    "moses_zip": "a zip archive",
}
"""What messages call a file in one of these formats."""

JsonLayout = Literal["lines", "array", "objects"]
"""One object on each line, one array of objects, or objects that take several lines each."""

# What a file seems to be, and what to do with it, by a pattern of its first bytes.
_EXPORT = "export its text as CSV, TSV, JSONL or Parquet"
_EXTRACT = "extract its files and give those"
_SIGNATURES: tuple[tuple[re.Pattern[bytes], str, str], ...] = tuple(
    (re.compile(pattern, re.DOTALL | re.IGNORECASE), kind, remedy)
    for pattern, kind, remedy in (
        (rb"ORC", "ORC", _EXPORT),
        (rb"Obj\x01", "Avro", _EXPORT),
        (rb"SQLite format 3\x00", "an SQLite database", _EXPORT),
        (rb".{8}DUCK", "a DuckDB database", _EXPORT),
        (rb"ARROW1|FEA1|\xff\xff\xff\xff.{2}\x00\x00\x10\x00", "Arrow", _EXPORT),
        (rb"%PDF-", "PDF", _EXPORT),
        (rb"\{\\rtf", "RTF", _EXPORT),
        (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document (.doc, .xls)", _EXPORT),
        (rb"PK\x03\x04.{0,4000}\bword/", "a Word document", _EXPORT),
        (rb"PK\x03\x04.{0,4000}\bxl/", "an Excel workbook", _EXPORT),
        (rb"PK\x03\x04.{0,4000}\bppt/", "a PowerPoint presentation", _EXPORT),
        (rb"PK\x03\x04.{26}mimetypeapplication/vnd\.oasis", "an OpenDocument file", _EXPORT),
        (rb"PK\x03\x04.{26}mimetypeapplication/epub", "an EPUB book", _EXPORT),
        (rb".{257}ustar", "a tar archive", _EXTRACT),
        (rb"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", _EXTRACT),
        (rb"Rar!\x1a\x07", "a RAR archive", _EXTRACT),
        (rb"\x04\x22\x4d\x18", "LZ4", "compress it with gzip, zstd, bzip2 or xz"),
        (rb"\xff\x06\x00\x00sNaPpY", "Snappy", "compress it with gzip, zstd, bzip2 or xz"),
        (rb"\x1f\x9d|LZIP|\x89LZO", "compressed", "compress it with gzip, zstd, bzip2 or xz"),
        (rb"\x89HDF\r\n", "HDF5", _EXPORT),
        (rb"\x93NUMPY", "a NumPy array", _EXPORT),
        (rb"\x89PNG|\xff\xd8\xff|GIF8[79]a|RIFF.{4}WEBP", "an image", _EXPORT),
        (rb"\x7fELF|MZ.\x00\x03", "a program", _EXPORT),
        (rb"version https://git-lfs", "a Git LFS pointer", "fetch it with `git lfs pull`"),
        (rb"(?:\.\./)*\.git/annex/objects/|/annex/objects/", "a git-annex pointer", "fetch it"),
        (rb"WEBVTT", "WebVTT subtitles", _EXPORT),
        (rb"\d+\r?\n\d\d:\d\d:\d\d,\d{3} --> ", "SRT subtitles", _EXPORT),
        (rb"\[Script Info\]", "ASS subtitles", _EXPORT),
        (rb"WARC/1\.", "a WARC archive", _EXPORT),
    )
)

_UTF8_MARK = b"\xef\xbb\xbf"
_XML = re.compile(rb"\s*<(?:[?]xml|!doctype|!--|(?:[\w.-]+:)?(?:tmx|xliff))[\s>-]", re.IGNORECASE)
_XML_ROOT = re.compile(rb"<(?:!doctype\s+|[\w.-]+:)?(tmx|xliff|html)[\s>/]", re.IGNORECASE)
# Their states are not XLIFF's, so their rows would be taken for finished ones.
_XLIFF_OF_A_TOOL = re.compile(rb"xmlns:(?:sdl|mq)\s*=", re.IGNORECASE)
_ZIP = re.compile(rb"PK(?:\x03\x04|\x05\x06|\x07\x08)")
_MO = re.compile(rb"\xde\x12\x04\x95|\x95\x04\x12\xde")
_PO = re.compile(
    rb"^(?:#~ )?msgid[ \t]+\"[^\n]*\n(?:(?:#~ )?\"[^\n]*\n)*"
    rb"(?:(?:#~ )?msgid_plural[^\n]*\n(?:\"[^\n]*\n)*)?(?:#~ )?msgstr(?:\[0\])?[ \t]+\"",
    re.MULTILINE,
)

# The marks of UTF-32 are first, because the little-endian one begins with that of UTF-16.
_MARKS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_UNMARKED_ENCODINGS = ("UTF-32LE", "UTF-32BE", "UTF-16LE", "UTF-16BE")
_N_CHECKED_CHARACTERS = 8192
_MAX_STRANGE_SHARE = 0.01
_MIN_CONTROL_BYTES = 10
_MAX_CONTROL_SHARE = 0.05
_N_JSON_LINES = 20
# The control characters that text files have: tab, line feed, and so on, and escape sequences.
_CONTROL_BYTES = re.compile(rb"[\x00-\x07\x0e-\x1a\x7f]")


def foreign_kind(head: bytes) -> tuple[str, str] | None:
    """What a file seems to be if it is a known format that cannot be read.

    Args:
        head: the first bytes of the uncompressed file. 4096 bytes or more are needed, unless the
            file is shorter.

    Returns:
        what it is and what to do, or None if it may be text or Parquet.
    """
    text = head.removeprefix(_UTF8_MARK)
    for pattern, kind, remedy in _SIGNATURES:
        if pattern.match(text):
            return kind, remedy
    if _XML.match(text):
        root = _root(text)
        if root == "html":
            return "HTML", _EXPORT
        if root == "xliff" and _XLIFF_OF_A_TOOL.search(text):
            return "XLIFF with the states of Trados or memoQ", "export it as TMX"
        return None if root else ("XML", _EXPORT)
    return None


def bilingual_format(head: bytes) -> BilingualFormat | None:
    """The format of a file that holds texts together with their translations.

    Args:
        head: the first bytes of the uncompressed file. XML may be in UTF-16 or UTF-32.

    Returns:
        the format, or None if it is none of them.
    """
    if _ZIP.match(head):
        return "moses_zip"
    if _MO.match(head):
        return "mo"
    text = head.removeprefix(_UTF8_MARK)
    if _PO.search(text):
        return "po"
    if encoding := foreign_encoding(head):
        text = head.decode(encoding, "replace").removeprefix("\ufeff").encode()
    if not _XML.match(text):
        return None
    match _root(text):
        case "tmx":
            return "tmx"
        case "xliff":
            return "xliff"
        case _:
            return None


def _root(xml: bytes) -> str | None:
    """The name of the outermost element of an XML file if it is TMX, XLIFF or HTML."""
    match = _XML_ROOT.search(xml)
    return match[1].decode().lower() if match else None


def foreign_encoding(head: bytes) -> str | None:
    """The encoding of text in UTF-16 or UTF-32, with or without a byte order mark.

    Args:
        head: the first bytes of the uncompressed file.

    Returns:
        the encoding's name for ``iconv``, or None.
    """
    for mark, encoding in _MARKS:
        if head.startswith(mark):
            return encoding
    if b"\0" not in head:  # line feeds and spaces have a zero byte in UTF-16 and UTF-32
        return None
    return next((name for name in _UNMARKED_ENCODINGS if _is_text_in(head, name)), None)


def python_encoding(encoding: str, head: bytes) -> str:
    """Python's name of an encoding that :func:`foreign_encoding` found, such as ``utf-16-le``."""
    marked_order = "le" if head.startswith(b"\xff\xfe") else "be"
    return f"utf-{encoding[4:6]}-{encoding[6:].lower() or marked_order}"


def is_binary(head: bytes) -> bool:
    """Whether a file has so many control bytes that it is not text."""
    n_control = len(_CONTROL_BYTES.findall(head))
    if n_control < _MIN_CONTROL_BYTES or n_control < _MAX_CONTROL_SHARE * len(head):
        return False
    return b"\0" in head or not is_utf8(head)


def json_layout(head: bytes, *, is_whole: bool) -> JsonLayout | None:
    """How JSON objects are arranged in a file, or None if it does not seem to hold JSON objects.

    Args:
        head: the first bytes of the uncompressed file.
        is_whole: whether ``head`` is the whole file.
    """
    text = head.removeprefix(_UTF8_MARK).decode("utf-8", "replace").lstrip()
    if not text.startswith(("{", "[")):
        return None
    lines = text.split("\n") if is_whole else text.split("\n")[:-1]
    lines = [line for line in lines if line.strip()][:_N_JSON_LINES]
    if lines and all(map(_is_object, lines)):
        return "lines"
    if text.startswith("["):
        first = text[1:].lstrip()
        return "array" if _begins_with_object(first) or (first == "]") else None
    if lines and _is_object(lines[0]):
        return None
    is_opened = bool(lines) and lines[0].strip() == "{" and not is_whole
    return "objects" if is_opened or _begins_with_object(text) else None


def _is_object(line: str) -> bool:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(values, dict) and bool(values)


def _begins_with_object(text: str) -> bool:
    try:
        values, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(values, dict) and bool(values)


def is_utf8(head: bytes) -> bool:
    """Whether bytes are UTF-8. The last character may be incomplete."""
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data"
    return True


def _is_text_in(head: bytes, encoding: str) -> bool:
    """Whether bytes are text in UTF-16 or UTF-32 without a byte order mark."""
    width = 4 if "32" in encoding else 2
    whole = head[: len(head) // width * width]
    try:
        text = whole.decode(encoding)
    except UnicodeDecodeError as error:
        if error.start < len(whole) - width:  # the end may be half of a surrogate pair
            return False
        text = whole[: error.start].decode(encoding)
    strange = sum(
        unicodedata.category(c) in ("Cc", "Cn", "Co", "Cs") and c not in "\t\n\r\ufeff"
        for c in text[:_N_CHECKED_CHARACTERS]
    )
    if not text or strange > _MAX_STRANGE_SHARE * min(len(text), _N_CHECKED_CHARACTERS):
        return False
    # UTF-8 text that has a NUL here and there has line feeds that are not two or four bytes wide.
    n_line_feeds = text.count("\n")
    if n_line_feeds:
        return 2 * n_line_feeds > whole.count(b"\n")
    return 2 * sum(map(str.isascii, text)) > len(text)
