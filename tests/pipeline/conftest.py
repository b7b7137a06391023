"""Places that many tests of translation tables start from."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


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


@pytest.fixture
def imported_by() -> Callable[[str], set[str]]:
    """A function that imports a module in a fresh interpreter and gives the top-level packages
    that are loaded then."""

    def loaded_packages(module: str) -> set[str]:
        script = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
        )
        return set(done.stdout.split())

    return loaded_packages
