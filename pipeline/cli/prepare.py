"""``lingo prepare``: the dataset, ``--preview`` and ``--advise``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from lingo_model import InputError
from pipeline.cli.interruption import CONTINUES, advise_on_interruption
from pipeline.cli.options import ConfigOption, location_of, on_this_machine, refuse_together
from pipeline.cli.progress import lines_without_terminal
from pipeline.settings import load_yaml
from pipeline.storage.location import Location

_PREVIEW_ROWS = 10


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
    _prepare(corpus, location_of(output), config, workers, ray_address, work_folder)


def _prepare(
    corpus: Path,
    place: Location,
    config: Path | None,
    workers: int | None,
    ray_address: str | None,
    work_folder: Path | None,
) -> None:
    """Write a dataset, and print what became of each input."""
    from pipeline.dataset.report import REPORT_PAGE
    from pipeline.prepare.config import PrepareConfig
    from pipeline.prepare.input_layout import layout_notes
    from pipeline.prepare.input_names import named_inputs
    from pipeline.prepare.notes import input_table, notes_of, split_table, subword_table
    from pipeline.prepare.open_corpus import open_corpus
    from pipeline.prepare.stage import prepare_corpus
    from pipeline.prepare.work_folder import default_work_folder, folder_of_inputs
    from pipeline.table.query import rejected_rows_command

    settings = load_yaml(PrepareConfig, config) if config is not None else PrepareConfig()
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
    tables = [input_table(manifest), split_table(manifest)]
    if manifest.subword_statistics is not None:
        tables.append(subword_table(manifest.subword_statistics))
    for table in tables:
        print("\n".join(table), end="\n\n")
    if manifest.splits["valid"].n_pairs == 0:
        print("note: the validation split is empty, so no model can be trained on this dataset")
    for note in (*layouts, *notes_of(manifest)):
        print(f"note: {note}")
    if manifest.n_rejected:
        print(f"rejected rows, with reasons: {place / 'rejected'}")
        if isinstance(place, Path):
            print(f"query: {rejected_rows_command(place)}")
    if manifest.report is not None:
        print(f"report: {place / REPORT_PAGE}")
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
