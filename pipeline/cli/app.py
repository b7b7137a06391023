"""The command ``lingo`` and its subcommands.

``prepare``, ``translate``, ``preview``, ``dataset``, ``table`` and ``models`` are in files of their
own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import datasets, models, tables
from pipeline.cli.exit_status import run_command_line
from pipeline.cli.interruption import CONTINUES, STARTS_OVER, advise_on_interruption
from pipeline.cli.options import (
    MODELS,
    REPORTS,
    BeamOption,
    DatasetArgument,
    ModelOption,
    ModelsOption,
    PrecisionOption,
    RayOption,
    decode_config,
    on_this_machine,
    refuse_together,
)
from pipeline.cli.prepare import prepare
from pipeline.cli.preview import preview
from pipeline.cli.sql import sql
from pipeline.cli.translate import translate
from pipeline.dataset.splits import SPLITS, TEST_SPLIT, checked_split
from pipeline.models.reference import CHAMPION
from pipeline.settings import load_yaml, parse_settings
from pipeline.train.recipe import DEFAULT_PRESET, PRESETS, TrainConfig, TrainResources, recipe_named

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


app.command()(prepare)


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
