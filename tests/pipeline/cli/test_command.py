"""The command line as people use it: help, what is printed, exit statuses, errors in one line."""

from __future__ import annotations

import dataclasses
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import typer.main

import pipeline.translate.publish
from lingo_model import Translator, load_bundle, read_bundle_manifest, save_bundle
from pipeline.cli.app import app, main
from pipeline.cli.options import translate_config
from pipeline.evaluate.scores import ScoreReport
from pipeline.models.registry import read_champion
from pipeline.table.manifest import RunPlan
from pipeline.translate.reconcile import ReconcileResult, reconcile

ROOT = Path(__file__).parents[3]
TRAINING = {
    "n_steps": 1258,
    "seconds": 120.0,
    "stopped_by": "max_epochs",
    "best_valid_bleu": 86.739,
    "best_step": 1200,
    "n_parameters": 1303528,
    "history": [],
}


@dataclasses.dataclass(frozen=True)
class Done:
    """How a command ended."""

    status: int
    out: str
    err: str


Lingo = Callable[..., Done]


@pytest.fixture
def lingo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lingo:
    """Run the command line in this process; an error that it does not expect is raised here."""

    def run(*arguments: str | Path) -> Done:
        monkeypatch.setattr(sys, "argv", ["lingo", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        shown = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, shown.out, shown.err)

    return run


def lingo_process(folder: Path, *arguments: str | Path) -> Done:
    """Run the command line in ``folder``, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", "from pipeline.cli.app import main; main()", *map(str, arguments)],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=120,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, bundle: Path) -> Path:
    """A folder with one model, which has a history."""
    folder = tmp_path_factory.mktemp("command") / "models"
    found = load_bundle(bundle)
    save_bundle(
        folder / "tiny",
        found.model,
        found.subwords,
        source_lang="en",
        target_lang="es",
        dataset_fingerprint=found.manifest.dataset_fingerprint,
        recipe_fingerprint="none",
        training=TRAINING,
    )
    return folder


COMMANDS = (
    *("demo", "prepare", "train", "translate", "preview", "table", "evaluate", "models"),
    *("sql", "run"),
)
MODELS_COMMANDS = ("list", "show", "import", "promote")
TABLE_COMMANDS = ("plan", "abort", "retry-quarantine", "compact", "remove-orphans", "runs")


def test_help_is_quick_it_needs_neither_torch_nor_ray(tmp_path: Path) -> None:
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
    """A command by its words, from the command line's own tree."""
    found = typer.main.get_command(app)
    for word in words:
        found = found.commands[word]
    return found


@pytest.mark.parametrize(
    "words",
    [
        *((name,) for name in COMMANDS),
        *(("models", name) for name in MODELS_COMMANDS),
        *(("table", name) for name in TABLE_COMMANDS),
    ],
)
def test_the_help_of_a_command_explains_it_and_its_options(
    lingo: Lingo, words: tuple[str, ...]
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
        explained = " ".join((getattr(parameter, "help", None) or "").split())
        assert explained, parameter.name
        assert explained in text


def test_the_tree_of_commands_is_the_documented_one() -> None:
    assert set(command_of(()).commands) == set(COMMANDS)
    assert set(command_of(("models",)).commands) == set(MODELS_COMMANDS)
    assert set(command_of(("table",)).commands) == set(TABLE_COMMANDS)


def test_from_evaluation_to_the_champion_that_translates(
    tmp_path: Path, dataset: Path, models: Path, lingo: Lingo, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny").symlink_to(models / "tiny")

    evaluated = lingo_process(tmp_path, "evaluate", dataset, "--model", "tiny")
    assert (evaluated.status, evaluated.err) == (0, "")
    *scores, last = evaluated.out.splitlines()
    page = tmp_path / last.removeprefix("report: ")
    assert page.is_file()
    report = ScoreReport.model_validate_json(page.with_name("report.json").read_bytes())
    assert scores == [f"{s.metric} = {s.score:.2f}   {s.signature}" for s in report.scores]
    assert len(scores) == 3

    monkeypatch.chdir(tmp_path)
    model_id = read_bundle_manifest(models / "tiny").model_id
    assert lingo("models", "list").out == f"tiny  en-es  {model_id}\n"
    refused = lingo("preview", "--text", "Two dogs play.")
    assert refused.status == 2
    assert "no model is promoted; promote one with `lingo models promote NAME`" in refused.err

    promoted = lingo("models", "promote", "tiny", "--report", page.with_name("report.json"))
    assert promoted == Done(0, f"champion: tiny ({model_id})\n", "")
    assert lingo("models", "list").out == f"tiny  en-es  {model_id}  champion\n"
    found = read_champion(tmp_path / "models")
    assert found is not None
    assert found.name == "tiny"

    translated = lingo("preview", "--text", "Two dogs play.")
    (expected,) = Translator(load_bundle(models / "tiny")).translate(["Two dogs play."])
    assert translated == Done(0, f"{expected.text}\n", "")

    shown = lingo("sql", "--reports", "reports", "SELECT metric, signature FROM scores ORDER BY 1")
    assert shown.status == 0
    for score in report.scores:
        assert score.signature[:20] in shown.out


def test_a_model_is_shown_with_what_made_it(lingo: Lingo, models: Path) -> None:
    done = lingo("models", "show", "tiny", "--models", models)
    assert (done.status, done.err) == (0, "")
    manifest = read_bundle_manifest(models / "tiny")
    lines = dict(line.split(": ", 1) for line in done.out.splitlines())
    assert lines["model_id"] == manifest.model_id
    assert lines["dataset_fingerprint"] == manifest.dataset_fingerprint
    assert (lines["source_lang"], lines["target_lang"]) == ("en", "es")
    assert lines["training"] == (
        "1,258 steps in 2.0 minutes, ended by max_epochs; validation BLEU 86.74 at step 1,200; "
        "1,303,528 parameters"
    )


def test_weights_that_torch_saved_become_a_model(
    lingo: Lingo, models: Path, tmp_path: Path
) -> None:
    bundle = load_bundle(models / "tiny")
    torch.save(bundle.model.state_dict(), tmp_path / "weights.pt")
    folder = tmp_path / "models" / "new"
    command = ("models", "import", tmp_path / "weights.pt", "--output", folder)
    languages = ("--source-lang", "en", "--target-lang", "es")
    pieces = ("--subwords", models / "tiny" / "subwords.model")

    done = lingo(*command, *pieces, *languages)

    model_id = read_bundle_manifest(folder).model_id
    assert done == Done(0, f"model: {folder} ({model_id})\n", "")
    texts = ["Two dogs play.", "My cat sleeps."]
    assert Translator(load_bundle(folder)).translate(texts) == Translator(bundle).translate(texts)
    shown = lingo("models", "show", "new", "--models", tmp_path / "models")
    assert f"parameters: {bundle.model.n_parameters():,}\n" in shown.out
    again = lingo(*command, *pieces, *languages)
    assert again.status == 2
    assert "already exists; choose another output" in again.err


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--precision", "fp4", "precision='fp4': Input should be 'float32', 'bfloat16' or 'int8'"),
        ("--beam-size", "0", "beam_size=0: Input should be greater than or equal to 1"),
    ],
)
def test_how_to_decode_is_checked(
    lingo: Lingo, models: Path, option: str, value: str, message: str
) -> None:
    done = lingo("preview", "--text", "x", "--model", models / "tiny", option, value)
    assert done.status == 2
    assert message in done.err


def test_a_recipe_has_one_name(lingo: Lingo, tmp_path: Path) -> None:
    command = ("train", tmp_path, "--output", tmp_path / "model", "--config", tmp_path / "r.yaml")

    done = lingo(*command, "--preset", "quick")

    assert done.status == 2
    assert "--preset cannot be combined with --config; drop one of them" in done.err


def test_options_win_over_the_config(
    lingo: Lingo, lake: Path, models: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("text_column: nothing\nrows_per_unit: 1\ndecode: {beam_size: 2}\n")
    command = ("table", "plan", lake, "--output", tmp_path / "table", "--model", models / "tiny")
    refused = lingo(*command, "--config", config)
    assert "has no column 'nothing'" in refused.err

    done = lingo(*command, "--config", config, "--text-column", "body", "--each-unit")

    assert (done.status, done.err) == (0, "")
    assert len(re.findall("^translate [0-9a-f]{24} ", done.out, re.MULTILINE)) == 4
    wrong = lingo(*command, "--config", config, "--text-column", "body", "--beam-size", "0")
    assert "decode.beam_size=0: Input should be greater than or equal to 1" in wrong.err


def test_nested_options_keep_the_other_settings_of_the_config(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("decode: {beam_size: 2, length_penalty_alpha: 0.5}\n")

    settings = translate_config(config, precision=None, beam_size=3)

    assert settings.decode.beam_size == 3
    assert settings.decode.length_penalty_alpha == 0.5


def test_a_folder_without_models_says_so(lingo: Lingo, tmp_path: Path) -> None:
    folder = tmp_path / "none"
    assert lingo("models", "list", "--models", folder) == Done(0, f"no models in {folder}\n", "")


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    """Two small files."""
    folder = tmp_path / "lake"
    folder.mkdir()
    for name, texts in (("a", ["Two dogs play.", "Eggs!"]), ("b", ["My cat sleeps.", "7"])):
        pq.write_table(pa.table({"body": texts}), folder / f"{name}.parquet")
    return folder


def test_a_preview_prints_the_first_rows_and_writes_nothing(
    lingo: Lingo, lake: Path, models: Path
) -> None:
    before = sorted(lake.parent.rglob("*"))
    done = lingo(
        *("preview", lake, "--model", models / "tiny", "--limit", 1, "--text-column", "body")
    )
    assert (done.status, done.err) == (0, "")
    texts = ["Two dogs play.", "My cat sleeps."]
    expected = Translator(load_bundle(models / "tiny")).translate(texts)
    lines = done.out.splitlines()
    assert lines[::2] == texts
    assert lines[1::2] == [f"    {t.text}    ({t.score:.2f})" for t in expected]
    assert sorted(lake.parent.rglob("*")) == before


@pytest.mark.ray
def test_a_table_is_made_and_what_changed_meanwhile_is_left_for_the_next_run(
    running_ray: None,
    lingo: Lingo,
    lake: Path,
    models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pq.write_table(pa.table({"body": ["A new one."]}), lake / "late.parquet")

    def reconcile_late(staged: Path, plan: RunPlan, *rest: object) -> ReconcileResult:
        pq.write_table(pa.table({"body": ["changed", "meanwhile"]}), lake / "late.parquet")
        return reconcile(staged, plan, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(pipeline.translate.publish, "reconcile", reconcile_late)
    table = tmp_path / "my table"
    options = (lake, "--model", models / "tiny", "--output", table, "--text-column", "body")

    done = lingo("translate", *options, "--actors", 1)

    assert done.status == 3
    assert done.err == "deferred to the next run because they changed meanwhile: late.parquet\n"
    run, where, query = done.out.splitlines()
    assert re.fullmatch(
        r"run 000001-[0-9a-f]{4}: 4 rows = 3 translated \+ 0 reused \+ 1 passed through "
        r"\+ 0 quarantined",
        run,
    )
    assert where == f"table: {table}"

    answer = lingo(*shlex.split(query.removeprefix("query: "))[1:])
    assert (answer.status, answer.err) == (0, "")
    assert re.search(r"translated +│ +3 ", answer.out)
    assert re.search(r"passed_through +│ +1 ", answer.out)

    forecast = lingo("table", "plan", *options, "--each-unit")
    assert (forecast.status, forecast.err) == (0, "")
    (first, second, third, *summary) = forecast.out.splitlines()
    for line in (first, second):
        assert re.fullmatch(
            r"skip [0-9a-f]{24} [ab]\.parquet rows 1 to 2: published in run 000001-.*", line
        )
    assert re.fullmatch(r"translate [0-9a-f]{24} late\.parquet rows 1 to 2: new file", third)
    assert summary[0] == "translate 2 rows, 1 units, 1 files: new file"
    assert re.fullmatch(
        r"to translate: 2 rows, about 0\.\d minutes at [\d,]+ rows/s.*", summary[-1]
    )
    assert lingo("table", "plan", *options).out.splitlines() == summary
    assert len(list(table.glob("data/*/*"))) == 1  # neither did anything

    (lake / "late.parquet").unlink()
    nothing_new = f"nothing new: every row of {lake} is in {table}\n"
    assert lingo("translate", *options, "--actors", 1) == Done(0, nothing_new, "")
    assert lingo("table", "abort", table) == Done(0, "no unfinished run\n", "")

    listed = lingo("table", "runs", table)
    header, line = listed.out.splitlines()
    assert header.split()[:3] == ["run", "finished", "(UTC)"]
    assert re.match(r"000001-[0-9a-f]{4} +20\d\d-\d\d-\d\d \d\d:\d\d +4 +3 +0 +1 +0 +", line)
    retried = lingo("table", "retry-quarantine", table, "1", "--model", models / "tiny")
    assert retried.out.startswith("nothing to retry: later runs have handled the rows")
    assert lingo("table", "remove-orphans", table).out == "deleted 0 files and folders, 0 bytes\n"


# What stands in braces is a place that the test fills in.
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
    ("sql --as-of 3 'SELECT 1'", "--as-of needs --table; name a translation table"),
    ("train {no} -o {new}", "{no}: not a dataset"),
    ("train {dataset} -o {new} --preset huge", "preset='huge': known are demo"),
    ("train {dataset} -o {new} --config {no}", "{no}: cannot be read"),
    ("train {dataset} -o {new} --preset demo --workers 9", "n_workers=9: at most n_data_shards=2"),
    ("prepare {no} -o {new}", "{no}: cannot be read"),
]


@pytest.mark.parametrize(("line", "says"), BAD_INPUT)
def test_bad_input_is_one_line_and_status_2(
    lingo: Lingo, lake: Path, dataset: Path, models: Path, tmp_path: Path, line: str, says: str
) -> None:
    places = {
        "no": tmp_path / "no",
        "new": tmp_path / "new",
        "lake": lake,
        "dataset": dataset,
        "models": models,
        "tiny": models / "tiny",
    }
    done = lingo(*(word.format(**places) for word in shlex.split(line)))

    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("lingo: error: ")
    assert len(done.err.splitlines()) == 1
    assert says.format(**places) in done.err
    assert not (tmp_path / "new").exists()


def test_bad_input_in_a_process_of_its_own(tmp_path: Path) -> None:
    done = lingo_process(tmp_path, "sql", "SELECT * FROM latests")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("lingo: error: 'SELECT * FROM latests': Catalog Error: ")
    assert done.err.endswith(
        "views are translations, latest, quarantine, tombstones, runs, lineage, scores\n"
    )
    assert done.err.count("\n") == 1


def test_a_disk_that_refuses_is_one_line_and_status_1(
    lingo: Lingo, dataset: Path, models: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    done = lingo(*("evaluate", dataset, "--model", models / "tiny", "--reports", tmp_path / "file"))
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("lingo: error: ")
    assert str(tmp_path / "file") in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("--nope", "No such option"),
        ("nope", "No such command"),
        ("translate --nope", "No such option"),
        ("translate", "Missing argument 'INPUT'"),
        ("translate x", "--output"),
        ("translate x -o t --text y", "No such option"),
        ("translate x -o t --dry-run", "No such option"),
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
def test_usage_errors_are_status_2_and_name_the_option(lingo: Lingo, line: str, says: str) -> None:
    done = lingo(*line.split())
    assert (done.status, done.out) == (2, "")
    assert says in done.err
    assert done.err.startswith("Usage: lingo")


def test_ctrl_c_says_that_the_same_command_continues(
    lingo: Lingo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupted(*_arguments: object, **_options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.table.query.connect", interrupted)
    done = lingo("sql", "SELECT 1")
    assert done.status == 130
    assert done.err.endswith("lingo: interrupted; the same command continues the work\n")
