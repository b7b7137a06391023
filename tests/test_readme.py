"""The README is short, and what it says of the code is so."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MAX_LINES = 120
MAX_LINE_CHARACTERS = 100


def test_the_readme_is_at_most_two_screens() -> None:
    lines = README.splitlines()

    assert len(lines) <= MAX_LINES
    long_lines = [line for line in lines if len(line) > MAX_LINE_CHARACTERS]
    assert [line for line in long_lines if not line.startswith("|")] == []


def test_the_tour_names_every_folder_of_the_packages() -> None:
    tour = README.split("## Tour of the code", 1)[1].split("\n## ", 1)[0]
    named = set(re.findall(r"`([a-z_/]+/)`", tour))
    folders = {
        f"{package}/{path.name}/"
        for package in ("pipeline", "lingo_model")
        for path in (ROOT / package).iterdir()
        if path.is_dir() and path.name != "__pycache__"
    }

    assert folders - named == set()
    assert {folder for folder in named if not (ROOT / folder).is_dir()} == set()


def test_the_readme_links_to_every_page_of_the_documentation() -> None:
    linked = set(re.findall(r"\]\((docs/[^)#]+)", README))

    assert linked == {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}


def test_the_commands_of_the_quick_start_are_there() -> None:
    assert {"demo", "test"} <= set(re.findall(r"^make (\w+)", README, re.MULTILINE))
    commands = re.findall(r"^lingo (\w+)", README, re.MULTILINE)
    assert commands == ["prepare", "train", "evaluate", "models", "translate"]
