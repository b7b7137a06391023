"""Corpus descriptions: which files a corpus has, and which columns the files have.

Reads: a corpus description (YAML), and the headers of the files that it names.
Writes: nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Self

import pyarrow as pa
from pydantic import AfterValidator, Field, model_validator

from lingo_model import InputError
from pipeline.dataset.splits import Split
from pipeline.formats.describe import FileColumns, describe_columns
from pipeline.formats.options import DEFAULT_OPTIONS, Quoting, ReadOptions
from pipeline.formats.rows import format_of, head_lines
from pipeline.formats.text_types import is_text_type
from pipeline.prepare.config import PrepareConfig
from pipeline.prepare.input_files import InputPart, LocalPaths
from pipeline.schemas import PAIRS
from pipeline.settings import Settings, load_yaml

LANGUAGE_TAG = r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]+)*$"
"""A pattern that accepts language tags such as ``en``, ``pt-BR`` and ``zh_Hant``."""


def _language_tag(text: str) -> str:
    if not re.fullmatch(LANGUAGE_TAG, text):
        raise ValueError("is no language tag; needs one such as en, pt-BR or zh_Hant")
    return text


# A column name of so many words is text.
_MIN_WORDS_OF_TEXT = 3

LanguageTag = Annotated[str, AfterValidator(_language_tag)]
"""The type of a language tag in a corpus description."""

_DELIMITERS = ";|\t,"  # those that programs write

_PREPARE_SETTINGS = dict.fromkeys(
    PrepareConfig.all_keys(),
    "the settings of prepare; write it to a file of its own and give that with --config",
)


class CorpusInput(Settings):
    """One input of a corpus: two aligned text files, or one table.

    Args:
        source: a text file with a source sentence on each line.
        target: a text file whose lines translate those of ``source``.
        path: a TSV, CSV, JSON or Parquet file. Give either this, or ``source`` and ``target``.
        source_column: the column of ``path`` with the sources.
        target_column: the column of ``path`` with the targets.
        quoting: whether cells of a TSV or CSV file may be in quotation marks; see
            :class:`pipeline.formats.options.ReadOptions`.
        delimiter: the character between the cells of a TSV or CSV file. None is a tab for TSV and a
            comma for CSV.
        split: the split that all pairs of this input belong to. Without it they are split by hash;
            see :class:`pipeline.prepare.splitting.Splitter`.
    """

    MISPLACED: ClassVar[Mapping[str, str]] = _PREPARE_SETTINGS

    source: LocalPaths | None = None
    target: LocalPaths | None = None
    path: LocalPaths | None = None
    source_column: str = "source"
    target_column: str = "target"
    quoting: Quoting = DEFAULT_OPTIONS.quoting
    delimiter: str | None = DEFAULT_OPTIONS.delimiter
    split: Split | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        aligned = self.source is not None and self.target is not None and self.path is None
        table = self.path is not None and self.source is None and self.target is None
        if not (aligned or table):
            raise ValueError("give either both 'source' and 'target' files, or one 'path'")
        if self.source_column == self.target_column:
            raise ValueError("source_column and target_column are the same; give two columns")
        try:
            options = self.read_options
        except InputError as error:
            raise ValueError(str(error)) from error
        if self.path is None and options != DEFAULT_OPTIONS:
            raise ValueError("'quoting' and 'delimiter' are for a 'path'; leave them out")
        return self

    @property
    def read_options(self) -> ReadOptions:
        """How the file is read if it is TSV or CSV."""
        return ReadOptions(quoting=self.quoting, delimiter=self.delimiter)

    @property
    def parts(self) -> tuple[InputPart, ...]:
        """The tables of this input, or its pairs of aligned files, in the order of reading."""
        if self.path is not None:
            return tuple(InputPart(path=path) for path in self.path)
        sides = zip(self.source or (), self.target or (), strict=True)
        return tuple(InputPart(source=source, target=target) for source, target in sides)

    @property
    def files(self) -> list[Path]:
        """The files of all parts. In a part the source side is first."""
        return [file for part in self.parts for file in part.files]


class CorpusDescription(Settings):
    """The languages and the inputs of a corpus.

    Args:
        source_lang: language tag of the sources.
        target_lang: language tag of the targets.
        inputs: one or more inputs.
    """

    MISPLACED: ClassVar[Mapping[str, str]] = _PREPARE_SETTINGS

    source_lang: LanguageTag
    target_lang: LanguageTag
    inputs: tuple[CorpusInput, ...] = Field(min_length=1)


def load_corpus(path: Path) -> CorpusDescription:
    """Read a corpus description. Relative paths in it are relative to its folder.

    Returns:
        the description, with absolute paths.

    Raises:
        InputError: the file is missing or does not validate.
    """
    description = load_yaml(CorpusDescription, path)
    folder = path.resolve().parent

    def absolute(item: CorpusInput) -> CorpusInput:
        update = {
            key: tuple(folder / path for path in value)
            for key, value in (
                ("source", item.source),
                ("target", item.target),
                ("path", item.path),
            )
            if value is not None
        }
        return item.model_copy(update=update)

    return description.model_copy(update={"inputs": tuple(map(absolute, description.inputs))})


def check_inputs(description: CorpusDescription) -> dict[Path, FileColumns]:
    """Check everything that can be checked before rows are read: files, columns and their types.

    Returns:
        the columns of every file, for :func:`extra_schema`.

    Raises:
        InputError: a file cannot be read, has the wrong format, or lacks a column of text.
    """
    columns: dict[Path, FileColumns] = {}
    for item in description.inputs:
        for part in item.parts:
            for file in part.files:
                columns[file] = describe_columns(file, item.read_options)
                if part.path is None:
                    _check_side(file, columns[file])
                else:
                    _check_table(file, columns[file], item)
            if part.source is not None and part.target is not None:
                _check_two_files(part.source, part.target)
    return columns


def _check_two_files(source: Path, target: Path) -> None:
    """Refuse one file as both sides, also under two names, by a link or a path such as ``./a``."""
    if source.samefile(target):
        names = source if source == target else f"{source} and {target}"
        raise InputError(
            f"{names}: 'source' and 'target' are the same file; give two aligned text files, or a "
            "table as 'path'"
        )


def _check_side(file: Path, columns: FileColumns) -> None:
    if columns.format != "text":
        raise InputError(
            f"{file}: a {columns.format} file cannot be one side of aligned text; "
            "give it as 'path' with 'source_column' and 'target_column'"
        )


def _check_table(file: Path, columns: FileColumns, item: CorpusInput) -> None:
    if columns.format == "text":
        raise InputError(
            f"{file}: plain text has one column; give 'source' and 'target' files, or a table that "
            f"ends in .tsv, .csv, .jsonl, .json or .parquet{_table_hint(file)}"
        )
    if columns.schema is None:
        return  # JSONL: iter_pairs looks for the columns in the rows
    for column in (item.source_column, item.target_column):
        if column not in columns.schema.names:
            raise InputError(
                f"{file}: has no column {column!r}; its columns are "
                f"{', '.join(columns.schema.names)}; set source_column and target_column"
                f"{_delimiter_hint(columns)}{_header_hint(columns)}"
            )
        kind = columns.schema.field(column).type
        if not is_text_type(kind):
            raise InputError(f"{file}: column {column!r} is {kind}, not text; cast it to string")


def _table_hint(file: Path) -> str:
    """Which table a plain text file seems to be."""
    lines = head_lines(file)
    if lines and all("\t" in line for line in lines):
        return "; its lines have tabs, so rename it to .tsv if the first line has the column names"
    return ""


def _header_hint(columns: FileColumns) -> str:
    """What to do if the first line of a TSV or CSV file seems to be a row."""
    if columns.schema is None or columns.format not in ("csv", "tsv"):
        return ""
    if not any(len(name.split()) >= _MIN_WORDS_OF_TEXT for name in columns.schema.names):
        return ""
    return "; if the first line is a row, add a line with the column names before it"


def _delimiter_hint(columns: FileColumns) -> str:
    """Which other delimiter the only column of a TSV or CSV file seems to have."""
    if columns.schema is None or columns.format not in ("csv", "tsv") or len(columns.schema) > 1:
        return ""
    delimiter = next((c for c in _DELIMITERS if c in columns.schema.names[0]), None)
    return "" if delimiter is None else f", or delimiter: {json.dumps(delimiter)}"


def _copy_without(path: Path, column: str) -> str:
    """The command that drops a column of a Parquet file. DuckDB reads other formats differently."""
    if format_of(path) != "parquet":
        return ""
    query = f"COPY (SELECT * EXCLUDE ({column}) FROM '{path}') TO 'copy.parquet'"
    return f', for example with: lingo sql "{query}"'


def extra_schema(description: CorpusDescription, columns: Mapping[Path, FileColumns]) -> pa.Schema:
    """The columns besides source and target, over all tables.

    Columns of CSV and TSV files are text. Keys of JSONL files are left out, because their types are
    not known before the rows are read.

    Args:
        description: the corpus.
        columns: the columns of its files, from :func:`check_inputs`.

    Raises:
        InputError: two files give a column different types, or a column has a name that PAIRS uses.
    """
    fields: dict[str, pa.Field] = {}
    tables = [(item, path) for item in description.inputs for path in item.path or ()]
    for item, path in tables:
        for field in columns[path].schema or ():
            if field.name in (item.source_column, item.target_column):
                continue
            if field.name in PAIRS.names:
                raise InputError(
                    f"{path}: column {field.name!r} has a name that the dataset uses; "
                    "rename or drop the column in a copy of the file"
                    + _copy_without(path, field.name)
                )
            known = fields.setdefault(field.name, field.with_nullable(True))
            if known.type != field.type:
                raise InputError(
                    f"{path}: column {field.name!r} is {field.type} but {known.type} in "
                    "another file; cast one of them"
                )
    return pa.schema(fields.values())
