"""A location is a path on this machine or an ``s3://`` URI.

Some files and folders must be on this machine. :func:`local_path` refuses a URI for them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from lingo_model import InputError
from pipeline.storage.s3 import SCHEME, S3Path

Location = Path | S3Path
"""A file or folder, on this machine or on S3."""


def location(text: str | Location) -> Location:
    """Convert a path or an ``s3://`` URI to a location.

    Raises:
        InputError: the URI has another scheme, or no bucket.
    """
    if not isinstance(text, str):
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
"""The type of a setting or parameter that is given as text and holds a location."""


_SCHEME = r"[A-Za-z][A-Za-z0-9+.-]+:"

_NEEDS_LOCAL_PATH = (
    "needs a path of this machine; only the input and the table of `lingo translate`, and the "
    "inputs and the output of `lingo prepare`, may be on S3, so copy the files to a disk first"
)


def local_path(path: Path) -> Path:
    """Check that a path was not given as a URI, which ``pathlib`` changes to ``s3:/bucket/x``.

    Returns:
        the path.

    Raises:
        InputError: its first part is a scheme, such as ``s3:``.
    """
    if len(path.parts) > 1 and re.fullmatch(_SCHEME, path.parts[0]):
        uri = str(path).replace(":/", ":///" if path.parts[0] == "file:" else "://", 1)
        raise InputError(f"{uri}: {_NEEDS_LOCAL_PATH}")
    return path


def without_uris(value: Any) -> Any:
    """The value of a setting that holds a local path.

    Raises:
        ValueError: it is a URI.
    """
    if isinstance(value, str) and "://" in value:
        raise ValueError(_NEEDS_LOCAL_PATH)
    return value


LocalPath = Annotated[Path, BeforeValidator(without_uris)]
"""The type of a setting or parameter that is given as text and holds a path on this machine."""
