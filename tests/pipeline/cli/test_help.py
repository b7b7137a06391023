"""The help of each command, and usage errors."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
import typer.main

from pipeline.cli.app import app

ROOT = Path(__file__).parents[3]


COMMANDS = (
    *("demo", "prepare", "train", "translate", "preview", "table", "evaluate", "models"),
    *("dataset", "sql", "run"),
)


DATASET_COMMANDS = ("check",)
MODELS_COMMANDS = ("list", "show", "import", "promote")
TABLE_COMMANDS = ("plan", "abort", "retry-quarantine", "compact", "remove-orphans", "runs")


def test_help_does_not_import_torch_or_ray(tmp_path: Path) -> None:
    script = """
import sys
from pipeline.cli.app import main
sys.argv = ["lingo", "--help"]
try:
    main()
finally:
    heavy = ["torch", "ray", "prefect", "pyarrow", "duckdb", "matplotlib", "sacrebleu", "numpy"]
    print("imported:", [name for name in heavy if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "imported: []"
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", done.stdout, re.MULTILINE)


def command_of(words: tuple[str, ...]) -> click.Command:
    """A command by its words, from the tree of commands."""
    command = typer.main.get_command(app)
    for word in words:
        command = command.commands[word]
    return command


@pytest.mark.parametrize(
    "words",
    [
        *((name,) for name in COMMANDS),
        *(("dataset", name) for name in DATASET_COMMANDS),
        *(("models", name) for name in MODELS_COMMANDS),
        *(("table", name) for name in TABLE_COMMANDS),
    ],
)
def test_the_help_of_a_command_explains_it_and_its_options(
    lingo: Callable[..., Any], words: tuple[str, ...]
) -> None:
    done = lingo(*words, "--help")
    assert (done.status, done.err) == (0, "")
    command = command_of(words)
    assert command.help
    text = " ".join(done.out.split())
    assert " ".join(command.help.split())[:60] in text
    for parameter in command.params:
        if isinstance(parameter.opts, list) and parameter.opts[0].startswith("-"):
            assert all(option in done.out for option in parameter.opts)
        explanation = " ".join((getattr(parameter, "help", None) or "").split())
        assert explanation, parameter.name
        assert explanation in text


def test_the_tree_of_commands_is_the_documented_one() -> None:
    assert set(command_of(()).commands) == set(COMMANDS)
    assert set(command_of(("dataset",)).commands) == set(DATASET_COMMANDS)
    assert set(command_of(("models",)).commands) == set(MODELS_COMMANDS)
    assert set(command_of(("table",)).commands) == set(TABLE_COMMANDS)


@pytest.mark.parametrize(
    ("line", "message_part"),
    [
        ("--nope", "No such option"),
        ("nope", "No such command"),
        ("translate --nope", "No such option"),
        ("translate", "Missing argument 'INPUT'"),
        ("translate x", "--output"),
        ("translate x -o t --text y", "No such option"),
        ("translate x -o t --dry-rum", "No such option"),
        ("table retry-quarantine t", "Missing argument 'run'"),
        ("table retry-quarantine t 1 --text-column c", "No such option"),
        ("models nope", "No such command"),
        ("translate x -o t --limit 0", "--limit"),
        ("translate x -o t --limit two", "--limit"),
        ("translate x -o t --actors 0", "--actors"),
        ("train d -o m --workers 0", "--workers"),
        ("train d", "--output"),
        ("prepare", "Missing argument 'corpus'"),
        ("sql", "Missing argument 'query'"),
        ("models promote tiny", "--report"),
        ("demo --pairs 10", "--pairs"),
    ],
)
def test_usage_errors_are_status_2_and_name_the_option(
    lingo: Callable[..., Any], line: str, message_part: str
) -> None:
    done = lingo(*line.split())
    assert (done.status, done.out) == (2, "")
    assert message_part in done.err
    assert done.err.startswith("Usage: lingo")
