"""The shell command that queries a table."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.cli.app import main
from pipeline.table.query import sql_command


@pytest.mark.parametrize("name", ["table", "it's my table", '$HOME `x` "y"'])
def test_the_command_for_a_query_runs_as_pasted(
    tmp_path: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    new_table: Callable[[Path], Path],
    add_run: Callable[..., None],
) -> None:
    table = new_table(tmp_path / name)
    add_run(table, "000001-aaaa", {"a": "1", "b": "2"})
    add_run(table, "000002-aaaa", {"b": "3"})
    words = shlex.split(sql_command(table))

    assert Path(words[0]).name == "lingo"
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    shown = capsys.readouterr()
    assert (ended.value.code, shown.err) == (0, "")
    assert "status" in shown.out
    row = next(line for line in shown.out.splitlines() if "translated" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["translated", "2", "-0.5"]


def test_the_command_starts_the_lingo_that_the_shell_finds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "venv" / "bin"
    folder.mkdir(parents=True)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.chdir(tmp_path)

    def first_word() -> str:
        return shlex.split(sql_command(Path("table")))[0]

    assert first_word() == "lingo"  # not found: the plain name
    (folder / "lingo").write_text("#!/bin/sh\n")
    (folder / "lingo").chmod(0o755)
    for working_folder in (tmp_path, folder, Path("/")):
        monkeypatch.chdir(working_folder)
        assert first_word() == str(folder / "lingo")
    monkeypatch.setenv("PATH", str(folder))
    assert shutil.which("lingo") is not None
    assert first_word() == "lingo"
