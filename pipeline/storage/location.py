"""A location is a path on this machine or an ``s3://`` URI."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
