"""A location is a path on this machine or an ``s3://`` URI."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from lingo_model import InputError
from pipeline.storage.file_version import FileStamp
from pipeline.storage.s3 import SCHEME, S3Path

Location = Path | S3Path
"""A file or folder, on this machine or on S3."""


def absolute(place: Location) -> Location:
    """A place by its whole path; a link that points elsewhere each night is one place."""
    return place if isinstance(place, S3Path) else Path(os.path.normpath(place.absolute()))


def location(text: str | Location) -> Location:
    """What a path or ``s3://`` URI names.

    Raises:
        InputError: another scheme, or a URI without a bucket.
    """
    if isinstance(text, S3Path | Path):
        return text
    if text.startswith(SCHEME):
        try:
            return S3Path.parse(text)
        except ValueError as error:
            raise InputError(str(error)) from error
    if "://" in text:
        raise InputError(f"{text!r}: needs a path of this machine, or s3://BUCKET/FOLDER")
    return Path(text)


LocationField = Annotated[
    Location, BeforeValidator(location), WithJsonSchema({"type": "string", "format": "path"})
]
"""A location among settings and parameters, where it comes as text."""


def stamp_of(path: Location) -> FileStamp | None:
    """What tells cheaply whether a file is still the same, or None where there is none."""
    if isinstance(path, S3Path):
        return path.stamp()
    try:
        status = path.stat()
    except OSError:
        return None
    return FileStamp(status.st_size, status.st_mtime_ns, None)


def files_in(folder: Location, pattern: str) -> list[Location]:
    """What is in a folder by a pattern such as ``part-*.parquet``, sorted."""
    return sorted(folder.glob(pattern))


def names_below(folder: Location) -> set[str]:
    """Every file below a folder, by its path from there; on S3 by few calls, however many."""
    if isinstance(folder, S3Path):
        return set(folder.files())
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def remove_tree(path: Location) -> None:
    """Remove a folder and all that is in it; one that is not there is well."""
    if isinstance(path, S3Path):
        path.remove_tree()
    elif path.exists():
        shutil.rmtree(path)
