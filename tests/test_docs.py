"""What the documentation says of the code is so: names, tables, queries, commands, links."""

from __future__ import annotations

import ast
import glob
import importlib
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
import typer.main
import yaml
from pydantic import BaseModel

from lingo_model import DECODE_PRECISIONS, SimpleSeq2SeqLSTM
from pipeline import schemas
from pipeline.cli.app import app
from pipeline.prepare.config import PrepareConfig
from pipeline.prepare.corpus import CorpusDescription, CorpusInput
from pipeline.schemas import TRANSLATION_COLUMNS
from pipeline.settings import load_yaml
from pipeline.table.query import VIEWS, connect
from pipeline.train.recipe import DEFAULT_PRESET, PRESETS, TrainConfig
from pipeline.translate.config import TranslateConfig
from pipeline.translate.in_process import run_in_process
from pipeline.translate.stage import translate_table

ROOT = Path(__file__).parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))
# The changelog has names that no longer exist.
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "infra" / "RUNBOOK.md", *DOCS]
CODE_PATH = re.compile(
    r"(?:pipeline|lingo_model|flows|tests|benchmarks|examples|infra|docs)/[\w./-]*"
)
LATEST, PUBLISHED_ON_S3 = 0, 1  # the order of the queries in translation-table.md
# Settings files by the comment in the first line of their block.
YAML_FILES: dict[str, type[BaseModel]] = {
    "corpus.yaml": CorpusDescription,
    "prepare.yaml": PrepareConfig,
    "recipe.yaml": TrainConfig,
    "translate.yaml": TranslateConfig,
}

# Typer has its own copy of click; this is its error for a wrong command line.
USAGE_ERROR: Any = typer.BadParameter.__base__

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def doc(name: str) -> str:
    return (ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8")


def table_after(text: str, marker: str) -> list[list[str]]:
    """Cells of the first Markdown table at or below a marker, without its head."""
    lines = text[text.index(marker) :].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows[2:]


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a page in one language; an empty language is plain text."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [content for name, content in fenced if name == language]


def code_spans(text: str) -> list[str]:
    """The inline code of a page."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]


# Follow the data


@pytest.mark.parametrize("marker", ["| stage |", "| # |"])
def test_follow_the_data_names_files_and_functions_that_exist(marker: str) -> None:
    rows = table_after(doc("follow-the-data"), marker)

    assert len(rows) >= 10
    for _stage, file, functions, *_ in rows:
        path = file.strip("`")
        assert (ROOT / path).is_file(), path
        module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
        names = re.findall(r"`([\w.]+)`", functions)
        assert names, path
        for name in names:
            attribute: Any = module
            for part in name.split("."):
                attribute = getattr(attribute, part)
            assert callable(attribute), f"{path}: {name}"


def test_follow_the_data_names_schemas_that_exist_and_all_of_them() -> None:
    cells = [cell for row in table_after(doc("follow-the-data"), "| stage |") for cell in row[3:]]
    named = {name for cell in cells for name in re.findall(r"`([A-Z_]+)`", cell)}

    assert named == {n for n, value in vars(schemas).items() if isinstance(value, pa.Schema)}


# Tables of settings, columns and views


def test_the_columns_of_the_translation_table_are_those_of_the_schema() -> None:
    rows = table_after(doc("translation-table"), "## Columns")

    assert [(name.strip("`"), kind) for name, kind, *_ in rows] == [
        (field.name, str(field.type)) for field in TRANSLATION_COLUMNS
    ]


def test_statuses_and_reasons_are_those_of_the_schema() -> None:
    page = doc("translation-table")
    statuses = [row[0].strip("`") for row in table_after(page, "| status |")]
    reasons = {row[0].strip("`") for row in table_after(page, "| reason |")}

    assert statuses == [schemas.TRANSLATED, schemas.REUSED, schemas.PASSED_THROUGH]
    assert {schemas.TOO_LONG, schemas.FAILED} < reasons


def test_the_views_are_those_of_lingo_sql() -> None:
    rows = table_after(doc("translation-table"), "| view |")

    assert tuple(row[0].strip("`") for row in rows) == VIEWS


def test_the_presets_are_those_of_the_code() -> None:
    rows = {row[0].strip("`"): row for row in table_after(doc("training"), "## Presets")}

    assert set(rows) == set(PRESETS)
    assert f"The default preset is `{DEFAULT_PRESET}`." in " ".join(doc("training").split())
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


def defaults_of(settings: BaseModel, prefix: str = "") -> dict[str, str]:
    """The defaults of settings as text, by dotted key."""
    defaults: dict[str, str] = {}
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, BaseModel):
            defaults |= defaults_of(value, f"{prefix}{name}.")
        else:
            defaults[f"{prefix}{name}"] = str(value)
    return defaults


@pytest.mark.parametrize(
    ("page", "marker", "settings"),
    [
        ("corpora-and-datasets", "## Settings", PrepareConfig()),
        ("training", "## A recipe of your own", TrainConfig()),
        ("nightly-jobs", "## Settings", TranslateConfig()),
    ],
)
def test_settings_and_their_defaults_are_those_of_the_code(
    page: str, marker: str, settings: BaseModel
) -> None:
    rows = table_after(doc(page), marker)

    assert {key.strip("`"): default.strip("`") for key, default, _ in rows} == defaults_of(settings)


def test_the_keys_of_an_input_and_their_defaults_are_those_of_the_code() -> None:
    rows = table_after(doc("corpora-and-datasets"), "| key of an input")
    documented = {
        key.strip("` "): default.strip("`") for keys, _, default in rows for key in keys.split(",")
    }
    fields = CorpusInput.model_fields
    assert documented.keys() == fields.keys()
    for key, field in fields.items():
        if isinstance(field.default, str):
            assert documented[key] == str(field.default)


def test_the_precisions_are_those_of_the_engine() -> None:
    rows = table_after(doc("models"), "## Precision")

    assert tuple(row[0].split("`")[1] for row in rows) == DECODE_PRECISIONS


def test_the_flows_are_those_of_the_deployments() -> None:
    rows = table_after(doc("nightly-jobs"), "| flow |")
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    functions = [deployment["entrypoint"].partition(":")[2] for deployment in deployments]

    assert [row[0].strip("`") for row in rows] == [name.replace("_", "-") for name in functions]


def test_the_public_names_of_lingo_model_exist() -> None:
    import lingo_model

    rows = table_after(doc("models"), "## `lingo_model` as a library")
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row[0])}

    assert len(named) > 10
    assert named <= set(lingo_model.__all__)


def test_architecture_has_a_floor_for_every_part() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    floors = blocks(text, "")[0].split()
    parts = {
        path.stem
        for path in (ROOT / "pipeline").iterdir()
        if path.name not in ("__init__.py", "__pycache__", "py.typed")
    }

    assert parts - set(floors) == set()


def test_architecture_names_every_dependency() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text[text.index("## Dependencies") :]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    names = {re.split(r"[^\w-]", requirement)[0] for requirement in requirements}
    # Plugins and types of packages that are named.
    names -= {"pytest-timeout", "flask-cors", "types-PyYAML"}

    assert {name for name in names if name not in section} == set()


# Queries and code

# Folders above a table that must not change what a query gives. All are columns of a table, or have
# a meaning in patterns.
ABOVE = [
    "plain",
    "env=prod/day=2020-01-01",
    "run=7",
    "run_date=2020-01-01/run=000099-aaaa",
    "row_id=3/translation=x/lang=es",
    "a[1]/b*c?",
]
above = pytest.mark.parametrize("folder", ABOVE)


def in_pattern(path: Path) -> str:
    """A path in a pattern of DuckDB, as the page says."""
    return glob.escape(str(path))


@above
def test_the_query_for_the_newest_rows_works_as_printed(tmp_path: Path, folder: str) -> None:
    table_path = tmp_path / folder / "TABLE"
    sql = blocks(doc("translation-table"), "sql")[LATEST]
    rows = {"000009-ffff": "abcd", "000010-0000": "ad"}
    tombstones = {"000009-ffff": "c", "000010-0000": "bd"}  # a run's own rows stay
    for run, ids in rows.items():
        run_folder = table_path / "data" / "run_date=2026-11-22" / f"run={run}"
        (run_folder / "_tombstones").mkdir(parents=True)
        table = pa.table({"row_id": list(ids), "translation": [run[:6]] * len(ids)})
        pq.write_table(table, run_folder / "p.parquet")
        pq.write_table(
            pa.table({"row_id": list(tombstones[run])}), run_folder / "_tombstones" / "p.parquet"
        )

    latest = duckdb.sql(sql.replace("TABLE", in_pattern(table_path))).fetchall()

    assert sorted(row[:2] for row in latest) == [("a", "000010"), ("c", "000009"), ("d", "000010")]


@above
def test_the_query_that_asks_for_manifests_works_as_printed(tmp_path: Path, folder: str) -> None:
    table_path = tmp_path / folder / "TABLE"
    sql = blocks(doc("translation-table"), "sql")[PUBLISHED_ON_S3]
    for run in ("000001-ffff", "000002-0000"):
        run_folder = table_path / "data" / "run_date=2026-11-22" / f"run={run}"
        run_folder.mkdir(parents=True)
        pq.write_table(pa.table({"row_id": [run]}), run_folder / "p.parquet")
    first = table_path / "data" / "run_date=2026-11-22" / "run=000001-ffff"
    (first / "_manifest.json").write_text('{"run_id": "000001-ffff", "more": [1]}')

    rows = duckdb.sql(sql.replace("s3://lake/translations", in_pattern(table_path))).fetchall()

    assert rows == [("000001-ffff",)]


@pages
def test_python_blocks_compile(page: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8"), "python"):
        ast.parse(block)


@pytest.fixture(scope="module")
def small_table(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of three rows with columns that have the names of folders above it."""
    folder = tmp_path_factory.mktemp("docs")
    lake = folder / "lake.csv"
    lake.write_text("text,env,lang\nOne sentence.,dev,en\nAnother one.,dev,en\n123,dev,en\n")
    translate_table(lake, bundle, folder / "table", run_units=run_in_process)
    return folder / "table"


@above
def test_the_recipes_of_readers_work_as_printed(
    small_table: Path, tmp_path: Path, folder: str
) -> None:
    table = shutil.copytree(small_table, tmp_path / folder / "TABLE")
    columns = ["row_id", "translation", "run"]
    expected = connect(small_table, None).sql(
        f"SELECT {', '.join(columns)}, env, lang, run_date::VARCHAR FROM latest ORDER BY row_id"
    )
    recipes = [b for b in blocks(doc("translation-table"), "python") if "pyspark" not in b]
    assert len(recipes) == 4

    for recipe in recipes:
        names: dict[str, Any] = {}
        exec(recipe.replace("TABLE", str(table)), names)
        rows = names["rows"]
        frame = rows if isinstance(rows, pd.DataFrame) else rows.to_pandas()
        shown = [c for c in [*columns, "env", "lang", "run_date"] if c in frame.columns]
        values = frame[shown].astype(str).sort_values("row_id")
        wanted = expected.df()
        wanted.columns = [*columns, "env", "lang", "run_date"]
        assert set(columns) <= set(shown)
        assert values.to_dict("list") == wanted[shown].astype(str).to_dict("list")


@pages
def test_yaml_blocks_are_valid_settings(page: Path, tmp_path: Path) -> None:
    for block in blocks(page.read_text(encoding="utf-8"), "yaml"):
        name = block.splitlines()[0].removeprefix("# ")
        (tmp_path / name).write_text(block, encoding="utf-8")
        load_yaml(YAML_FILES[name], tmp_path / name)


# Commands


def command_lines(page: Path) -> list[str]:
    """The command lines of ``lingo`` in the code blocks of a page."""
    lines = [
        line
        for block in blocks(page.read_text(encoding="utf-8"), "")
        for line in block.splitlines()
    ]
    return [line for line in lines if line.startswith("lingo ")]


def parse_command(arguments: list[str], *, is_whole: bool) -> None:
    """Parse the arguments of ``lingo`` without running the command.

    Args:
        arguments: the words after ``lingo``.
        is_whole: whether every required argument is given. A text that only mentions a command may
            leave some out.

    Raises:
        USAGE_ERROR: there is no such command or option, or a value is wrong.
    """
    command: Any = typer.main.get_command(app)
    names = ["lingo"]
    words = list(arguments)
    while hasattr(command, "commands") and words and not words[0].startswith("-"):
        names.append(words.pop(0))
        if names[-1] not in command.commands:
            raise typer.BadParameter(f"no such command {' '.join(names)!r}")
        command = command.commands[names[-1]]
    if command.context_settings.get("ignore_unknown_options"):
        return  # the rest is for another program
    if is_whole:
        command.make_context(" ".join(names), words)
        return
    options = {"--help", *(name for parameter in command.params for name in parameter.opts)}
    for word in words:
        if word.startswith("-") and word not in options:
            raise typer.BadParameter(f"{' '.join(names)} has no option {word}")


@pages
def test_command_lines_parse(page: Path) -> None:
    for line in command_lines(page):
        arguments = shlex.split(line, comments=True)[1:]
        try:
            parse_command(arguments, is_whole=True)
        except USAGE_ERROR as error:
            pytest.fail(f"{page.name}: {line}: {error.format_message()}")


@pages
def test_commands_in_the_text_exist(page: Path) -> None:
    for span in code_spans(page.read_text(encoding="utf-8")):
        if not span.startswith("lingo "):
            continue
        try:
            parse_command(shlex.split(span)[1:], is_whole=False)
        except USAGE_ERROR as error:
            pytest.fail(f"{page.name}: {span}: {error.format_message()}")


@pytest.mark.parametrize(
    "line",
    ["translate lake --output t --tier int8", "table gc t", "train d", "translate --output t"],
)
def test_a_wrong_command_line_is_caught(line: str) -> None:
    with pytest.raises(USAGE_ERROR):
        parse_command(line.split(), is_whole=True)


def test_the_commands_are_shown() -> None:
    assert sum(len(command_lines(page)) for page in PAGES) > 30


@pages
def test_the_targets_are_in_the_makefile(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"(?:^|`)make ([\w-]+)", text, re.MULTILINE))

    for target in named:
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, check=False)
        assert done.returncode == 0, target


def test_getting_started_names_the_targets() -> None:
    named = {
        row[0].split()[1].strip("`") for row in table_after(doc("getting-started"), "| command |")
    }
    phony = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert named == set(phony[0].split()) - {"help"}


# Paths and links


def paths_in(spans: list[str]) -> set[str]:
    """The paths of code among some inline code."""
    return {span for word in spans for span in word.split() if CODE_PATH.fullmatch(span)}


@pages
def test_paths_of_code_exist(page: Path) -> None:
    named = paths_in(code_spans(page.read_text(encoding="utf-8")))

    assert {path for path in named if not (ROOT / path).exists()} == set()


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_links_point_to_files_and_headings_that_exist(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", h).lower().replace(" ", "-") for h in headings}
            assert anchor in anchors, f"{page.name}: {link}"
