"""Helpers of the tests of file formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lingo_model import InputError
from pipeline.formats.read import iter_rows


def _read(path: Path) -> object:
    return list(iter_rows(path))


def _refusal(path: Path, read: Callable[[Path], object] | None = None) -> str:
    with pytest.raises(InputError) as error:
        (read or _read)(path)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message


@pytest.fixture
def refusal() -> Callable[..., str]:
    """A function that returns the message with which reading a file fails.

    The message must be one line that begins with the path. The function takes the path, and the
    function that reads it (by default all rows are read).
    """
    return _refusal
