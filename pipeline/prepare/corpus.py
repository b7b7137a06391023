"""What a corpus is made of: a description of its files, and the raw pairs they hold.

Reads: the files that a description names. Writes: nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import pyarrow as pa
from pydantic import Field, model_validator

from lingo_model import InputError
from pipeline.dataset.splits import Split
from pipeline.formats.parquet import open_parquet
from pipeline.formats.read import column_names
from pipeline.formats.rows import format_of
from pipeline.schemas import PAIRS
from pipeline.settings import Settings, load_yaml

LANGUAGE_TAG = r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]+)*$"


class CorpusInput(Settings):
    """Two aligned text files (``source``, ``target``), or one table with a column for each side.

    ``split`` is given for a file that belongs to one split; without it see ``prepare``.
    """

    source: Path | None = None
    target: Path | None = None
    path: Path | None = None
    source_column: str = "source"
    target_column: str = "target"
    split: Split | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        aligned = self.source is not None and self.target is not None and self.path is None
        table = self.path is not None and self.source is None and self.target is None
        if not (aligned or table):
            raise ValueError("give either both 'source' and 'target' files, or one 'path'")
        if self.source_column == self.target_column:
            raise ValueError("source_column and target_column are the same; give two columns")
        return self

    @property
    def files(self) -> list[Path]:
        """The files that are read, source side first."""
        return [path for path in (self.source, self.target, self.path) if path is not None]

    @property
    def name(self) -> str:
        """A name for reports: the file, or both files."""
        return "+".join(path.name for path in self.files)


class CorpusDescription(Settings):
    """Languages and files of a corpus; relative paths are relative to the description's file."""

    source_lang: str = Field(pattern=LANGUAGE_TAG)
    target_lang: str = Field(pattern=LANGUAGE_TAG)
    inputs: tuple[CorpusInput, ...] = Field(min_length=1)


def load_corpus(path: Path) -> CorpusDescription:
    """Read a description (YAML) and make its paths absolute.

    Raises:
        InputError: the file is missing or says something that is not allowed.
    """
    description = load_yaml(CorpusDescription, path)
    folder = path.resolve().parent

    def absolute(item: CorpusInput) -> CorpusInput:
        update = {
            key: folder / value
            for key, value in (
                ("source", item.source),
                ("target", item.target),
                ("path", item.path),
            )
            if value is not None
        }
        return item.model_copy(update=update)

    return description.model_copy(update={"inputs": tuple(map(absolute, description.inputs))})


def check_inputs(description: CorpusDescription) -> None:
    """Check all that can be checked before reading rows: files, columns, names of columns.

    Raises:
        InputError: a file cannot be read, or a column is not there or not text.
    """
    for item in description.inputs:
        for file in item.files:
            names = column_names(file)
            if item.path is None:
                if format_of(file) != "text":
                    raise InputError(
                        f"{file}: a {format_of(file)} file cannot be one side of aligned text; "
                        "give it as 'path' with 'source_column' and 'target_column'"
                    )
                continue
            if format_of(file) == "text":
                raise InputError(
                    f"{file}: plain text has one column; give 'source' and 'target' files"
                )
            for column in (item.source_column, item.target_column):
                _check_column(file, names, column)


def _check_column(file: Path, names: list[str] | None, column: str) -> None:
    if names is None:
        return  # JSONL: known only when a row has it; see iter_pairs
    if column not in names:
        raise InputError(
            f"{file}: has no column {column!r}: it has {', '.join(names)}; "
            "set source_column and target_column"
        )
    if format_of(file) == "parquet":
        kind = open_parquet(file).schema_arrow.field(column).type
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise InputError(f"{file}: column {column!r} is {kind}: needs text; cast it")


def extra_schema(description: CorpusDescription) -> pa.Schema:
    """Schema of the columns besides source and target, over all inputs that declare them.

    Columns of CSV and TSV are text. JSONL declares none, so its other keys are left out.

    Raises:
        InputError: two files give one column different types, or a name that is taken.
    """
    fields: dict[str, pa.Field] = {}
    for item in description.inputs:
        if item.path is None:
            continue
        if format_of(item.path) == "parquet":
            found = list(open_parquet(item.path).schema_arrow)
        else:
            found = [pa.field(name, pa.string()) for name in column_names(item.path) or []]
        for field in found:
            if field.name in (item.source_column, item.target_column):
                continue
            if field.name in PAIRS.names:
                raise InputError(
                    f"{item.path}: column {field.name!r} has a name that a dataset uses itself; "
                    "rename it"
                )
            known = fields.setdefault(field.name, field.with_nullable(True))
            if known.type != field.type:
                raise InputError(
                    f"{item.path}: column {field.name!r} is {field.type}, in another file "
                    f"{known.type}; cast one"
                )
    return pa.schema(fields.values())
