"""Manifests: JSON files with a format version that describe the files beside them."""

from __future__ import annotations

import datetime
import json
from typing import ClassVar, Self

from lingo_model import InputError
from pipeline.settings import Settings, parse_settings
from pipeline.storage.location import Location

# Any other OSError means that S3 refused or did not answer; the manifest may well exist.
_NO_READABLE_FILE = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)


class Manifest(Settings):
    """Base class of the manifests. Subclasses set the class variables.

    Attributes:
        FORMAT_VERSION: the version that this release reads and writes.
        WHAT: what the manifest describes, such as "a dataset"; for error messages.
        REMEDY: what a user does when the manifest is missing or of another version.
    """

    FORMAT_VERSION: ClassVar[int]
    WHAT: ClassVar[str]
    REMEDY: ClassVar[str]

    format_version: int

    @classmethod
    def load(cls, path: Location) -> Self:
        """Read a manifest. Another format version is refused before anything else.

        Raises:
            InputError: the file is missing, is not JSON, has another version or does not validate.
            OSError: S3 refused the request or did not answer.
        """
        try:
            values = json.loads(path.read_bytes())
        except _NO_READABLE_FILE as error:
            raise InputError(
                f"{path.parent}: not {cls.WHAT} (no readable {path.name}); {cls.REMEDY}"
            ) from error
        except ValueError as error:
            raise InputError(f"{path}: not valid JSON; {cls.REMEDY}") from error
        version = values.get("format_version") if isinstance(values, dict) else None
        if version != cls.FORMAT_VERSION:
            raise InputError(
                f"{path}: format_version={version!r}: this release reads {cls.FORMAT_VERSION}; "
                f"{cls.REMEDY}"
            )
        return parse_settings(cls, values, where=str(path))


def utc_now() -> datetime.datetime:
    """The time in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)
