"""The checks of a corpus that need only the beginning of each file.

Reads: the headers of the files that a corpus description names.
Writes: nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from lingo_model import InputError
from pipeline.formats.bilingual import BILINGUAL_FORMATS, FORMATS_WITH_STATES
from pipeline.formats.describe import FileColumns, describe_columns
from pipeline.formats.rows import Format, check_readable, format_of, head_lines
from pipeline.formats.text_types import is_text_type
from pipeline.lake.column_types import joined_type, writable_type
from pipeline.languages import primary_language
from pipeline.prepare.corpus import CorpusDescription, CorpusInput
from pipeline.prepare.input_columns import (
    leaf_names,
    other_columns,
    other_keys,
    text_columns,
    tree_of_schema,
    type_at,
)
from pipeline.schemas import PAIRS

# A column name of so many words is text.
_MIN_WORDS_OF_TEXT = 3

_DELIMITERS = ";|\t,"  # those that programs write


def check_inputs(description: CorpusDescription) -> dict[Path, FileColumns]:
    """Check everything that can be checked before rows are read: files, columns and their types.

    Returns:
        the columns of every file, for :func:`extra_schema`.

    Raises:
        InputError: a file cannot be read, has the wrong format, or lacks a column of text, or the
            tables of an input have different formats.
    """
    columns: dict[Path, FileColumns] = {}
    for item in description.inputs:
        formats = _formats_of(item)
        columns |= {file: _columns_of(file, formats[file], item) for file in item.files}
        if item.path is None:
            _check_aligned(item, columns)
        else:
            for file in item.tables:
                _check_table(file, columns[file], item)
            _check_named_columns(item, columns)
    return columns


def _columns_of(file: Path, file_format: Format, item: CorpusInput) -> FileColumns:
    if file_format in BILINGUAL_FORMATS:
        return FileColumns(file_format, None)
    return describe_columns(file, item.read_options)


def _check_aligned(item: CorpusInput, columns: Mapping[Path, FileColumns]) -> None:
    for file in item.files:
        _check_side(file, columns[file])
    for part in item.parts:
        if part.source is not None and part.target is not None:
            _check_two_files(part.source, part.target)
    sources = {_identity(file): file for file in item.files_of("source")}
    for target in item.files_of("target"):
        if (source := sources.get(_identity(target))) is not None:
            also = "" if source == target else f", there as {source}"
            raise InputError(
                f"{target}: is among the files of 'source' and of 'target'{also}; give the files "
                "of one language as 'source' and those of the other as 'target'"
            )


def _identity(file: Path) -> tuple[int, int]:
    """The file that a path or a link leads to."""
    status = file.stat()
    return status.st_dev, status.st_ino


def _formats_of(item: CorpusInput) -> dict[Path, Format]:
    """The format of each file of an input, which is one for all tables.

    Raises:
        InputError: a file cannot be read, or tables have different formats, because other files
            lie among the data.
    """
    formats: dict[Path, Format] = {}
    unreadable = None
    for file in item.files:
        check_readable(file)
        try:
            formats[file] = format_of(file, item.encoding)
        except InputError as error:
            unreadable = unreadable or error
    if item.path is not None:
        _check_one_format(item.tables, formats, unreadable)
    if unreadable is not None:
        raise unreadable
    return formats


def _check_one_format(
    files: Sequence[Path], formats: Mapping[Path, Format], unreadable: InputError | None
) -> None:
    first_of: dict[Format, Path] = {}
    for file, file_format in formats.items():
        first_of.setdefault(file_format, file)
    if len(first_of) + (unreadable is not None) <= 1:
        return
    table = next((file for name, file in first_of.items() if name != "text"), files[0])
    remedy = f"such as path: {table.parent.name}/*{table.suffix}"
    if unreadable is not None:
        raise InputError(
            f"{unreadable}; or name the files that have pairs with a pattern, {remedy}"
        ) from unreadable
    named = ", ".join(f"{name} ({file})" for name, file in first_of.items())
    raise InputError(
        f"the files of one input have different formats: {named}; give each format as an input "
        f"of its own, {remedy}"
    )


def _check_named_columns(item: CorpusInput, columns: Mapping[Path, FileColumns]) -> None:
    """Refuse names in ``keep_columns``, ``drop_columns`` and ``rename`` that no table has."""
    schemas = [columns[file].schema for file in item.tables]
    names = dict.fromkeys(name for schema in schemas if schema is not None for name in schema.names)
    if None in schemas:  # the keys of JSON are not known
        return
    for key in ("keep_columns", "drop_columns", "rename"):
        for name in getattr(item, key) or ():
            if name not in names:
                raise InputError(
                    f"{item.files[0]}: {key} names a column {name!r} that the table does not have; "
                    f"its columns are {', '.join(names)}"
                )


def _check_two_files(source: Path, target: Path) -> None:
    """Refuse one file as both sides, also under two names, by a link or a path such as ``./a``."""
    if source.samefile(target):
        names = source if source == target else f"{source} and {target}"
        raise InputError(
            f"{names}: 'source' and 'target' are the same file; give two aligned text files, or a "
            "table as 'path'"
        )


def _check_side(file: Path, columns: FileColumns) -> None:
    if columns.format == "text":
        return
    has_columns = columns.format not in BILINGUAL_FORMATS
    raise InputError(
        f"{file}: a {columns.format} file cannot be one side of aligned text; give it as 'path'"
        + (" with 'source_column' and 'target_column'" if has_columns else "")
    )


def _check_table(file: Path, columns: FileColumns, item: CorpusInput) -> None:
    if columns.format == "text":
        raise InputError(
            f"{file}: plain text has one column; give 'source' and 'target' files, or a table that "
            f"ends in .tsv, .csv, .jsonl, .json or .parquet{_table_hint(file, item.encoding)}"
        )
    if columns.format in BILINGUAL_FORMATS:
        _check_bilingual(file, columns, item)
    if item.states is not None and columns.format not in FORMATS_WITH_STATES:
        raise InputError(
            f"{file}: 'states' is for XLIFF and PO, and this is {columns.format}; leave it out"
        )
    if columns.schema is None:
        return  # JSONL: iter_pairs looks for the columns in the rows
    texts = text_columns(item.column_settings, tree_of_schema(columns.schema))
    for column in texts.names:
        kind = type_at(columns.schema, column)
        if kind is None:
            raise InputError(
                f"{file}: has no column {column!r}; its columns are "
                f"{', '.join(leaf_names(tree_of_schema(columns.schema)))}; set source_column and "
                f"target_column{_delimiter_hint(columns)}{_header_hint(columns)}"
            )
        if not is_text_type(kind):
            raise InputError(f"{file}: column {column!r} is {kind}, not text; cast it to string")


def _check_bilingual(file: Path, columns: FileColumns, item: CorpusInput) -> None:
    """Refuse settings of columns, apart from columns that are named by the languages."""
    given = {"source_column": item.langs[0], "target_column": item.langs[1]}
    wrong = [key for key in ("keep_columns", "drop_columns", "rename") if getattr(item, key)]
    for key, lang in given.items():
        is_default = getattr(item, key) == CorpusInput.model_fields[key].default
        if not is_default and primary_language(getattr(item, key)) != primary_language(lang or ""):
            wrong.append(key)
    if wrong:
        raise InputError(
            f"{file}: a {columns.format} file has no columns, so {wrong[0]} cannot be used; leave "
            "it out, and set source_lang and target_lang if the file has other language tags"
        )


def _table_hint(file: Path, encoding: str | None) -> str:
    """Which table a plain text file seems to be."""
    lines = head_lines(file, encoding)
    if lines and all("\t" in line for line in lines):
        return "; its lines have tabs, so rename it to .tsv if the first line has the column names"
    return ""


def _header_hint(columns: FileColumns) -> str:
    """What to do if the first line of a TSV or CSV file seems to be a row."""
    if columns.schema is None or columns.format not in ("csv", "tsv"):
        return ""
    if not any(len(name.split()) >= _MIN_WORDS_OF_TEXT for name in columns.schema.names):
        return ""
    return (
        "; if the first line is a row, name the columns with columns: [source, target], in their "
        "order in the file"
    )


def _delimiter_hint(columns: FileColumns) -> str:
    """Which other delimiter the only column of a TSV or CSV file seems to have."""
    if columns.schema is None or columns.format not in ("csv", "tsv") or len(columns.schema) > 1:
        return ""
    delimiter = next((c for c in _DELIMITERS if c in columns.schema.names[0]), None)
    return "" if delimiter is None else f", or delimiter: {json.dumps(delimiter)}"


def extra_schema(description: CorpusDescription, columns: Mapping[Path, FileColumns]) -> pa.Schema:
    """The columns besides source and target, over all tables.

    Columns of CSV and TSV files and keys of JSON files are text. A column that has different types
    in two files gets the narrowest type that holds all values of both.

    Args:
        description: the corpus.
        columns: the columns of its files, from :func:`check_inputs`.

    Raises:
        InputError: no type holds the values that two files give a column, or a column has a name
            that PAIRS uses.
    """
    fields: dict[str, pa.Field] = {}
    first_file: dict[str, Path] = {}
    for item in description.inputs:
        for file in item.tables:
            old_of: dict[str, str] = {}
            for old, field in _other_fields(item, columns[file]):
                if field.name in PAIRS.names:
                    raise InputError(_taken_name(file, old, field.name))
                if field.name in old_of:
                    raise InputError(
                        f"{file}: rename gives the columns {old_of[field.name]!r} and {old!r} one "
                        f"name, {field.name!r}; rename one of them to another name"
                    )
                old_of[field.name] = old
                known = fields.setdefault(field.name, field)
                origin = first_file.setdefault(field.name, file)
                joined = joined_type(known.type, field.type)
                if joined is None:
                    raise InputError(
                        f"{file}: column {old!r} is {field.type} but {known.type} in {origin}; "
                        f"leave it out with drop_columns: [{old}], or give it another name with "
                        f"rename: {{{old}: {old}_2}}"
                    )
                fields[field.name] = known.with_type(joined)
    return pa.schema(fields.values())


def _other_fields(item: CorpusInput, columns: FileColumns) -> Iterator[tuple[str, pa.Field]]:
    """The other columns of a table that the dataset keeps, with their names in the file."""
    settings = item.column_settings
    if columns.format == "jsonl":
        for old, new in other_keys(settings).items():
            yield old, pa.field(new, pa.string())
    if columns.schema is None:
        return
    texts = text_columns(settings, tree_of_schema(columns.schema))
    for old, new in other_columns(settings, texts, columns.schema.names).items():
        field = columns.schema.field(old).with_name(new).with_nullable(True)
        yield old, field.with_type(writable_type(field.type))


def _taken_name(file: Path, old: str, new: str) -> str:
    """What to do if a column has a name that the dataset uses."""
    if old != new:
        return f"{file}: rename gives column {old!r} the name {new!r}, which the dataset uses"
    return (
        f"{file}: column {old!r} has a name that the dataset uses; leave it out with "
        f"drop_columns: [{old}], or give it another name with rename: {{{old}: input_{old}}}"
    )
