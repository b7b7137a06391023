"""Helpers of the tests of file formats."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lingo_model import InputError
from pipeline.formats.bilingual import BilingualOptions, bilingual_rows
from pipeline.formats.read import iter_rows
from pipeline.formats.rows import Row


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


def _bilingual(path: Path, source: str = "en", target: str = "es", **options: Any) -> list[Row]:
    return list(bilingual_rows(path, BilingualOptions(source, target, **options)))


@pytest.fixture
def bilingual() -> Callable[..., list[Row]]:
    """A function that reads all rows of a bilingual file.

    It takes the path, the languages (``en`` and ``es`` by default) and the other options.
    """
    return _bilingual
