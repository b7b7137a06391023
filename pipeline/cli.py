"""The command line. Each command calls one stage; what it prints is for people."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.errors import RunError

if TYPE_CHECKING:
    from pipeline.decoding import DecodeConfig
    from pipeline.storage.location import Location

EXIT_FAILED, EXIT_BAD_INPUT, EXIT_DEFERRED = 1, 2, 3
_EXIT_INTERRUPTED = 130  # what typer makes of Ctrl-C

app = typer.Typer(
    help="Parallel text in; an LSTM translation model, tables of translations and score reports "
    "out. Start with `lingo demo`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
models_app = typer.Typer(help="List, show and promote models.", no_args_is_help=True)
app.add_typer(models_app, name="models")
table_app = typer.Typer(help="Keep a translation table tidy.", no_args_is_help=True)
app.add_typer(table_app, name="table")

DatasetArgument = Annotated[Path, typer.Argument(help="A dataset: what `lingo prepare` wrote.")]
ModelsOption = Annotated[Path, typer.Option("--models", help="Folder of models, by name.")]
ConfigOption = Annotated[
    Path | None, typer.Option("--config", help="Settings in a YAML file; unknown keys are refused.")
]
RayOption = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        help="A Ray cluster ('auto': one that runs on this machine), or 'local' to start one; "
        "default what RAY_ADDRESS says, else local.",
    ),
]

TierOption = Annotated[
    str,
    typer.Option(
        help="Precision: 'exact' (float32), or where the processor has it 'bf16' or 'int8', faster."
    ),
]
BeamOption = Annotated[
    int, typer.Option(help="Hypotheses a sentence; 1 is greedy, 4 or 5 is slower and better.")
]

_MODELS = Path("models")
_REPORTS = Path("reports")


def main() -> None:
    """Run the command line; see the exit statuses above. 0 is success."""
    try:
        app(prog_name="lingo")
    except SystemExit as exit_status:
        if exit_status.code == _EXIT_INTERRUPTED:
            print("lingo: interrupted; the same command goes on where it stopped", file=sys.stderr)
        raise
    except Exception as error:
        from lingo_model import InputError  # it brings torch, which --help can do without

        if isinstance(error, InputError):
            _fail(error, EXIT_BAD_INPUT)
        if isinstance(error, RunError | OSError):
            _fail(error, EXIT_FAILED)
        raise


# Options of `translate` that would be void beside --config, --replay, a quick look, or --text.
_IN_CONFIG = (
    "text_column",
    "id_column",
    "rename",
    "on_new_model",
    "lake",
    "tier",
    "beam_size",
    "limit",
)
_NOT_OF_REPLAY = ("source", "dry_run", "explain")
_NOT_OF_QUICK_LOOK = ("replay", "config", "rename", "dry_run", "explain")
_NOT_OF_TEXT = ("source", "output", "limit", *_NOT_OF_QUICK_LOOK)


def _refuse_beside(context: typer.Context, given: str, names: tuple[str, ...]) -> None:
    """Refuse options that would be void beside another.

    Raises:
        InputError: names the first that stands in the command.
    """
    from lingo_model import InputError

    for name in names:
        if str(context.get_parameter_source(name)).endswith("COMMANDLINE"):
            option = "INPUT" if name == "source" else f"--{name.replace('_', '-')}"
            raise InputError(f"{option} and {given}: give one of the two")


def _fail(error: Exception, status: int) -> None:
    print(f"lingo: error: {' '.join(str(error).split())}", file=sys.stderr)
    sys.exit(status)


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder that everything goes to.")] = Path("demo"),
    pairs: Annotated[int, typer.Option(min=1000, help="Training pairs to generate.")] = 20_000,
    only_corpus: Annotated[
        bool, typer.Option("--only-corpus", help="Generate and prepare the corpus, then stop.")
    ] = False,
    ray_address: RayOption = None,
) -> None:
    """Show the whole pipeline on a generated English-Spanish corpus, in some minutes."""
    from pipeline.demo.tour import run_demo

    run_demo(output, n_pairs=pairs, only_corpus=only_corpus, ray_address=ray_address)


@app.command()
def prepare(
    corpus: Annotated[Path, typer.Argument(help="A corpus description in YAML; see the README.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the new dataset.")],
    config: ConfigOption = None,
) -> None:
    """Clean, split and encode raw parallel text into a dataset."""
    from pipeline.dataset.splits import SPLITS
    from pipeline.prepare.config import PrepareConfig
    from pipeline.prepare.corpus import load_corpus
    from pipeline.prepare.stage import prepare_corpus
    from pipeline.settings import load_yaml

    settings = load_yaml(PrepareConfig, config) if config is not None else None
    manifest = prepare_corpus(load_corpus(corpus), output, settings)
    for item in manifest.inputs:
        rejected = ", ".join(f"{n} {reason}" for reason, n in item.n_rejected.items())
        print(
            f"{item.name}: read {item.n_read:,}, kept {item.n_kept:,}"
            + (f", rejected {rejected}" if rejected else "")
        )
    for split in SPLITS:
        counts = manifest.splits[split]
        print(f"{split}: {counts.n_pairs:,} pairs, {counts.n_target_tokens:,} target tokens")
    if manifest.splits["valid"].n_pairs == 0:
        print("note: the validation split is empty, so no model can be trained on this dataset")
    print(f"dataset: {output}")


@app.command()
def train(
    dataset: DatasetArgument,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the new model, such as models/en-de.")
    ],
    preset: Annotated[
        str,
        typer.Option(
            help="A recipe by name: demo, small, medium, large, plain, quick or production."
        ),
    ] = "production",
    config: ConfigOption = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Training processes; default one a GPU, else a CPU.")
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option(help="End early after so many minutes of training.")
    ] = None,
    ray_address: RayOption = None,
    *,
    context: typer.Context,
) -> None:
    """Train a model by DDP; the same command goes on after an interruption."""
    from pipeline.settings import load_yaml, parse_settings
    from pipeline.train.export import training_summary
    from pipeline.train.recipe import TrainConfig, TrainResources, recipe_named
    from pipeline.train.stage import train_model

    if config is not None:
        _refuse_beside(context, f"--config {config}", ("preset",))
    recipe = load_yaml(TrainConfig, config) if config is not None else recipe_named(preset)
    resources = parse_settings(
        TrainResources,
        {"n_workers": workers, "max_minutes": max_minutes, "ray_address": ray_address},
        where="train",
    )
    train_model(dataset, output, recipe, resources)
    print(training_summary(output))
    print(f"model: {output}")


@app.command()
def translate(
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="INPUT",
            help="A file or a folder, here or on S3 (s3://BUCKET/FOLDER): Parquet, JSONL, CSV, TSV "
            "or plain text, also .gz and .zst.",
        ),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="A model's folder or name, or 'champion'.")
    ] = "champion",
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="The translation table to add to, here or on S3."),
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="Translate this text and print it; needs no table.")
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Only the first rows of each file: printed, or with --output to a table of "
            "their own.",
        ),
    ] = None,
    text_column: Annotated[str, typer.Option(help="The column to translate.")] = "text",
    id_column: Annotated[
        str | None, typer.Option(help="A column that identifies a row; default its position.")
    ] = None,
    rename: Annotated[
        list[str] | None,
        typer.Option(help="OLD=NEW: give an input column another name; may be repeated."),
    ] = None,
    on_new_model: Annotated[
        str,
        typer.Option(help="Rows that another model has translated: 'keep' or 'retranslate'."),
    ] = "keep",
    tier: TierOption = "exact",
    beam_size: BeamOption = 1,
    actors: Annotated[
        int | None, typer.Option(min=1, help="Model replicas; default one a GPU, else a CPU.")
    ] = None,
    lake: Annotated[
        str,
        typer.Option(
            help="What a deleted file means: in one that 'grows', nothing; in a 'snapshot', that "
            "its rows are no more. 'moved': it grows, and lies elsewhere than at the last run."
        ),
    ] = "grows",
    config: ConfigOption = None,
    replay: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Try the rows again that this run put into quarantine, instead of INPUT.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what there is to do, and do nothing.")
    ] = False,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="As --dry-run, and of each unit why it is done or not."),
    ] = False,
    abort: Annotated[
        bool, typer.Option("--abort", help="Discard the table's unfinished run and stop.")
    ] = False,
    models: ModelsOption = _MODELS,
    ray_address: RayOption = None,
    *,
    context: typer.Context,
) -> None:
    """Translate what is new in INPUT and publish it as one run of a table.

    The same command goes on after an interruption. Exit status 3 says that some input changed
    meanwhile and was left for the next run. --config has every setting, in place of the options
    for columns, policies and decoding.
    """
    from pipeline.models.registry import resolve_model
    from pipeline.settings import load_yaml, parse_settings
    from pipeline.table.query import sql_command
    from pipeline.translate.config import TranslateConfig, TranslateResources
    from pipeline.translate.forecast import forecast, forecast_text
    from pipeline.translate.preview import preview_texts, translate_texts
    from pipeline.translate.stage import abort_unfinished, retry_quarantine, translate_table

    if abort:
        run_name = abort_unfinished(_place(output, "--output"))
        print(f"discarded run {run_name}" if run_name else "no unfinished run")
        return
    decode = _decode_config(tier, beam_size)
    if text is not None:
        _refuse_beside(context, "--text", _NOT_OF_TEXT)
        print(translate_texts(resolve_model(model, models), [text], decode)[0].text)
        return
    if replay is not None:
        _refuse_beside(context, f"--replay {replay}", _NOT_OF_REPLAY)
    else:
        _place(source, "INPUT, or --text")
    if source is not None and output is None and limit is not None:
        _refuse_beside(context, "--limit without --output", _NOT_OF_QUICK_LOOK)
        texts = preview_texts(_place(source, "INPUT"), text_column, limit)
        found = translate_texts(resolve_model(model, models), texts, decode)
        for original, translation in zip(texts, found, strict=True):
            score = f"{whole.score:.2f}" if (whole := translation.whole) else "as it is"
            print(f"{original}\n    {translation.text}    ({score})")
        return
    if config is not None:
        _refuse_beside(context, f"--config {config}", _IN_CONFIG)
    table = _place(output, "--output, or --limit for a quick look")
    bundle = resolve_model(model, models)
    settings = (
        load_yaml(TranslateConfig, config)
        if config is not None
        else parse_settings(
            TranslateConfig,
            {
                "text_column": text_column,
                "id_column": id_column,
                "rename": _renames(rename or []),
                "on_new_model": on_new_model,
                "lake": lake,
                "decode": decode,
                "limit": limit,
            },
            where="translate",
        )
    )
    resources = TranslateResources(n_actors=actors, ray_address=ray_address)
    if replay is not None:
        manifest = retry_quarantine(replay, bundle, table, settings, resources)
        nothing = f"nothing to try again: later runs have settled what run {replay} put aside"
    else:
        lake_root = _place(source, "INPUT, or --text")
        if dry_run or explain:
            print(forecast_text(forecast(lake_root, bundle, table, settings), each_unit=explain))
            return
        manifest = translate_table(lake_root, bundle, table, settings, resources)
        nothing = f"nothing new: every row of {source} is in {output}"
    if manifest is None:
        print(nothing)
        return
    rows = manifest.rows
    print(
        f"run {manifest.run_id}: {rows.n_input:,} rows = {rows.n_translated:,} translated + "
        f"{rows.n_reused:,} reused + {rows.n_passed_through:,} passed through + "
        f"{rows.n_quarantined:,} quarantined"
    )
    if manifest.n_rows_deleted:
        print(f"{manifest.n_rows_deleted:,} rows of earlier runs are in the input no more")
    if manifest.n_units_skipped:
        print(f"{manifest.n_units_skipped:,} units were published before and skipped")
    print(f"table: {output}")
    print(f"query: {sql_command(table)}")
    if manifest.units_deferred:
        changed = sorted({unit.path for unit in manifest.units_deferred})
        print(f"deferred to the next run, changed meanwhile: {', '.join(changed)}", file=sys.stderr)
        sys.exit(EXIT_DEFERRED)


@app.command()
def evaluate(
    dataset: DatasetArgument,
    model: Annotated[
        str, typer.Option("--model", "-m", help="A model's folder or name, or 'champion'.")
    ] = "champion",
    split: Annotated[str, typer.Option(help="test, valid or train.")] = "test",
    tier: TierOption = "exact",
    beam_size: BeamOption = 1,
    reports: Annotated[Path, typer.Option(help="Folder of reports.")] = _REPORTS,
    models: ModelsOption = _MODELS,
) -> None:
    """Score a model on a dataset's test sentences: BLEU, chrF and TER, with a report."""
    from pipeline.dataset.splits import checked_split
    from pipeline.evaluate.stage import evaluate_model
    from pipeline.models.registry import resolve_model

    report = evaluate_model(
        dataset,
        resolve_model(model, models),
        reports,
        split=checked_split(split),
        decode=_decode_config(tier, beam_size),
    )
    for score in report.scores:
        print(f"{score.metric} = {score.score:.2f}   {score.signature}")
    print(f"report: {report.folder}/report.html")


@models_app.command("list")
def models_list(models: ModelsOption = _MODELS) -> None:
    """List the models, the champion marked."""
    from pipeline.models.registry import list_models, read_champion

    named = read_champion(models)
    found = list_models(models)
    for name, manifest in found.items():
        if isinstance(manifest, Exception):
            print(f"{name}  cannot be used: {manifest}")
            continue
        mark = "  champion" if named is not None and named.name == name else ""
        print(f"{name}  {manifest.source_lang}-{manifest.target_lang}  {manifest.model_id}{mark}")
    if not found:
        print(f"no models in {models}")


@models_app.command("show")
def models_show(
    name: Annotated[str, typer.Argument(help="A model's folder or name, or 'champion'.")],
    models: ModelsOption = _MODELS,
) -> None:
    """Show what a model is and how it was trained."""
    import dataclasses

    from lingo_model import load_bundle, read_bundle_manifest
    from pipeline.models.registry import resolve_model
    from pipeline.train.export import training_summary

    path = resolve_model(name, models)
    manifest = read_bundle_manifest(path)
    print(f"model: {path}\nmodel_id: {manifest.model_id}")
    for key, value in dataclasses.asdict(manifest).items():
        print(f"{key}: {value}")
    print(f"parameters: {load_bundle(path).model.n_parameters():,}")
    print(f"training: {training_summary(path)}")


@models_app.command("import")
def models_import(
    weights: Annotated[
        Path, typer.Argument(help="A state dict that torch.save wrote, such as TorchLingo's.")
    ],
    subwords: Annotated[
        Path, typer.Option(help="The SentencePiece model that it learnt with, of `lingo prepare`.")
    ],
    source_lang: Annotated[str, typer.Option(help="Language it reads, such as en.")],
    target_lang: Annotated[str, typer.Option(help="Language it writes, such as de.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder of the new model, such as models/en-de.")
    ],
) -> None:
    """Make a model of weights that TorchLingo trained; the architecture is read off them."""
    from lingo_model.interchange import import_state_dict

    manifest = import_state_dict(
        weights, subwords, output, source_lang=source_lang, target_lang=target_lang
    )
    print(f"model: {output} ({manifest.model_id})")


@models_app.command("promote")
def models_promote(
    name: Annotated[str, typer.Argument(help="A model's name.")],
    report: Annotated[Path, typer.Option(help="The report.json that speaks for it.")],
    models: ModelsOption = _MODELS,
) -> None:
    """Make a model the champion, on the evidence of a score report of it."""
    from pipeline.models.registry import promote

    found = promote(models, name, report)
    print(f"champion: {found.name} ({found.model_id})")


@table_app.command("gc")
def table_gc(
    table: Annotated[str, typer.Argument(help="A translation table, here or on S3.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and delete nothing.")
    ] = False,
) -> None:
    """Delete what no run refers to: what killed processes left, files that no manifest names."""
    from pipeline.table.maintenance import remove_orphan_files

    found = remove_orphan_files(_place(table, "TABLE"), dry_run=dry_run)
    for path in found.paths:
        print(path)
    verb = "would go" if dry_run else "deleted"
    print(f"{verb}: {len(found.paths):,} files and folders, {found.n_bytes:,} bytes")


@table_app.command("compact")
def table_compact(
    table: Annotated[str, typer.Argument(help="A translation table, here or on S3.")],
) -> None:
    """Merge the small files of each run into large ones; rows, runs and latest stay as they are."""
    from pipeline.table.maintenance import compact

    n_before, n_after = compact(_place(table, "TABLE"))
    print(f"{n_before:,} files before, {n_after:,} now")


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="SQL, in DuckDB's dialect.")],
    table: Annotated[str | None, typer.Option(help="A translation table, here or on S3.")] = None,
    reports: Annotated[Path | None, typer.Option(help="Folder of reports, for scores.")] = None,
    as_of: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="The table as it was after this run, a name or number."),
    ] = None,
) -> None:
    """Query a table: views translations, latest, quarantine, retracted, runs, lineage, and scores
    of --reports; compare('A', 'B') sets what two runs or models made of each row side by side.
    """
    import shutil

    from pipeline.table.query import connect, run_query

    place = _place(table, "--table") if table is not None else None
    result = run_query(connect(place, reports, as_of=as_of), query)
    if result is not None:
        width = shutil.get_terminal_size((160, 24)).columns
        result.show(max_width=width, max_rows=100)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def run(
    context: typer.Context,
    flow: Annotated[str, typer.Argument(help="A flow such as train-lstm, or FLOW/DEPLOYMENT.")],
) -> None:
    """Run a flow's deployment on the Prefect server; 'train-lstm' means 'train-lstm/default'.

    What follows goes to `prefect deployment run`: -p NAME=VALUE sets a parameter, --watch waits.
    """
    name = flow if "/" in flow else f"{flow}/default"
    command = [sys.executable, "-m", "prefect", "deployment", "run", name, *context.args]
    sys.exit(subprocess.run(command, check=False).returncode)


def _place(value: str | None, what: str) -> Location:
    from lingo_model import InputError
    from pipeline.storage.location import location

    if value is None:
        raise InputError(f"{what} is missing; see `lingo translate --help`")
    return location(value)


def _decode_config(tier: str, beam_size: int) -> DecodeConfig:
    from pipeline.decoding import DecodeConfig
    from pipeline.settings import parse_settings

    return parse_settings(DecodeConfig, {"tier": tier, "beam_size": beam_size}, where="decode")


def _renames(pairs: list[str]) -> dict[str, str]:
    from lingo_model import InputError

    for pair in pairs:
        if not all(pair.partition("=")):
            raise InputError(f"--rename {pair!r}: needs OLD=NEW")
    return dict(pair.split("=", 1) for pair in pairs)
