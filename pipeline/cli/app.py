"""The command ``lingo`` and its subcommands.

``translate``, ``preview``, ``dataset``, ``table`` and ``models`` are in files of their own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from lingo_model import InputError
from pipeline.cli import datasets, models, tables
from pipeline.cli.exit_status import run_command_line
from pipeline.cli.interruption import CONTINUES, STARTS_OVER, advise_on_interruption
from pipeline.cli.options import (
    MODELS,
    REPORTS,
    BeamOption,
    ConfigOption,
    DatasetArgument,
    ModelOption,
    ModelsOption,
    PrecisionOption,
    RayOption,
    decode_config,
    location_of,
    on_this_machine,
    refuse_together,
)
from pipeline.cli.preview import preview
from pipeline.cli.progress import lines_without_terminal
from pipeline.cli.sql import sql
from pipeline.cli.translate import translate
from pipeline.dataset.splits import SPLITS, TEST_SPLIT, checked_split
from pipeline.models.reference import CHAMPION
from pipeline.settings import load_yaml, parse_settings
from pipeline.train.recipe import DEFAULT_PRESET, PRESETS, TrainConfig, TrainResources, recipe_named

_PREVIEW_ROWS = 10

app = typer.Typer(
    help="Parallel text in; an LSTM translation model, translation tables and score reports out. "
    "Start with `lingo demo`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """The console script. Exit statuses: see ``exit_status.py``."""
    run_command_line(lambda: app(prog_name="lingo"))


@app.command()
def demo(
    output: Annotated[
        Path, typer.Option(help="Folder of all results.", callback=on_this_machine)
    ] = Path("demo"),
    pairs: Annotated[int, typer.Option(min=1000, help="Training pairs to generate.")] = 20_000,
    only_corpus: Annotated[
        bool, typer.Option("--only-corpus", help="Generate and prepare the corpus, then stop.")
    ] = False,
    ray_address: RayOption = None,
) -> None:
    """Show the whole pipeline on a generated English-Spanish corpus, in some minutes."""
    advise_on_interruption(CONTINUES)
    from pipeline.demo.tour import run_demo

    run_demo(output, n_pairs=pairs, only_corpus=only_corpus, ray_address=ray_address)


@app.command()
def prepare(
    corpus: Annotated[
        Path, typer.Argument(help="A corpus description in YAML.", callback=on_this_machine)
    ],
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="Folder of the new dataset, here or on S3."),
    ] = None,
    config: ConfigOption = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes. [default: one per CPU, or one for a small corpus]"),
    ] = None,
    ray_address: Annotated[
        str | None,
        typer.Option(
            "--ray-address",
            help="A Ray cluster that does the work; 'auto' finds one on this machine. Its "
            "nodes must see all files. [default: processes of this machine, without Ray]",
        ),
    ] = None,
    work_folder: Annotated[
        Path | None,
        typer.Option(
            help="Folder of copies of inputs on S3, and of a dataset for S3 before it is uploaded. "
            "[default: lingo/prepare in the user's cache]",
            callback=on_this_machine,
        ),
    ] = None,
    show: Annotated[
        bool,
        typer.Option(
            "--preview", help="Show how each input is read, with its first rows. Writes nothing."
        ),
    ] = False,
    rows: Annotated[
        int | None,
        typer.Option(
            min=0, help=f"Rows of each input that --preview shows. [default: {_PREVIEW_ROWS}]"
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the preview as one JSON object for each input.")
    ] = False,
    advise: Annotated[
        bool,
        typer.Option(
            "--advise",
            help="Show what each cleaning rule drops, and propose thresholds. Writes nothing.",
        ),
    ] = False,
    sample: Annotated[
        int | None,
        typer.Option(min=1, help="Rows of each input that --advise looks at. [default: 20000]"),
    ] = None,
) -> None:
    """Clean, split and encode raw parallel text into a dataset.

    The same command continues after an interruption.
    """
    if show:
        refuse_together(
            "--preview",
            {
                "--output": output,
                "--config": config,
                "--workers": workers,
                "--advise": advise or None,
            },
        )
        _preview_corpus(corpus, rows, as_json=as_json)
        return
    if advise:
        refuse_together("--advise", {"--output": output, "--rows": rows})
        _advise(corpus, config, sample)
        return
    if sample is not None:
        raise InputError("--sample needs --advise")
    if rows is not None or as_json:
        raise InputError("--rows and --json need --preview")
    if output is None:
        raise InputError("missing --output DATASET, --preview or --advise")
    if ray_address is not None:
        refuse_together("--ray-address", {"--workers": workers})
    advise_on_interruption(CONTINUES)
    from pipeline.prepare.config import PrepareConfig
    from pipeline.prepare.input_layout import layout_notes
    from pipeline.prepare.input_names import named_inputs
    from pipeline.prepare.notes import notes_of, subword_table
    from pipeline.prepare.open_corpus import open_corpus
    from pipeline.prepare.stage import prepare_corpus
    from pipeline.prepare.work_folder import default_work_folder, folder_of_inputs
    from pipeline.table.query import rejected_rows_command

    settings = load_yaml(PrepareConfig, config) if config is not None else PrepareConfig()
    place = location_of(output)
    on_progress = lines_without_terminal("prepare")
    copies = folder_of_inputs(work_folder or default_work_folder(), corpus, place)
    with open_corpus(corpus, copies, on_progress=on_progress) as description:
        manifest = prepare_corpus(
            description,
            place,
            settings,
            n_workers=workers,
            work_folder=work_folder,
            ray_address=ray_address,
            on_progress=on_progress,
        )
        layouts = [
            note for named in named_inputs(description.inputs) for note in layout_notes(named)
        ]
    for item in manifest.inputs:
        rejected = ", ".join(f"{n} {reason}" for reason, n in item.n_rejected.items())
        print(
            f"{item.name}: read {item.n_read:,}, kept {item.n_kept:,}"
            + (f", rejected {rejected}" if rejected else "")
        )
    for split in SPLITS:
        counts = manifest.splits[split]
        print(f"{split}: {counts.n_pairs:,} pairs, {counts.n_target_tokens:,} target tokens")
    if manifest.subword_statistics is not None:
        for line in subword_table(manifest.subword_statistics):
            print(line)
    if manifest.splits["valid"].n_pairs == 0:
        print("note: the validation split is empty, so no model can be trained on this dataset")
    for note in (*layouts, *notes_of(manifest)):
        print(f"note: {note}")
    n_rejected = sum(manifest.n_rejected.values())
    if n_rejected:
        print(f"rejected rows, with reasons: {place / 'rejected'}")
        if isinstance(place, Path):
            print(f"query: {rejected_rows_command(place)}")
    print(f"dataset: {place}")


def _advise(corpus: Path, config: Path | None, n_rows: int | None) -> None:
    """Print what each cleaning rule drops."""
    from pipeline.prepare.advise import DEFAULT_SAMPLE, advice_lines, advise
    from pipeline.prepare.config import PrepareConfig
    from pipeline.prepare.open_corpus import open_corpus

    settings = load_yaml(PrepareConfig, config) if config is not None else PrepareConfig()
    with open_corpus(corpus) as description:
        advice = advise(description, settings, n_rows=n_rows or DEFAULT_SAMPLE)
    for line in advice_lines(advice):
        print(line)


def _preview_corpus(corpus: Path, n_rows: int | None, *, as_json: bool) -> None:
    """Print how each input is read.

    Raises:
        InputError: an input cannot be read. Its preview says why.
    """
    from pipeline.prepare import preview as previews
    from pipeline.prepare.open_corpus import open_corpus

    n_shown = _PREVIEW_ROWS if n_rows is None else n_rows
    with open_corpus(corpus, n_parts=previews.N_CHECKED_PARTS) as description:
        unreadable = []
        for item in previews.preview_corpus(description, n_shown):
            if as_json:
                lines = json.dumps(previews.as_json(item), ensure_ascii=False, default=str)
            else:
                lines = "\n".join(previews.as_lines(item))
            print(description.with_uris(lines))
            if item.error is not None:
                unreadable.append(item.name)
        if unreadable:
            raise InputError(f"{', '.join(unreadable)}: cannot be read, as its preview says")
        previews.check_together(description)


@app.command()
def train(
    dataset: DatasetArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Folder of the new model, such as models/en-de.",
            callback=on_this_machine,
        ),
    ],
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help=f"A recipe by name: {', '.join(PRESETS)}. [default: {DEFAULT_PRESET}]",
        ),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="A recipe in a YAML file instead; unknown keys are refused.",
            callback=on_this_machine,
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Training processes. [default: one per GPU, or one per CPU without GPUs]"
        ),
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option(help="End the training early after this time.")
    ] = None,
    reverse: Annotated[
        bool,
        typer.Option("--reverse", help="Train from the dataset's target language to its source."),
    ] = False,
    ray_address: RayOption = None,
) -> None:
    """Train a model by data-parallel training. The same command continues after an interruption."""
    advise_on_interruption(CONTINUES)
    from pipeline.train.export import training_summary
    from pipeline.train.stage import train_model

    if config is not None:
        refuse_together("--config", {"--preset": preset})
        recipe = load_yaml(TrainConfig, config)
    else:
        recipe = recipe_named(preset or DEFAULT_PRESET)
    resources = parse_settings(
        TrainResources,
        {"n_workers": workers, "max_minutes": max_minutes, "ray_address": ray_address},
        where="options",
    )
    train_model(dataset, output, recipe, resources, reverse=reverse)
    print(training_summary(output))
    print(f"model: {output}")


app.command()(translate)
app.command()(preview)
app.add_typer(tables.app, name="table")


@app.command()
def evaluate(
    dataset: DatasetArgument,
    model: ModelOption = CHAMPION,
    split: Annotated[str, typer.Option(metavar="|".join(SPLITS), help="The split.")] = TEST_SPLIT,
    precision: PrecisionOption = None,
    beam_size: BeamOption = None,
    reports: Annotated[
        Path, typer.Option(help="Folder of reports.", callback=on_this_machine)
    ] = REPORTS,
    models: ModelsOption = MODELS,
) -> None:
    """Score a model on a dataset's test sentences: BLEU, chrF and TER, with a report."""
    advise_on_interruption(STARTS_OVER)
    from pipeline.evaluate.stage import evaluate_model
    from pipeline.models.registry import resolve_model

    report = evaluate_model(
        dataset,
        resolve_model(model, models),
        reports,
        split=checked_split(split),
        decode=decode_config(precision, beam_size),
    )
    for score in report.scores:
        print(f"{score.metric} = {score.score:.2f}   {score.signature}")
    for note in report.notes:
        print(f"note: {note}")
    print(f"report: {report.folder}/report.html")


app.add_typer(datasets.app, name="dataset")
app.add_typer(models.app, name="models")


app.command()(sql)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def run(
    context: typer.Context,
    flow: Annotated[str, typer.Argument(help="A flow such as train-lstm, or FLOW/DEPLOYMENT.")],
) -> None:
    """Run a flow's deployment on the Prefect server. 'train-lstm' means 'train-lstm/default'.

    Further options go to `prefect deployment run`: -p NAME=VALUE sets a parameter, --watch waits.
    """
    name = flow if "/" in flow else f"{flow}/default"
    command = [sys.executable, "-m", "prefect", "deployment", "run", name, *context.args]
    sys.exit(subprocess.run(command, check=False).returncode)
