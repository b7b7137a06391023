"""Which columns of a table hold the source and the target, and which others a dataset keeps."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
from pyarrow import types

from lingo_model import InputError
from pipeline.formats.options import ReadOptions
from pipeline.formats.read import iter_rows
from pipeline.languages import primary_language

_N_SAMPLE_ROWS = 100
_STRUCT = "translation"  # the column of datasets on Hugging Face that holds the texts by language

KeyTree: TypeAlias = "dict[str, KeyTree]"
"""The columns of a table. Those of a struct or a JSON object have a tree of their own."""

MISSING = object()
"""What :func:`value_at` returns if a row does not have a column."""


@dataclasses.dataclass(frozen=True, slots=True)
class ColumnSettings:
    """What a corpus description says about the columns of an input.

    Args:
        source_column: the column with the sources. A dot leads into a struct or a JSON object.
        target_column: the column with the targets.
        are_given: whether the description names one of the two.
        source_lang: language tag of the sources. None if it is not known.
        target_lang: language tag of the targets. None if it is not known.
        keep: the other columns that are kept. None for all.
        drop: the other columns that are left out.
        rename: the names that other columns have in the dataset, by their names in the file.
    """

    source_column: str
    target_column: str
    are_given: bool
    source_lang: str | None
    target_lang: str | None
    keep: tuple[str, ...] | None
    drop: tuple[str, ...]
    rename: Mapping[str, str]

    @property
    def named(self) -> set[str]:
        """The other columns that the description names."""
        return {*(self.keep or ()), *self.drop, *self.rename}


@dataclasses.dataclass(frozen=True, slots=True)
class TextColumns:
    """The columns of a table with the source and the target.

    Args:
        source: the column with the sources. A dot leads into a struct or a JSON object.
        target: the column with the targets.
        are_found: whether they are not the columns that the description or the defaults name.
    """

    source: str
    target: str
    are_found: bool = False

    @property
    def names(self) -> tuple[str, str]:
        """Both columns, the source first."""
        return self.source, self.target


def text_columns(settings: ColumnSettings, tree: KeyTree) -> TextColumns:
    """The columns with the texts: those that the description names, or those of the languages.

    If the description names none, and the table does not have both columns ``source`` and
    ``target``, then the languages decide. They are looked for in a struct named ``translation``,
    as datasets on Hugging Face have it, and among the columns. In that struct, names that the
    description gives are looked for, too.

    Args:
        settings: what the description says.
        tree: the columns of the table.
    """
    given = TextColumns(settings.source_column, settings.target_column)
    in_struct = tree.get(_STRUCT, {})
    if settings.are_given:
        is_in_struct = all(
            root_of(name, tree) is None and name in in_struct for name in given.names
        )
        return _found(_STRUCT, *given.names) if is_in_struct else given
    if given.source in tree and given.target in tree:
        return given
    for struct, names in ((_STRUCT, in_struct), (None, tree)):
        source = _column_of_language(settings.source_lang, names)
        target = _column_of_language(settings.target_lang, names)
        if source is not None and target is not None and source != target:
            return _found(struct, source, target)
    return given


def _found(struct: str | None, source: str, target: str) -> TextColumns:
    prefix = "" if struct is None else f"{struct}."
    return TextColumns(prefix + source, prefix + target, are_found=True)


def _column_of_language(lang: str | None, names: Iterable[str]) -> str | None:
    """The column that is named by a language, such as ``pt-BR``, ``pt_br`` or ``pt``."""
    if lang is None:
        return None
    names = list(names)
    tag = lang.replace("_", "-").lower()
    alike = [name for name in names if name.replace("_", "-").lower() == tag] or [
        name for name in names if primary_language(name) == primary_language(lang)
    ]
    return lang if lang in names else alike[0] if len(alike) == 1 else None


def tree_of_schema(schema: pa.Schema) -> KeyTree:
    """The columns of a table by its Arrow schema."""
    return {field.name: _tree_of_type(field.type) for field in schema}


def _tree_of_type(column_type: pa.DataType) -> KeyTree:
    if not types.is_struct(column_type):
        return {}
    return {field.name: _tree_of_type(field.type) for field in column_type}


def tree_of_sample(path: Path, options: ReadOptions) -> KeyTree:
    """The keys in the first rows of a JSON file. Errors of reading are left to who reads it all."""
    tree: KeyTree = {}
    with contextlib.suppress(InputError):
        for row in itertools.islice(iter_rows(path, options), _N_SAMPLE_ROWS):
            _add_keys(tree, row.values)
    return tree


def _add_keys(tree: KeyTree, values: Mapping[str, Any]) -> None:
    for key, value in values.items():
        inner = tree.setdefault(key, {})
        if isinstance(value, dict):
            _add_keys(inner, value)


def leaf_names(tree: KeyTree) -> list[str]:
    """The columns of a table. Those in a struct or an object follow its name and a dot."""
    return [
        f"{name}.{inner}" if inner else name
        for name, below in tree.items()
        for inner in (leaf_names(below) if below else [""])
    ]


def root_of(name: str, names: Iterable[str]) -> str | None:
    """The column that a dotted name begins with. None if there is no such column.

    Args:
        name: a name. If a column has the whole of it, dots included, it is that column.
        names: the columns of the table.
    """
    names = set(names)
    for n_dots in range(name.count("."), -1, -1):
        root = ".".join(name.split(".")[: n_dots + 1])
        if root in names:
            return root
    return None


def type_at(schema: pa.Schema, name: str) -> pa.DataType | None:
    """The type of a column, or of a field in a struct. None if there is none."""
    root = root_of(name, schema.names)
    if root is None:
        return None
    column_type = schema.field(root).type
    if root == name:
        return column_type
    if types.is_map(column_type):
        return column_type.item_type
    if not types.is_struct(column_type):
        return None
    return type_at(pa.schema(list(column_type)), name.removeprefix(f"{root}."))


def value_at(values: Mapping[str, Any], name: str) -> Any:
    """The value of a column, or of a key in an object. :data:`MISSING` if there is none."""
    if name in values:
        return values[name]
    root = root_of(name, values) if "." in name else None
    if root is None:
        return MISSING
    inner = values[root]
    if isinstance(inner, list):  # a map of Parquet
        inner = dict(inner) if all(isinstance(pair, tuple) for pair in inner) else None
    if inner is None:
        return None
    if not isinstance(inner, dict):
        return MISSING
    return value_at(inner, name.removeprefix(f"{root}."))


def other_columns(
    settings: ColumnSettings, texts: TextColumns, names: Iterable[str]
) -> dict[str, str]:
    """The other columns that the dataset keeps: their names in the file, and in the dataset.

    A struct with the source or the target is left out, because it repeats the texts.

    Args:
        settings: what the description says.
        texts: the columns with the texts.
        names: the columns of the table.
    """
    names = list(names)
    roots = {root_of(column, names) for column in texts.names}
    return {
        name: settings.rename.get(name, name)
        for name in names
        if name not in roots
        and (settings.keep is None or name in settings.keep)
        and name not in settings.drop
    }


def other_keys(settings: ColumnSettings) -> dict[str, str]:
    """The other keys of JSON objects that the dataset keeps: only those that are named.

    Their types are not known before all rows are read, so they become text; see :func:`as_text`.
    """
    return {name: settings.rename.get(name, name) for name in settings.keep or ()}


def as_text(value: Any) -> str | None:
    """A JSON value as the text of a column. Values that are not text are written as JSON."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
