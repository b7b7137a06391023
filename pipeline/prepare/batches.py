"""Reads the rows of an input in batches, and divides inputs into chunks that are read in parallel.

Reads: the files of the inputs.
Writes: nothing.
"""

from __future__ import annotations

import dataclasses
import io
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa

from lingo_model import InputError
from pipeline.formats.compression import is_compressed, open_bytes
from pipeline.formats.encoding import NUL_DETAIL, checked_row
from pipeline.formats.rows import UNDECODABLE, read_errors_as_input_errors
from pipeline.formats.text_column import TEXT_COLUMN
from pipeline.prepare.input_names import NamedInput, NamedPart
from pipeline.prepare.pairs import RawPair, iter_pairs
from pipeline.prepare.raw_rows import (
    BATCH_ROWS,
    CHUNK_ROWS,
    Problem,
    RawBatch,
    stored_batches,
)
from pipeline.prepare.texts import SEPARATOR, Mask, TextColumn

_MAX_BATCH_CHARACTERS = 1 << 24
_BLOCK_BYTES = 1 << 20
_MAX_LINE_BYTES = 1 << 26
_MAX_SERIAL_BYTES = 1 << 23
_LINE_FEED = 10
_UTF8_MARK = b"\xef\xbb\xbf"
_REPLACEMENT = "\ufffd"


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Some rows of one part of an input, which one task reads.

    Args:
        named: the input.
        part: the part.
        rank: the position of the part in the order of reading, from 0.
        first_row: the number of the first row in the part, counted from 1.
        n_rows: the number of rows. None if the chunk is the whole part.
        offsets: where the first row begins in the source file and in the target file, in bytes.
            None if the chunk is the whole part.
        stored: the file with the rows that :func:`pipeline.prepare.raw_rows.store_rows` wrote. None
            if the chunk is read from the part's own files.
    """

    named: NamedInput
    part: NamedPart
    rank: int
    first_row: int = 1
    n_rows: int | None = None
    offsets: tuple[int, int] | None = None
    stored: Path | None = None

    @property
    def is_serial(self) -> bool:
        """Whether the chunk is a large file that only one process can read."""
        if self.offsets is not None or self.stored is not None:
            return False
        return sum(file.stat().st_size for file in self.part.part.files) > _MAX_SERIAL_BYTES


def chunks_of(named: NamedInput, part: NamedPart, rank: int) -> list[Chunk]:
    """Divide a part of an input into chunks. Aligned text that is not compressed has several.

    Raises:
        InputError: a file cannot be read, or aligned files have different numbers of lines.
    """
    source, target = part.part.source, part.part.target
    if source is None or target is None or is_compressed(source) or is_compressed(target):
        return [Chunk(named, part, rank)]
    if named.item.encoding is not None:  # its line feeds may be other bytes
        return [Chunk(named, part, rank)]
    offsets = {}
    n_lines = {}
    for file in (source, target):
        with read_errors_as_input_errors(file):
            offsets[file], n_lines[file] = _line_offsets(file)
    if n_lines[source] != n_lines[target]:
        _raise_error_of_lines(named, part)
    return [
        Chunk(
            named,
            part,
            rank,
            first_row=number * CHUNK_ROWS + 1,
            n_rows=min(CHUNK_ROWS, n_lines[source] - number * CHUNK_ROWS),
            offsets=place,
        )
        for number, place in enumerate(zip(offsets[source], offsets[target], strict=True))
    ]


def _raise_error_of_lines(named: NamedInput, part: NamedPart) -> NoReturn:
    """Raise the error of aligned files with different numbers of lines, which says where."""
    deque(iter_pairs(named.item, part.part), maxlen=0)
    raise InputError(f"{part.name}: changed while it was read; prepare it again")


def read_batches(chunk: Chunk, extra_schema: pa.Schema) -> Iterator[RawBatch]:
    """Read the rows of a chunk, in order.

    Args:
        chunk: the rows.
        extra_schema: the columns besides source and target that the dataset has.

    Raises:
        InputError: see :func:`pipeline.prepare.pairs.iter_pairs`.
    """
    part = chunk.part.part
    if chunk.stored is not None:
        yield from stored_batches(chunk.stored, extra_schema)
    elif part.source is None or part.target is None or chunk.named.item.encoding is not None:
        pairs = iter_pairs(chunk.named.item, part, origin=chunk.part.origin)
        yield from _batches_of_pairs(pairs, extra_schema)
    else:
        yield from _batches_of_lines(chunk, part.source, part.target)


def _line_offsets(file: Path) -> tuple[list[int], int]:
    """Where every ``CHUNK_ROWS``-th line of a file begins, in bytes, and the number of lines."""
    offsets = [0]
    n_lines = n_bytes = 0
    last = b"\n"
    with file.open("rb", buffering=0) as stream:
        while block := stream.read(4 * _BLOCK_BYTES):
            is_end = np.frombuffer(block, np.uint8) == _LINE_FEED
            n_ends = int(np.count_nonzero(is_end))
            if n_lines + n_ends >= len(offsets) * CHUNK_ROWS:
                ends = np.flatnonzero(is_end)
                while n_lines + n_ends >= len(offsets) * CHUNK_ROWS:
                    end = ends[len(offsets) * CHUNK_ROWS - n_lines - 1]
                    offsets.append(n_bytes + int(end) + 1)
            if n_bytes or block != _UTF8_MARK:  # a mark alone is no line
                last = block[-1:]
            n_lines += n_ends
            n_bytes += len(block)
    n_lines += last != b"\n"
    return offsets[: max(1, -(-n_lines // CHUNK_ROWS))], n_lines


def _batches_of_lines(chunk: Chunk, source: Path, target: Path) -> Iterator[RawBatch]:
    """The rows of two aligned text files."""
    with (
        read_errors_as_input_errors(source),
        open_bytes(source) as source_stream,
        read_errors_as_input_errors(target),
        open_bytes(target) as target_stream,
    ):
        if chunk.offsets is not None:
            source_stream.seek(chunk.offsets[0])
            target_stream.seek(chunk.offsets[1])
        sources = _LineReader(source, source_stream, chunk.first_row)
        targets = _LineReader(target, target_stream, chunk.first_row)
        first, n_left = chunk.first_row, chunk.n_rows
        while n_left is None or n_left > 0:
            n_wanted = BATCH_ROWS if n_left is None else min(BATCH_ROWS, n_left)
            n_source, n_target = sources.fill(n_wanted), targets.fill(n_wanted)
            if n_source != n_target:
                _raise_error_of_lines(chunk.named, chunk.part)
            if n_source == 0:
                return
            source_texts, problems = _texts_of_lines(sources.take(n_source))
            target_texts, target_problems = _texts_of_lines(targets.take(n_source))
            numbers = np.arange(first, first + n_source)
            yield RawBatch(source_texts, target_texts, numbers, numbers, target_problems | problems)
            first += n_source
            n_left = None if n_left is None else n_left - n_source


class _LineReader:
    """Reads whole lines as bytes.

    Args:
        path: the file's name, for error messages.
        stream: the uncompressed bytes, at the beginning of a line.
        first_line: the number of that line.
    """

    def __init__(self, path: Path, stream: io.BufferedReader, first_line: int) -> None:
        self._path = path
        self._stream = stream
        self._line = first_line
        self._buffer = b""
        self._ends = np.zeros(0, np.int64)
        self._is_at_end = False
        self._is_at_start = first_line == 1

    def fill(self, n_lines: int) -> int:
        """Read until that many lines are there. Returns how many are, fewer at the file's end."""
        while len(self._ends) < n_lines and not self._is_at_end:
            block = self._stream.read(_BLOCK_BYTES)
            if self._is_at_start:
                block = block.removeprefix(_UTF8_MARK)
                self._is_at_start = False
            n_open = len(self._buffer) - (int(self._ends[-1]) if len(self._ends) else 0)
            if not block:
                self._is_at_end = True
                block = b"\n" if n_open else b""
            elif n_open > _MAX_LINE_BYTES:
                raise InputError(
                    f"{self._path}: line {self._line + len(self._ends)} has more than "
                    f"{_MAX_LINE_BYTES} bytes; give a file with one sentence on each line"
                )
            ends = np.flatnonzero(np.frombuffer(block, np.uint8) == _LINE_FEED)
            self._ends = np.concatenate([self._ends, ends + (len(self._buffer) + 1)])
            self._buffer += block
        return min(n_lines, len(self._ends))

    def take(self, n_lines: int) -> bytes:
        """The next lines with their ends, of those that :meth:`fill` has read."""
        end = int(self._ends[n_lines - 1])
        lines, self._buffer = self._buffer[:end], self._buffer[end:]
        self._ends = self._ends[n_lines:] - end
        self._line += n_lines
        return lines


def _texts_of_lines(block: bytes) -> tuple[TextColumn, dict[int, Problem]]:
    """The texts of some lines, and those that are not UTF-8 or have a NUL, by position."""
    if b"\0" not in block:
        try:
            text = block.decode()
        except UnicodeDecodeError:
            pass
        else:
            if "\r" in text:
                text = text.replace("\r\n", "\n")
            return TextColumn(text.replace("\n", SEPARATOR)), {}
    texts, problems = [], {}
    for position, line in enumerate(block.split(b"\n")[:-1]):
        text = line.removesuffix(b"\r").decode("utf-8", "surrogateescape")
        row = checked_row({TEXT_COLUMN: text})
        texts.append(row.values[TEXT_COLUMN])
        if row.problem is not None:
            problems[position] = Problem(row.problem, row.detail, None)
    return TextColumn.of(texts), problems


def _batches_of_pairs(pairs: Iterable[RawPair], extra_schema: pa.Schema) -> Iterator[RawBatch]:
    """Batches of rows that were read one by one."""
    first = 1
    for rows in _groups(pairs):
        problems = {}
        for position, row in enumerate(rows):
            if row.problem is not None:
                problems[position] = Problem(row.problem, row.detail, row.text)
            elif SEPARATOR in (row.source or "") or SEPARATOR in (row.target or ""):
                problems[position] = Problem(UNDECODABLE, NUL_DETAIL, None)
        sources = [row.source for row in rows]
        targets = [row.target for row in rows]
        yield RawBatch(
            source=_column(sources),
            target=_column(targets),
            numbers=np.arange(first, first + len(rows)),
            lines=np.array([row.line or 0 for row in rows], np.int64),
            problems=problems,
            missing=(_missing(sources), _missing(targets)),
            extra=_extra_table(rows, extra_schema) if len(extra_schema) else None,
        )
        first += len(rows)


def _groups(pairs: Iterable[RawPair]) -> Iterator[list[RawPair]]:
    """Some rows at a time: few if they are long, so that memory is bounded."""
    rows: list[RawPair] = []
    n_characters = 0
    for row in pairs:
        rows.append(row)
        n_characters += len(row.source or "") + len(row.target or "")
        if len(rows) == BATCH_ROWS or n_characters >= _MAX_BATCH_CHARACTERS:
            yield rows
            rows, n_characters = [], 0
    if rows:
        yield rows


def _column(texts: list[str | None]) -> TextColumn:
    return TextColumn.of([(text or "").replace(SEPARATOR, _REPLACEMENT) for text in texts])


def _missing(texts: list[str | None]) -> Mask | None:
    return np.array([text is None for text in texts]) if None in texts else None


def _extra_table(rows: list[RawPair], schema: pa.Schema) -> pa.Table:
    columns: dict[str, list[Any]] = {
        name: [row.extra.get(name) for row in rows] for name in schema.names
    }
    return pa.Table.from_pydict(columns, schema=schema)
