"""Corpus descriptions: which files a corpus has, and which columns the files have.

Reads: a corpus description (YAML), and the headers of the files that it names.
Writes: nothing.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Self

import pyarrow as pa
from pydantic import (
    AfterValidator,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from lingo_model import InputError
from pipeline.dataset.splits import Split
from pipeline.formats.bilingual import BILINGUAL_FORMATS, BilingualOptions
from pipeline.formats.describe import FileColumns, describe_columns
from pipeline.formats.options import DEFAULT_OPTIONS, Quoting, ReadOptions
from pipeline.formats.rows import check_readable, format_of, head_lines
from pipeline.formats.text_types import is_text_type
from pipeline.lake.column_types import joined_type, writable_type
from pipeline.languages import primary_language
from pipeline.prepare.config import CleanConfig, PrepareConfig
from pipeline.prepare.input_columns import (
    ColumnSettings,
    leaf_names,
    other_columns,
    other_keys,
    text_columns,
    tree_of_schema,
    type_at,
)
from pipeline.prepare.input_files import (
    InputPart,
    LocalPaths,
    aligned_files,
    found_files,
    written_as,
)
from pipeline.schemas import PAIRS
from pipeline.settings import Settings, load_yaml, merged, parse_settings

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

_SIDES = ("source", "target", "path")
_OF_PATHS = (
    *("quoting", "delimiter", "escape", "header", "columns"),
    *("keep_columns", "drop_columns", "rename"),
)
"""The keys of an input that aligned text does not have."""

_PREPARE_SETTINGS = dict.fromkeys(
    PrepareConfig.all_keys(),
    "the settings of prepare; write it to a file of its own and give that with --config",
)


class CorpusInput(Settings):
    """One input of a corpus: aligned text files, tables, or files that hold texts and translations.

    ``source``, ``target`` and ``path`` take a file, a folder, a glob, or a list of them. After
    :func:`load_corpus` they hold the files.

    Args:
        source: text files with a source sentence on each line.
        target: text files whose lines translate those of ``source``.
        path: TSV, CSV, JSON, Parquet, TMX, XLIFF, PO or MO files, or zip archives with aligned
            text. Give either this, or ``source`` and ``target``.
        name: the name of the input in reports. None is the names of its files.
        source_column: the column of a table with the sources. A dot leads into a struct or a JSON
            object, such as ``translation.en``.
        target_column: the column of a table with the targets.
        keep_columns: the other columns of a table that the dataset keeps. None is all of TSV, CSV
            and Parquet, and none of JSON.
        drop_columns: the other columns of a table that the dataset does not keep.
        rename: names that other columns have in the dataset, by their names in the file.
        quoting: see :class:`pipeline.formats.options.ReadOptions`, also for the next five.
        delimiter: the character between the cells of a TSV or CSV file.
        escape: the character that makes the next one ordinary in a TSV or CSV file.
        header: whether the first line of a TSV or CSV file has the column names.
        columns: the column names of a TSV or CSV file without a header line.
        encoding: the encoding of text files.
        states: the states of XLIFF units that are used; see
            :class:`pipeline.formats.bilingual.BilingualOptions`.
        source_lang: language tag of the sources in the files. None is that of the corpus.
        target_lang: language tag of the targets in the files. None is that of the corpus.
        split: the split that all pairs of this input belong to. Without it they are split by hash;
            see :class:`pipeline.prepare.splitting.Splitter`.
        weight: how often a training pair of this input is seen.
        clean: the settings of ``clean`` that differ for this input; see :func:`effective_clean`.
    """

    MISPLACED: ClassVar[Mapping[str, str]] = {
        key: place
        for key, place in _PREPARE_SETTINGS.items()
        if key not in CleanConfig.model_fields
    }

    source: LocalPaths | None = None
    target: LocalPaths | None = None
    path: LocalPaths | None = None
    name: str | None = Field(default=None, min_length=1)
    source_column: str = "source"
    target_column: str = "target"
    keep_columns: tuple[str, ...] | None = None
    drop_columns: tuple[str, ...] = ()
    rename: Mapping[str, str] = Field(default_factory=dict)
    quoting: Quoting = DEFAULT_OPTIONS.quoting
    delimiter: str | None = DEFAULT_OPTIONS.delimiter
    escape: str | None = DEFAULT_OPTIONS.escape
    header: bool = DEFAULT_OPTIONS.header
    columns: tuple[str, ...] | None = DEFAULT_OPTIONS.columns
    encoding: str | None = DEFAULT_OPTIONS.encoding
    states: tuple[str, ...] | None = None
    source_lang: LanguageTag | None = None
    target_lang: LanguageTag | None = None
    split: Split | None = None
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    clean: CleanConfig | None = None

    _written_as: str | None = PrivateAttr(default=None)
    _corpus_langs: tuple[str | None, str | None] = PrivateAttr(default=(None, None))

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        aligned = self.source is not None and self.target is not None and self.path is None
        table = self.path is not None and self.source is None and self.target is None
        if not (aligned or table):
            raise ValueError("give either both 'source' and 'target' files, or one 'path'")
        if self.source_column == self.target_column:
            raise ValueError("source_column and target_column are the same; give two columns")
        if self.keep_columns is not None and self.drop_columns:
            raise ValueError("keep_columns and drop_columns exclude each other; give one of them")
        try:
            options = self.read_options
        except InputError as error:
            raise ValueError(str(error)) from error
        of_tables = options != ReadOptions(encoding=self.encoding) or self._has_columns
        if self.path is None and of_tables:
            raise ValueError(f"{', '.join(map(repr, _OF_PATHS))} are for a 'path'; leave them out")
        if self.split in ("valid", "test") and self.weight != 1:
            raise ValueError(
                f"weight={self.weight:g} is for training pairs, and the input is the "
                f"{self.split} split; leave 'weight' out"
            )
        return self

    @property
    def _has_columns(self) -> bool:
        """Whether the description names other columns than those with the texts."""
        return bool(self.keep_columns is not None or self.drop_columns or self.rename)

    @property
    def read_options(self) -> ReadOptions:
        """How the files are read if they are text or tables of text."""
        names = [field.name for field in dataclasses.fields(ReadOptions)]
        return ReadOptions(**{name: getattr(self, name) for name in names})

    @property
    def langs(self) -> tuple[str | None, str | None]:
        """The language tags of source and target in the files. None if they are not known."""
        of_corpus = self._corpus_langs
        return self.source_lang or of_corpus[0], self.target_lang or of_corpus[1]

    def of_corpus(self, source_lang: str | None, target_lang: str | None) -> CorpusInput:
        """The input with the languages of its corpus, which it has if none of its own are given."""
        item = self.model_copy()
        item._corpus_langs = source_lang, target_lang
        return item

    @property
    def bilingual_options(self) -> BilingualOptions:
        """How the files are read if they hold texts together with their translations.

        Raises:
            InputError: the input is not one of a corpus and has no languages of its own.
        """
        source_lang, target_lang = self.langs
        if source_lang is None or target_lang is None:
            raise InputError("an input has no languages; set source_lang and target_lang")
        return BilingualOptions(source_lang, target_lang, self.states, self.encoding)

    @property
    def column_settings(self) -> ColumnSettings:
        """What the description says about the columns of a table."""
        return ColumnSettings(
            source_column=self.source_column,
            target_column=self.target_column,
            are_given=bool(self.model_fields_set & {"source_column", "target_column"}),
            source_lang=self.langs[0],
            target_lang=self.langs[1],
            keep=self.keep_columns,
            drop=self.drop_columns,
            rename=self.rename,
        )

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

    @property
    def given_name(self) -> str | None:
        """The name in the description, or the globs and folders in it. None if it names files."""
        return self.name or self._written_as

    def first_parts(self, n_parts: int) -> CorpusInput:
        """The input with the files of its first parts only."""
        sides = {side: getattr(self, side) for side in _SIDES}
        return self.model_copy(
            update={side: files and files[:n_parts] for side, files in sides.items()}
        )

    def with_files(self, folder: Path) -> CorpusInput:
        """The input with the files that its paths mean.

        Args:
            folder: relative paths are relative to it.

        Raises:
            InputError: a glob or a folder has no file, or an aligned file has no partner.
        """
        given = {side: getattr(self, side) for side in _SIDES if getattr(self, side) is not None}
        found = {side: found_files(paths, folder) for side, paths in given.items()}
        if self.path is None:
            both = aligned_files(found["source"], found["target"], self.langs)
            found = dict(zip(("source", "target"), both, strict=True))
        item = self.model_copy(update=found)
        if any(len(files) > 1 for files in found.values()):
            item._written_as = "+".join(map(written_as, given.values()))
        return item


class CorpusDescription(Settings):
    """The languages and the inputs of a corpus.

    Args:
        source_lang: language tag of the sources.
        target_lang: language tag of the targets.
        inputs: one or more inputs.
    """

    MISPLACED: ClassVar[Mapping[str, str]] = _PREPARE_SETTINGS

    _folder: Path | None = PrivateAttr(None)

    source_lang: LanguageTag
    target_lang: LanguageTag
    inputs: tuple[CorpusInput, ...] = Field(min_length=1)

    @field_validator("inputs")
    @classmethod
    def _with_languages(
        cls, inputs: tuple[CorpusInput, ...], info: ValidationInfo
    ) -> tuple[CorpusInput, ...]:
        langs = info.data.get("source_lang"), info.data.get("target_lang")
        return tuple(item.of_corpus(*langs) for item in inputs)

    @property
    def folder(self) -> Path | None:
        """The folder of the file that the description was read from, or None."""
        return self._folder


def load_corpus(path: Path) -> CorpusDescription:
    """Read a corpus description, and find its files. Relative paths are relative to its folder.

    Returns:
        the description, with absolute paths of files.

    Raises:
        InputError: the file is missing or does not validate, a glob or a folder has no file, or an
            aligned file has no partner.
    """
    description = load_yaml(CorpusDescription, path)
    folder = path.resolve().parent
    try:
        inputs = tuple(item.with_files(folder) for item in description.inputs)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    loaded = description.model_copy(update={"inputs": inputs})
    loaded._folder = folder
    return loaded


def effective_clean(item: CorpusInput, config: PrepareConfig) -> CleanConfig:
    """The settings of ``clean`` for one input: its own, and for the other keys those of ``config``.

    Raises:
        InputError: the settings of both do not go together.
    """
    if item.clean is None:
        return config.clean
    values = merged(config.clean.model_dump(), item.clean.model_dump(exclude_unset=True))
    return parse_settings(CleanConfig, values, where="'clean' of an input")


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
        if item.path is not None:
            _check_one_format(item.path, item.encoding)
        columns |= {file: _columns_of(file, item) for file in item.files}
        if item.path is None:
            _check_aligned(item, columns)
        else:
            for file in item.path:
                _check_table(file, columns[file], item)
            _check_named_columns(item, columns)
    return columns


def _columns_of(file: Path, item: CorpusInput) -> FileColumns:
    check_readable(file)
    file_format = format_of(file, item.encoding)
    if file_format in BILINGUAL_FORMATS:
        return FileColumns(file_format, None)
    return describe_columns(file, item.read_options)


def _check_aligned(item: CorpusInput, columns: Mapping[Path, FileColumns]) -> None:
    for file in item.files:
        _check_side(file, columns[file])
    for part in item.parts:
        if part.source is not None and part.target is not None:
            _check_two_files(part.source, part.target)
    sources = {_identity(file): file for file in item.source or ()}
    for target in item.target or ():
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


def _check_one_format(files: Sequence[Path], encoding: str | None) -> None:
    """Refuse files of different formats, such as a description that lies among the data."""
    first_of: dict[str, Path] = {}
    unreadable = None
    for file in files:
        check_readable(file)
        try:
            first_of.setdefault(format_of(file, encoding), file)
        except InputError as error:
            unreadable = unreadable or error
    if len(first_of) + (unreadable is not None) <= 1:
        return  # whoever reads a single unreadable file gets its error
    table = next((file for name, file in first_of.items() if name != "text"), files[0])
    remedy = f"such as path: {table.parent.name}/*{table.suffix}"
    if unreadable is not None:
        raise InputError(
            f"{unreadable}; or name the files that have pairs with a pattern, {remedy}"
        ) from unreadable
    formats = ", ".join(f"{name} ({file})" for name, file in first_of.items())
    raise InputError(
        f"the files of one input have different formats: {formats}; give each format as an input "
        f"of its own, {remedy}"
    )


def _check_named_columns(item: CorpusInput, columns: Mapping[Path, FileColumns]) -> None:
    """Refuse names in ``keep_columns``, ``drop_columns`` and ``rename`` that no table has."""
    schemas = [columns[file].schema for file in item.path or ()]
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
    if item.states is not None and columns.format != "xliff":
        raise InputError(
            f"{file}: 'states' is for XLIFF, and this is {columns.format}; leave it out"
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
        for file in item.path or ():
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
