"""Places that many tests of translation tables start from."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """An empty folder for input files."""
    folder = tmp_path / "lake"
    folder.mkdir()
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Where a table will be."""
    return tmp_path / "table"
