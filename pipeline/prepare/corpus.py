"""Corpus descriptions: which files a corpus has, and how they are read and cleaned.

Reads: a corpus description (YAML), and the names in the folders that it names.
Writes: nothing.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

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
from pipeline.formats.bilingual import BilingualOptions
from pipeline.formats.options import DEFAULT_OPTIONS, Quoting, ReadOptions
from pipeline.prepare.config import CleanConfig, PrepareConfig
from pipeline.prepare.input_columns import (
    ColumnSettings,
)
from pipeline.prepare.input_files import (
    CopyOf,
    InputPart,
    Locations,
    aligned_files,
    found_files,
    no_copies,
    written_as,
)
from pipeline.settings import Settings, load_yaml, merged, parse_settings
from pipeline.storage.s3 import SCHEME

LANGUAGE_TAG = r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]+)*$"
"""A pattern that accepts language tags such as ``en``, ``pt-BR`` and ``zh_Hant``."""


def _language_tag(text: str) -> str:
    if not re.fullmatch(LANGUAGE_TAG, text):
        raise ValueError("is no language tag; needs one such as en, pt-BR or zh_Hant")
    return text


LanguageTag = Annotated[str, AfterValidator(_language_tag)]
"""The type of a language tag in a corpus description."""

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

    ``source``, ``target`` and ``path`` take a file, a folder, a glob, or a list of them, on this
    machine or on S3. After :func:`load_corpus` they hold the files, those of S3 as local copies.

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
        states: the states of the units of XLIFF and PO that are used; see
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

    source: Locations | None = None
    target: Locations | None = None
    path: Locations | None = None
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
            return tuple(InputPart(path=path) for path in self.tables)
        sides = zip(self.files_of("source"), self.files_of("target"), strict=True)
        return tuple(InputPart(source=source, target=target) for source, target in sides)

    @property
    def tables(self) -> tuple[Path, ...]:
        """The files of ``path``. None for aligned text."""
        return self.files_of("path")

    def files_of(self, side: Literal["source", "target", "path"]) -> tuple[Path, ...]:
        """The files of one side.

        Raises:
            InputError: they are on S3 and were not copied.
        """
        return tuple(
            file if isinstance(file, Path) else no_copies(file)
            for file in getattr(self, side) or ()
        )

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

    def with_files(self, folder: Path, copy_of: CopyOf = no_copies) -> CorpusInput:
        """The input with the files that its paths mean.

        Args:
            folder: relative paths are relative to it.
            copy_of: gives the paths of files on S3.

        Raises:
            InputError: a glob or a folder has no file, or an aligned file has no partner.
            OSError: S3 refuses or does not answer.
        """
        given = {side: getattr(self, side) for side in _SIDES if getattr(self, side) is not None}
        found = {side: found_files(paths, folder, copy_of) for side, paths in given.items()}
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
    _copies: Path | None = PrivateAttr(None)
    _sizes: Mapping[Path, int] = PrivateAttr(default_factory=dict)

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

    def n_bytes_of(self, file: Path) -> int:
        """The size of a file, also if it is on S3 and not copied. 0 if it is missing."""
        if file in self._sizes:
            return self._sizes[file]
        return file.stat().st_size if file.is_file() else 0

    def with_uris(self, text: str) -> str:
        """A text for people, with the URIs of files on S3 in place of the paths of their copies."""
        return text if self._copies is None else text.replace(f"{self._copies}/", SCHEME)


def with_copies(
    corpus: CorpusDescription, folder: Path, sizes: Mapping[Path, int]
) -> CorpusDescription:
    """The corpus, with what is known about its files on S3.

    Args:
        corpus: the corpus.
        folder: the folder of their copies. The paths in it are bucket and key.
        sizes: the size of each file in bytes, by the path of its copy.
    """
    copied = corpus.model_copy()
    copied._copies, copied._sizes = folder, sizes
    return copied


def load_corpus(path: Path, copy_of: CopyOf = no_copies) -> CorpusDescription:
    """Read a corpus description, and find its files. Relative paths are relative to its folder.

    A corpus with files on S3 is opened with :func:`pipeline.prepare.open_corpus.open_corpus`, which
    copies them.

    Args:
        path: the file with the description.
        copy_of: gives the paths of files on S3.

    Returns:
        the description, with absolute paths of files.

    Raises:
        InputError: the file is missing or does not validate, a glob or a folder has no file, an
            aligned file has no partner, or a file is on S3 and ``copy_of`` is not given.
        OSError: S3 refuses or does not answer.
    """
    description = load_yaml(CorpusDescription, path)
    folder = path.resolve().parent
    try:
        inputs = tuple(item.with_files(folder, copy_of) for item in description.inputs)
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
