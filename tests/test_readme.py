"""What the README says of the code is so."""

from __future__ import annotations

import importlib
import re
import subprocess
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from lingo_model import SimpleSeq2SeqLSTM
from pipeline import schemas
from pipeline.schemas import TRANSLATION_COLUMNS
from pipeline.train.recipe import PRESETS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def table_after(heading: str) -> list[list[str]]:
    """Cells of the first Markdown table below a heading, without its head."""
    lines = README.split(heading, 1)[1].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows[2:]


def test_follow_the_data_names_files_and_functions_that_exist() -> None:
    rows = table_after("## Follow the data")

    assert len(rows) >= 15
    for _stage, file, functions, _reads, _writes in rows:
        path = file.strip("`")
        assert (ROOT / path).is_file(), path
        module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
        for function in re.findall(r"`(\w+)`", functions):
            assert callable(getattr(module, function)), f"{path}: {function}"


def test_follow_the_data_names_schemas_that_exist_and_all_of_them() -> None:
    cells = [cell for row in table_after("## Follow the data") for cell in row[3:]]
    named = {name for cell in cells for name in re.findall(r"`([A-Z_]+)`", cell)}

    assert named == {n for n, value in vars(schemas).items() if isinstance(value, pa.Schema)}


def test_the_columns_of_the_translation_table_are_those_of_the_schema() -> None:
    rows = table_after("## The translation table")

    assert [(name.strip("`"), kind) for name, kind, *_ in rows] == [
        (field.name, str(field.type)) for field in TRANSLATION_COLUMNS
    ]


def test_the_presets_are_those_of_the_code() -> None:
    rows = {row[0].strip("`"): row for row in table_after("## Models")}

    assert set(rows) == set(PRESETS)
    for name, recipe in PRESETS.items():
        sizes = f"{recipe.emb_dim} / {recipe.hidden_dim} / {recipe.num_layers}"
        attention = recipe.attn_type if recipe.attention else "none"
        attention += ", bidirectional encoder" if recipe.bidirectional else ""
        model = SimpleSeq2SeqLSTM(
            8000,
            8000,
            emb_dim=recipe.emb_dim,
            hidden_dim=recipe.hidden_dim,
            num_layers=recipe.num_layers,
            attention=recipe.attention,
            bidirectional=recipe.bidirectional,
        )
        assert rows[name][1:4] == [sizes, attention, f"{model.n_parameters() / 1e6:.1f} M"]


def test_the_query_for_the_newest_rows_works_as_printed(tmp_path: Path) -> None:
    sql, _ = re.findall(r"```sql\n(.*?)```", README, re.DOTALL)
    rows = {"000009-ffff": "abcd", "000010-0000": "ad"}
    retracted = {"000009-ffff": "c", "000010-0000": "bd"}  # of its own run, nothing
    for run, ids in rows.items():
        folder = tmp_path / "TABLE" / "data" / "run_date=2026-11-22" / f"run={run}"
        (folder / "_tombstones").mkdir(parents=True)
        table = pa.table({"row_id": list(ids), "translation": [run[:6]] * len(ids)})
        pq.write_table(table, folder / "p.parquet")
        gone = pa.table({"row_id": list(retracted[run])})
        pq.write_table(gone, folder / "_tombstones" / "p.parquet")

    found = duckdb.sql(sql.replace("TABLE", str(tmp_path / "TABLE"))).fetchall()

    assert sorted(row[:2] for row in found) == [("a", "000010"), ("c", "000009"), ("d", "000010")]


def test_the_query_that_asks_for_manifests_works_as_printed(tmp_path: Path) -> None:
    _, sql = re.findall(r"```sql\n(.*?)```", README, re.DOTALL)
    for run in ("000001-ffff", "000002-0000"):
        folder = tmp_path / "data" / "run_date=2026-11-22" / f"run={run}"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"row_id": [run]}), folder / "p.parquet")
    first = tmp_path / "data" / "run_date=2026-11-22" / "run=000001-ffff"
    (first / "_manifest.json").write_text('{"run": "000001-ffff", "more": [1]}')

    found = duckdb.sql(sql.replace("s3://lake/translations", str(tmp_path))).fetchall()

    assert [row[0] for row in found] == ["000001-ffff"]


def test_the_targets_that_the_readme_names_are_in_the_makefile() -> None:
    named = set(re.findall(r"`?make (\w+)`?", README))

    assert {"demo", "test", "lint", "faults", "bench", "clean"} <= named
    for target in named:
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, check=False)
        assert done.returncode == 0, target
