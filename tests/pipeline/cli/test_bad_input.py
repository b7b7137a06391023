"""Errors are one line on standard error, with an exit status."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# The test fills in the paths in braces.
BAD_INPUT = [
    ("sql --table {no} 'SELECT 1'", "{no}: not a translation table"),
    ("sql 'SELEC 1'", "'SELEC 1': Parser Error"),
    ("sql \"SELECT CAST('x' AS INT)\"", "Could not convert string 'x'"),
    ("evaluate {no} --model {tiny}", "{no}: not a dataset"),
    ("evaluate {dataset} --model tony --models {models}", "model='tony': neither a bundle folder"),
    ("evaluate {dataset} --model {tiny} --split dev", "split='dev': needs one of train"),
    ("evaluate {dataset} --models {no}", "{no}: no model is promoted"),
    ("models show tony --models {models}", "model='tony': neither a bundle folder"),
    ("models promote tony --report {no} --models {models}", "model='tony': not a model in"),
    ("models promote tiny --report {no} --models {models}", "not a score report"),
    ("preview", "missing INPUT, or --text TEXT"),
    ("preview --limit 3", "missing INPUT, or --text TEXT"),
    ("preview --text x --model tony --models {models}", "model='tony': neither a bundle folder"),
    ("preview {lake} --text x --model {tiny}", "INPUT cannot be combined with --text"),
    ("preview --text x --limit 1 --model {tiny}", "--limit cannot be combined with --text"),
    (
        "preview --text x --text-column c --model {tiny}",
        "--text-column cannot be combined with --text",
    ),
    ("preview {no} --model {tiny}", "{no}: cannot be read (No such file"),
    ("preview {lake} --model {tiny}", "has no column 'text'"),
    ("translate {lake} -o {new} --model {tiny}", "has no column 'text'; its columns are body"),
    (
        "translate {lake} -o {new} --model {tiny} --on-new-model maybe",
        "on_new_model='maybe': Input should be 'keep' or 'retranslate'",
    ),
    ("translate {lake} -o {new} --model {tiny} --rename body", "--rename 'body': needs OLD=NEW"),
    ("translate {lake} -o {lake} --model {tiny}", "{lake}: not empty and not a translation table"),
    ("translate {lake} -o {new} --model {tiny} --config {no}", "{no}: cannot be read"),
    ("table plan {lake} -o {new} --model {tiny}", "has no column 'text'; its columns are body"),
    ("table abort {no}", "{no}: not a translation table"),
    ("table runs {no}", "{no}: not a translation table"),
    ("table compact {no}", "{no}: not a translation table"),
    ("table remove-orphans {no}", "{no}: not a translation table"),
    ("table retry-quarantine {no} 1 --model {tiny}", "{no}: not a translation table"),
    ("sql --table {no} 'SELECT 1'", "its first run that has rows makes the table"),
    ("sql 'SELECT 1' --output ''", "--output '.': needs the name of a file"),
    ("sql 'SELECT 1' --reports {lake}/a.parquet", "a.parquet: not a folder of reports"),
    ("sql 'SELECT 1' --format xml", "--format 'xml': needs one of table, csv"),
    ("sql 'SELECT \"'", "Parser Error"),
    ("translate {no} -o {new} --model {tiny}", "{no}: cannot be read"),
    ("translate {lake} -o {new} --model {lake}", "{lake}"),
    ("translate {lake} -o {new} --model {tiny} --beam-size -1", "beam_size=-1"),
    ("translate {lake} -o {new} --model {tiny} --config {lake}", "{lake}: cannot be read"),
    ("table compact {lake}", "{lake}: not a translation table"),
    ("evaluate {lake}/a.parquet --model {tiny}", "a.parquet: not a dataset"),
    ("train {dataset} -o {new} --max-minutes -5", "max_minutes=-5"),
    ("sql --as-of 3 'SELECT 1'", "--as-of needs --table; name a translation table"),
    ("train {no} -o {new}", "{no}: not a dataset"),
    ("train {dataset} -o {new} --preset huge", "preset='huge': known are demo"),
    ("train {dataset} -o {new} --config {no}", "{no}: cannot be read"),
    ("train {dataset} -o {new} --preset demo --workers 9", "n_workers=9: at most n_data_shards=2"),
    ("prepare {no} -o {new}", "{no}: cannot be read"),
]


@pytest.mark.parametrize(("line", "message_part"), BAD_INPUT)
def test_bad_input_is_one_line_and_status_2(
    lingo: Callable[..., Any],
    lake: Path,
    dataset: Path,
    models: Path,
    tmp_path: Path,
    line: str,
    message_part: str,
) -> None:
    paths = {
        "no": tmp_path / "no",
        "new": tmp_path / "new",
        "lake": lake,
        "dataset": dataset,
        "models": models,
        "tiny": models / "tiny",
    }
    done = lingo(*(word.format(**paths) for word in shlex.split(line)))

    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("lingo: error: ")
    assert len(done.err.splitlines()) == 1
    assert message_part.format(**paths) in done.err
    assert not (tmp_path / "new").exists()


def test_bad_input_in_a_separate_process(tmp_path: Path, lingo_process: Callable[..., Any]) -> None:
    done = lingo_process(tmp_path, "sql", "SELECT * FROM latests")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("lingo: error: 'SELECT * FROM latests': Catalog Error: ")
    assert done.err.endswith(
        "views are translations, latest, quarantine, tombstones, runs, lineage, scores\n"
    )
    assert done.err.count("\n") == 1


def test_a_disk_error_is_one_line_and_status_1(
    lingo: Callable[..., Any], dataset: Path, models: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    done = lingo(*("evaluate", dataset, "--model", models / "tiny", "--reports", tmp_path / "file"))
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("lingo: error: ")
    assert str(tmp_path / "file") in done.err
    assert done.err.count("\n") == 1
