"""How an input file is recognised: size, modification time, ETag and digest."""

from __future__ import annotations

from typing import NamedTuple

from pipeline.settings import Settings


class FileStamp(NamedTuple):
    """What tells cheaply whether a file is still the same; ``etag`` only of an object store."""

    n_bytes: int
    modified_ns: int
    etag: str | None


class InputFile(Settings):
    """One input file as the plan saw it; ``path`` is relative to the input, ``etag`` that of an
    object store."""

    path: str
    n_bytes: int
    modified_ns: int
    etag: str | None = None
    sha256: str
    n_rows: int

    @property
    def stamp(self) -> FileStamp:
        """What tells cheaply whether the file is still the same."""
        return FileStamp(self.n_bytes, self.modified_ns, self.etag)
