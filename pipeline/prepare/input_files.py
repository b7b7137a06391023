"""The files of one input: lists, globs and folders become parts with one or two files each.

Reads: the names in folders.
Writes: nothing.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from pipeline.storage.location import without_uris


@dataclasses.dataclass(frozen=True, slots=True)
class InputPart:
    """One table, or two aligned text files.

    Args:
        source: a text file with a source sentence on each line. None for a table.
        target: a text file whose lines translate those of ``source``. None for a table.
        path: a table. None for aligned text.
    """

    source: Path | None = None
    target: Path | None = None
    path: Path | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """The files, the source side first."""
        return tuple(path for path in (self.source, self.target, self.path) if path is not None)


def _as_paths(value: Any) -> tuple[Path, ...]:
    """One path or a list of paths, as a description gives them."""
    entries = list(value) if isinstance(value, list | tuple) else [value]
    if not entries:
        raise ValueError("is an empty list; needs one path or more")
    wrong = [entry for entry in map(without_uris, entries) if not isinstance(entry, str | Path)]
    if wrong:
        raise ValueError(
            f"{wrong[0]!r} is not a path; put it in quotes if it is the name of a file"
        )
    return tuple(map(Path, entries))


LocalPaths = Annotated[tuple[Path, ...], BeforeValidator(_as_paths)]
"""The type of a setting that holds one path of this machine or more. It is given as one or as a
list."""
