"""How an input file is recognised: size, modification time, ETag and digest."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import Field

from pipeline.settings import Settings


class FileStamp(NamedTuple):
    """A cheap sign of whether a file has changed: an equal stamp is taken for an equal file.

    Attributes:
        n_bytes: the file's size.
        modified_ns: modification time, in nanoseconds since 1970.
        etag: the object store's hash of the content; None on a disk.
    """

    n_bytes: int
    modified_ns: int
    etag: str | None


class InputFile(Settings):
    """One input file as the plan saw it."""

    path: str = Field(description="relative to the input")
    n_bytes: int
    modified_ns: int
    etag: str | None = Field(default=None, description="null for a file on a disk")
    sha256: str
    n_rows: int

    @property
    def stamp(self) -> FileStamp:
        """The stamp that the file had when the plan saw it."""
        return FileStamp(self.n_bytes, self.modified_ns, self.etag)
