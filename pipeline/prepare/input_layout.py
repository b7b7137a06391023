"""How the files of an input are read: their format, and what becomes of their columns.

Reads: the beginning of the first file of each input.
Writes: nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
from pathlib import Path

from lingo_model import InputError
from pipeline.formats.bilingual import BILINGUAL_FORMATS
from pipeline.formats.compression import compression_of
from pipeline.formats.delimited import delimiter_of
from pipeline.formats.describe import describe_columns
from pipeline.formats.options import ReadOptions
from pipeline.formats.read import iter_rows
from pipeline.formats.rows import Format, Row, check_readable, format_of, head_lines
from pipeline.prepare.corpus import CorpusInput
from pipeline.prepare.input_columns import (
    KeyTree,
    TextColumns,
    leaf_names,
    other_columns,
    other_keys,
    text_columns,
    tree_of_sample,
    tree_of_schema,
)
from pipeline.prepare.input_names import NamedInput

_N_SAMPLE_ROWS = 1000
_SIGNATURE_BYTES = 16


@dataclasses.dataclass(frozen=True)
class InputLayout:
    """How the first file of an input is read, and with it the others.

    Args:
        format: the format.
        compression: the compression of the whole file. None if there is none.
        encoding: the encoding. None if the format has one of its own.
        delimiter: the character between cells. None unless the file is TSV or CSV.
        quoting: ``quoted`` if cells may be in quotation marks, ``unquoted`` if the marks are text,
            or ``no quotation marks``. None unless the file is TSV or CSV.
        columns: the columns, those in structs and objects with a dotted name.
        source: the column with the sources. None if the format has no columns.
        target: the column with the targets. None if the format has no columns.
        are_found: whether both columns are other ones than the description or the defaults name.
        kept: the other columns that the dataset keeps: names in the file, and in the dataset.
        left_out: the other columns that it does not keep.
    """

    format: Format
    compression: str | None
    encoding: str | None
    delimiter: str | None = None
    quoting: str | None = None
    columns: tuple[str, ...] = ()
    source: str | None = None
    target: str | None = None
    are_found: bool = False
    kept: dict[str, str] = dataclasses.field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def layout_of(item: CorpusInput) -> InputLayout:
    """How the first file of an input is read.

    Raises:
        InputError: the file cannot be read.
    """
    file = item.files[0]
    check_readable(file)
    file_format = format_of(file, item.encoding)
    layout = InputLayout(
        format=file_format,
        compression=_compression(file),
        encoding=item.encoding or ("UTF-8" if _is_text(file_format) else None),
    )
    if file_format == "text" or file_format in BILINGUAL_FORMATS:
        return layout
    options, settings = item.read_options, item.column_settings
    if file_format == "jsonl":
        tree = tree_of_sample(file, options)
        texts = text_columns(settings, tree)
        return _with_columns(layout, tree, texts, other_keys(settings))
    schema = describe_columns(file, options).schema
    tree = tree_of_schema(schema) if schema is not None else {}
    texts = text_columns(settings, tree)
    layout = _with_columns(layout, tree, texts, other_columns(settings, texts, tree))
    if file_format == "csv" or file_format == "tsv":
        return dataclasses.replace(
            layout,
            delimiter=delimiter_of(file, file_format, options),
            quoting=_quoting(file, options),
        )
    return layout


def _is_text(file_format: Format) -> bool:
    return file_format in ("text", "tsv", "csv", "jsonl")


def _compression(file: Path) -> str | None:
    with file.open("rb") as stream:
        return compression_of(stream.read(_SIGNATURE_BYTES))


def _with_columns(
    layout: InputLayout, tree: KeyTree, texts: TextColumns, kept: dict[str, str]
) -> InputLayout:
    columns = leaf_names(tree)
    used = {*texts.names, *kept}
    left_out = [
        name for name in columns if name not in used and not name.startswith(_prefixes(kept))
    ]
    return dataclasses.replace(
        layout,
        columns=tuple(columns),
        source=texts.source,
        target=texts.target,
        are_found=texts.are_found,
        kept=kept,
        left_out=tuple(left_out),
    )


def _prefixes(names: dict[str, str]) -> tuple[str, ...]:
    return tuple(f"{name}." for name in names)


def _quoting(file: Path, options: ReadOptions) -> str:
    """Whether cells of a TSV or CSV file are read as quoted, told by its beginning."""
    if not any('"' in line for line in head_lines(file, options.encoding)):
        return "no quotation marks"
    as_read = _first_rows(file, options)
    unquoted = _first_rows(file, dataclasses.replace(options, quoting="none"))
    return "unquoted" if as_read == unquoted else "quoted"


def _first_rows(file: Path, options: ReadOptions) -> list[Row]:
    rows: list[Row] = []
    with contextlib.suppress(InputError):  # whoever reads all rows gets the error
        rows.extend(itertools.islice(iter_rows(file, options), _N_SAMPLE_ROWS))
    return rows


def layout_notes(named: NamedInput) -> list[str]:
    """What a user should know about the columns of an input that no setting says.

    Raises:
        InputError: the first file of the input cannot be read.
    """
    layout = layout_of(named.item)
    notes = []
    if layout.are_found:
        notes.append(
            f"{named.name}: the sources are read from column {layout.source!r} and the targets "
            f"from {layout.target!r}"
        )
    if layout.format == "jsonl" and named.item.keep_columns is None and layout.left_out:
        notes.append(
            f"{named.name}: keys that are not kept: {', '.join(layout.left_out)}; name those to "
            "keep in keep_columns"
        )
    return notes
