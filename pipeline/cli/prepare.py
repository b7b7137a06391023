"""``lingo prepare``: the dataset, ``--preview`` and ``--advise``."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Annotated

import typer

from lingo_model import InputError
from pipeline.cli.interruption import CONTINUES, advise_on_interruption
from pipeline.cli.options import ConfigOption, on_this_machine, refuse_together
from pipeline.cli.progress import lines_without_terminal
from pipeline.settings import load_yaml

_PREVIEW_ROWS = 10


def prepare(
    corpus: Annotated[
        Path, typer.Argument(help="A corpus description in YAML.", callback=on_this_machine)
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder of the new dataset.", callback=on_this_machine),
    ] = None,
    config: ConfigOption = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes. [default: one per CPU, or one for a small corpus]"),
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
    advise_on_interruption(CONTINUES)
    _prepare(corpus, output, config, workers)


def _prepare(corpus: Path, output: Path, config: Path | None, workers: int | None) -> None:
    """Write a dataset, and print what became of each input."""
    from pipeline.dataset.report import REPORT_PAGE
    from pipeline.prepare.config import PrepareConfig
    from pipeline.prepare.corpus import load_corpus
    from pipeline.prepare.input_layout import layout_notes
    from pipeline.prepare.input_names import named_inputs
    from pipeline.prepare.notes import input_table, notes_of, split_table, subword_table
    from pipeline.prepare.stage import prepare_corpus
    from pipeline.table.query import rejected_rows_command

    settings = load_yaml(PrepareConfig, config) if config is not None else PrepareConfig()
    description = load_corpus(corpus)
    manifest = prepare_corpus(
        description,
        output,
        settings,
        n_workers=workers,
        on_progress=lines_without_terminal("prepare"),
    )
    tables = [input_table(manifest), split_table(manifest)]
    if manifest.subword_statistics is not None:
        tables.append(subword_table(manifest.subword_statistics))
    for table in tables:
        print("\n".join(table), end="\n\n")
    if manifest.splits["valid"].n_pairs == 0:
        print("note: the validation split is empty, so no model can be trained on this dataset")
    layouts = (layout_notes(named) for named in named_inputs(description.inputs))
    for note in (*itertools.chain.from_iterable(layouts), *notes_of(manifest)):
        print(f"note: {note}")
    n_rejected = sum(manifest.n_rejected.values())
    if n_rejected:
        print(f"rejected rows, with reasons: {output / 'rejected'}")
        print(f"query: {rejected_rows_command(output)}")
    if manifest.report is not None:
        print(f"report: {output / REPORT_PAGE}")
    print(f"dataset: {output}")


def _advise(corpus: Path, config: Path | None, n_rows: int | None) -> None:
    """Print what each cleaning rule drops."""
    from pipeline.prepare.advise import DEFAULT_SAMPLE, advice_lines, advise
    from pipeline.prepare.config import PrepareConfig
    from pipeline.prepare.corpus import load_corpus

    settings = load_yaml(PrepareConfig, config) if config is not None else PrepareConfig()
    advice = advise(load_corpus(corpus), settings, n_rows=n_rows or DEFAULT_SAMPLE)
    for line in advice_lines(advice):
        print(line)


def _preview_corpus(corpus: Path, n_rows: int | None, *, as_json: bool) -> None:
    """Print how each input is read.

    Raises:
        InputError: an input cannot be read. Its preview says why.
    """
    from pipeline.prepare import preview as previews
    from pipeline.prepare.corpus import load_corpus

    unreadable = []
    description = load_corpus(corpus)
    for item in previews.preview_corpus(description, _PREVIEW_ROWS if n_rows is None else n_rows):
        if as_json:
            print(json.dumps(previews.as_json(item), ensure_ascii=False, default=str))
        else:
            print("\n".join(previews.as_lines(item)))
        if item.error is not None:
            unreadable.append(item.name)
    if unreadable:
        raise InputError(f"{', '.join(unreadable)}: cannot be read, as its preview says")
    previews.check_together(description)
