"""Selects and renames the columns of input files. Light to import."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class ColumnSelection:
    """The columns of the input that the output has, and their names there.

    Args:
        rename: new names of columns, by old name.
        drop: new names of the columns that are left out.
        keep: new names of the columns that are not left out; None keeps all.
    """

    rename: Mapping[str, str] = dataclasses.field(default_factory=dict)
    drop: frozenset[str] = frozenset()
    keep: frozenset[str] | None = None

    @property
    def is_identity(self) -> bool:
        """Whether all columns are kept under their own names."""
        return not self.rename and not self.drop and self.keep is None

    def output_name(self, name: str) -> str | None:
        """The name of an input column in the output, or None if it is left out."""
        name = self.rename.get(name, name)
        is_kept = name not in self.drop and (self.keep is None or name in self.keep)
        return name if is_kept else None

    def output_names(self, names: Iterable[str]) -> list[str | None]:
        """The name of each input column in the output, or None if it is left out."""
        return [self.output_name(name) for name in names]

    def applied_to(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Values by the names of their columns in the output."""
        named = ((self.output_name(name), value) for name, value in values.items())
        return {name: value for name, value in named if name is not None}


ALL_COLUMNS = ColumnSelection()
"""Keeps all columns under their own names."""
