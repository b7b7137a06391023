"""Reads zip archives with two aligned text files, as OPUS ships them.

Nothing is extracted. The members with the texts are found by the language at the end of their
names, such as ``Europarl.en-es.en`` and ``Europarl.en-es.es``.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lingo_model import InputError
from pipeline.errors import one_line
from pipeline.formats.compression import MAX_COMPRESSION_RATIO, MIN_BOMB_BYTES, TooLargeError
from pipeline.formats.encoding import checked_row, iter_lines
from pipeline.formats.language_tags import matching_tag
from pipeline.formats.rows import Row, read_errors_as_input_errors
from pipeline.formats.text_column import TEXT_COLUMN

_MAX_NAMED_MEMBERS = 10
_ENCRYPTED = 0x1


def moses_zip_rows(
    path: Path, source_lang: str, target_lang: str, encoding: str | None = None
) -> Iterator[Row]:
    """One row for each pair of lines.

    Args:
        path: the file.
        source_lang: language tag of the sources.
        target_lang: language tag of the targets.
        encoding: the encoding of the texts. None is UTF-8.

    Raises:
        InputError: the archive is damaged, it does not have two files of the languages, or they
            have different numbers of lines.
    """
    try:
        with read_errors_as_input_errors(path), zipfile.ZipFile(path) as archive:
            members = _members(path, archive, source_lang, target_lang)
            yield from _rows(path, archive, members, encoding)
    except (zipfile.BadZipFile, NotImplementedError, zlib.error, struct.error) as error:
        raise InputError(f"{path}: damaged ({one_line(error)}); copy the file again") from error


def _rows(
    path: Path,
    archive: zipfile.ZipFile,
    members: tuple[zipfile.ZipInfo, zipfile.ZipInfo],
    encoding: str | None,
) -> Iterator[Row]:
    with archive.open(members[0]) as source_file, archive.open(members[1]) as target_file:
        sources, targets = _lines(source_file, encoding), _lines(target_file, encoding)
        line = 0
        while True:
            source, target = next(sources, None), next(targets, None)
            if source is None and target is None:
                return
            if source is None or target is None:
                n_source = line + (source is not None) + sum(1 for _ in sources)
                n_target = line + (target is not None) + sum(1 for _ in targets)
                raise InputError(
                    f"{path}: {members[0].filename} has {n_source} lines and "
                    f"{members[1].filename} has {n_target}: aligned files need equally many; find "
                    "the line that is missing or doubled"
                )
            line += 1
            row = _checked_pair(source, target, line)
            yield row


def _lines(member: Any, encoding: str | None) -> Iterator[str]:
    return iter_lines(io.BufferedReader(member), encoding)


def _checked_pair(source: str, target: str, line: int) -> Row:
    """The row of a pair of lines. It has the problem that one of them has."""
    sides = {
        name: checked_row({TEXT_COLUMN: text}, line)
        for name, text in (("source", source), ("target", target))
    }
    bad = next((row for row in sides.values() if row.problem), sides["source"])
    values = {name: row.values[TEXT_COLUMN] for name, row in sides.items()}
    return Row(values, bad.problem, bad.detail, line, text=bad.text)


def _members(
    path: Path, archive: zipfile.ZipFile, source_lang: str, target_lang: str
) -> tuple[zipfile.ZipInfo, zipfile.ZipInfo]:
    """The members with the sources and with the targets.

    Raises:
        InputError: there is not one pair of them, or they are encrypted or a decompression bomb.
    """
    by_stem: dict[str, dict[str, zipfile.ZipInfo]] = {}
    for member in archive.infolist():
        stem, _, ending = member.filename.rpartition(".")
        if stem and not member.is_dir():
            by_stem.setdefault(stem, {})[ending] = member
    pairs = []
    for by_ending in by_stem.values():
        endings = tuple(by_ending)
        source, target = matching_tag(endings, source_lang), matching_tag(endings, target_lang)
        if source is not None and target is not None and source != target:
            pairs.append((by_ending[source], by_ending[target]))
    if len(pairs) != 1:
        names = [member.filename for member in archive.infolist() if not member.is_dir()]
        named = ", ".join(names[:_MAX_NAMED_MEMBERS]) or "nothing"
        more = len(names) - _MAX_NAMED_MEMBERS
        n_pairs = "more than one pair" if pairs else "no pair"
        raise InputError(
            f"{path}: is a zip archive with {n_pairs} of files that end in .{source_lang} and "
            f".{target_lang}; it holds {named}{f' and {more} more' if more > 0 else ''}; extract "
            "its files and give those"
        )
    for member in pairs[0]:
        _check_member(path, member)
    return pairs[0]


def _check_member(path: Path, member: zipfile.ZipInfo) -> None:
    if member.flag_bits & _ENCRYPTED:
        raise InputError(
            f"{path}: {member.filename} is encrypted; extract it and give the text files"
        )
    most = max(MIN_BOMB_BYTES, MAX_COMPRESSION_RATIO * member.compress_size)
    if member.file_size > most:
        raise TooLargeError(
            f"{member.filename} is more than {MAX_COMPRESSION_RATIO} times as long as in the "
            "archive, as in a decompression bomb"
        )
