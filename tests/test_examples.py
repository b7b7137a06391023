"""The examples run on real files."""

from __future__ import annotations

import functools
import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from lingo_model import read_bundle_manifest
from pipeline.models.registry import Champion
from pipeline.storage.files import write_json
from pipeline.storage.manifests import utc_now
from pipeline.table.query import connect
from pipeline.translate.config import TranslateConfig
from pipeline.translate.in_process import run_in_process
from pipeline.translate.stage import translate_table
from pipeline.translate.translation_run import TranslationRun

EXAMPLES = Path(__file__).parents[1] / "examples"
SENTENCES = ["The cook sees the boat.", "A girl reads.", "42"]


def example(name: str) -> ModuleType:
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(f"examples.{name}", EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def nightly() -> ModuleType:
    return example("nightly")


@pytest.fixture
def query_table() -> ModuleType:
    return example("query_table")


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """A folder with one file of three lines."""
    folder = tmp_path / "lake"
    folder.mkdir()
    (folder / "a.txt").write_text("\n".join(SENTENCES) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def models(bundle: Path, tmp_path: Path) -> Path:
    """A folder of models whose champion is the tiny model."""
    folder = tmp_path / "models"
    shutil.copytree(bundle, folder / "tiny")
    champion = Champion(
        format_version=Champion.FORMAT_VERSION,
        name="tiny",
        model_id=read_bundle_manifest(bundle).model_id,
        promoted_at=utc_now(),
        report="none",
    )
    write_json(folder / "champion.json", champion.model_dump(mode="json"))
    return folder


def test_every_example_has_a_test_and_says_how_to_run_it() -> None:
    assert {file.stem for file in EXAMPLES.glob("*.py")} == {"nightly", "query_table"}
    for file in EXAMPLES.glob("*.py"):
        assert f"Run: ``python examples/{file.name}" in file.read_text(encoding="utf-8")


@pytest.mark.ray
@pytest.mark.usefixtures("running_ray")
def test_nightly_translates_what_is_new(
    nightly: ModuleType,
    lake: Path,
    models: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [str(lake), str(tmp_path / "table"), "--models", str(models)]

    assert nightly.main(arguments) == 0
    first = capsys.readouterr().out
    assert nightly.main(arguments) == 0
    second = capsys.readouterr().out

    assert "n_input: 3" in first
    assert "n_passed_through: 1" in first
    assert second == "nothing new\n"


def test_nightly_ends_with_3_if_a_file_changed(
    nightly: ModuleType,
    lake: Path,
    models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (lake / "b.txt").write_text("It rains.\n", encoding="utf-8")

    def change_a_file_then_run(run: TranslationRun) -> None:
        (lake / "b.txt").write_text("It snows today.\n", encoding="utf-8")
        run_in_process(run)

    monkeypatch.setattr(
        nightly,
        "translate_table",
        functools.partial(translate_table, run_units=change_a_file_then_run),
    )
    status = nightly.main([str(lake), str(tmp_path / "table"), "--models", str(models)])

    shown = capsys.readouterr()
    assert status == 3
    assert "n_input: 3" in shown.out
    assert shown.err == "left for the next run: b.txt\n"


def test_nightly_ends_with_2_if_the_input_cannot_be_used(
    nightly: ModuleType, models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = nightly.main(
        [str(tmp_path / "none"), str(tmp_path / "table"), "--models", str(models)]
    )

    assert status == 2
    assert "check the path" in capsys.readouterr().err


@pytest.fixture
def table(bundle: Path, lake: Path, tmp_path: Path) -> Path:
    """A table with two runs: in the second, a row has a new version and another is gone."""
    output = tmp_path / "table"
    config = TranslateConfig(lake="snapshot")
    translate_table(lake, bundle, output, config, run_units=run_in_process)
    (lake / "a.txt").write_text("The boat is old.\nA girl reads.\n", encoding="utf-8")
    translate_table(lake, bundle, output, config, run_units=run_in_process)
    return output


@pytest.mark.parametrize("folder", ["plain", "env=prod/run=7", "row_id=3/run_date=x", "it's [1]*?"])
@pytest.mark.parametrize("reader", ["duckdb", "pandas", "polars", "pyarrow"])
def test_every_reader_gives_the_latest_rows(
    query_table: ModuleType, table: Path, tmp_path: Path, reader: str, folder: str
) -> None:
    columns = ["row_id", "translation", "score", "status", "run"]
    copy = shutil.copytree(table, tmp_path / folder / "table")
    rows: pd.DataFrame = query_table.READERS[reader](copy)

    latest = connect(table, None).sql(f"SELECT {', '.join(columns)} FROM latest").fetchall()
    assert len(latest) == 2
    shown = rows[columns].astype({"run": str})
    assert sorted(shown.itertuples(index=False, name=None)) == sorted(latest)


def test_query_table_prints_rows(
    query_table: ModuleType, table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query_table.main([str(table), "--with", "polars", "--limit", "1"])

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2 rows"
    assert lines[1].split() == ["row_id", "status", "score", "translation"]
    assert len(lines) == 3
