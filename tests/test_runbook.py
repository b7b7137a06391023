"""The messages that ``infra/RUNBOOK.md`` quotes as symptoms are messages of the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
VARIABLE = "..."


def quoted_messages() -> list[str]:
    """The code spans in the first column of the runbook's tables that contain a space."""
    lines = (ROOT / "infra" / "RUNBOOK.md").read_text(encoding="utf-8").splitlines()
    symptoms = [line.split(" | ")[0] for line in lines if line.startswith("| ")]
    spans = [span for symptom in symptoms for span in re.findall(r"`([^`]*)`", symptom)]
    external = {"error sending request"}
    return [span for span in spans if " " in span and span not in external]


def strings_of_code() -> list[str]:
    """All strings of the code. Each replacement field of an f-string is ``...``."""
    strings = []
    for file in (*(ROOT / "pipeline").rglob("*.py"), *(ROOT / "lingo_model").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [v.value if isinstance(v, ast.Constant) else VARIABLE for v in node.values]
                strings.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                strings.append(node.value)
    return strings


STRINGS = strings_of_code()


def test_the_runbook_quotes_messages() -> None:
    assert len(quoted_messages()) > 10


@pytest.mark.parametrize("message", quoted_messages())
def test_a_quoted_message_is_in_the_code(message: str) -> None:
    constant_parts = [re.escape(part) for part in message.split(VARIABLE)]
    pattern = re.compile(".*".join(constant_parts), re.DOTALL)
    assert any(pattern.search(string) for string in STRINGS)
