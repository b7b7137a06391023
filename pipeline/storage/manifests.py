"""Reads JSON manifests and checks their format version."""

from __future__ import annotations

import datetime
import json

from lingo_model import InputError
from pipeline.settings import S, parse_settings
from pipeline.storage.location import Location
from pipeline.storage.s3 import S3Path


def load_manifest(
    cls: type[S], path: Location, *, format_version: int, what: str, remedy: str
) -> S:
    """Read a JSON manifest and refuse another format version before anything else.

    Args:
        what: what the folder should be, such as "a dataset". remedy: what makes one.

    Raises:
        InputError: no manifest there, not JSON, another version, or keys that do not validate.
        OSError: S3 refused, or did not answer.
    """
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        if isinstance(path, S3Path) and not isinstance(error, FileNotFoundError):
            raise  # S3 refused, or did not answer: that says nothing of what is there
        raise InputError(
            f"{path.parent}: not {what} (no readable {path.name}); {remedy}"
        ) from error
    except ValueError as error:
        raise InputError(f"{path}: not valid JSON; {remedy}") from error
    found = values.get("format_version") if isinstance(values, dict) else None
    if found != format_version:
        raise InputError(
            f"{path}: format_version={found!r}: this release reads {format_version}; {remedy}"
        )
    return parse_settings(cls, values, where=str(path))


def utc_now() -> str:
    """The time, to the second, ISO 8601 in UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
