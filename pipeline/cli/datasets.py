"""``lingo dataset``: check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lingo_model import InputError
from pipeline.cli.exit_status import EXIT_LEAKS
from pipeline.cli.interruption import STARTS_OVER, advise_on_interruption
from pipeline.cli.options import DatasetArgument, default_of, on_this_machine, refuse_together
from pipeline.cli.progress import lines_without_terminal
from pipeline.prepare.leaks_config import N_ROWS_SHOWN, LeaksConfig
from pipeline.settings import parse_settings

if TYPE_CHECKING:
    from pipeline.prepare.near_check import DatasetCheck

app = typer.Typer(help="Check datasets.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """A group, although it has one command."""


def _on_this_machine(paths: list[Path] | None) -> list[Path]:
    return [path for path in map(on_this_machine, paths or []) if path is not None]


@app.command()
def check(
    dataset: DatasetArgument,
    targets: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[TARGETS]",
            help="With --against SOURCES: a text file with the translations of its lines.",
            show_default=False,
            callback=_on_this_machine,
        ),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Compare the dataset with this test file instead: a table with both sides, or a "
            "text file of sources.",
            callback=on_this_machine,
        ),
    ] = None,
    source_column: Annotated[
        str | None, typer.Option(help="The column of a table with the sources. [default: source]")
    ] = None,
    target_column: Annotated[
        str | None, typer.Option(help="The column of a table with the targets. [default: target]")
    ] = None,
    similarity: Annotated[
        float | None,
        typer.Option(
            help="1 less the share of words that differ, from which two texts are near. "
            f"[default: {default_of(LeaksConfig, 'similarity')}]"
        ),
    ] = None,
    max_changed_words: Annotated[
        int | None,
        typer.Option(
            help="Most words that differ between near texts, 1 or 2. "
            f"[default: {default_of(LeaksConfig, 'max_changed_words')}]"
        ),
    ] = None,
    min_words: Annotated[
        int | None,
        typer.Option(
            help="Texts of fewer words are never near. "
            f"[default: {default_of(LeaksConfig, 'min_words')}]"
        ),
    ] = None,
    min_target_words: Annotated[
        int | None,
        typer.Option(
            help="Targets of fewer words are not compared. "
            f"[default: {default_of(LeaksConfig, 'min_target_words')}]"
        ),
    ] = None,
    rows: Annotated[int, typer.Option(min=0, help="Pairs to name.")] = N_ROWS_SHOWN,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find pairs that are equal or near to a test or validation pair.

    Compares the training pairs with the validation and test pairs, and the validation pairs with
    the test pairs. Exit status 4: a training pair is equal or near, or the source of a validation
    pair is equal. 0: neither.
    """
    advise_on_interruption(STARTS_OVER)
    from pipeline.dataset.dataset import open_dataset
    from pipeline.prepare.near_check import check_against, check_dataset

    limits = {
        "similarity": similarity,
        "max_changed_words": max_changed_words,
        "min_words": min_words,
        "min_target_words": min_target_words,
    }
    given = {key: value for key, value in limits.items() if value is not None}
    config = parse_settings(LeaksConfig, given, where="options")
    on_progress = lines_without_terminal("check")
    opened = open_dataset(dataset)
    if against is None:
        columns = {"--source-column": source_column, "--target-column": target_column}
        _refuse_without_against(targets, columns)
        result = check_dataset(opened, config, n_rows=rows, on_progress=on_progress)
    else:
        if targets:
            refuse_together(
                "TARGETS", {"--source-column": source_column, "--target-column": target_column}
            )
        result = check_against(
            opened,
            [against, *(targets or [])],
            config,
            source_column=source_column or "source",
            target_column=target_column or "target",
            n_rows=rows,
            on_progress=on_progress,
        )
    print(result.model_dump_json(indent=2) if as_json else _table(result))
    if result.has_leaks:
        raise typer.Exit(EXIT_LEAKS)


def _refuse_without_against(targets: list[Path] | None, options: dict[str, str | None]) -> None:
    given = [str(targets[0])] if targets else [name for name, value in options.items() if value]
    if given:
        raise InputError(f"{given[0]}: needs --against; give the test file with --against FILE")


def _table(check: DatasetCheck) -> str:
    """The counts of a check as a table, and the pairs that it names."""
    kinds = list(check.comparisons[0].n_close)
    header = ("pairs", "compared with", *(kind.replace("_", " ") for kind in kinds))
    test = " ".join(check.against)
    cells = [
        (
            f"{item.n_pairs:,} {item.split}",
            f"{item.n_against:,} {test or item.against}",
            *(f"{item.n_close[kind]:,}" for kind in kinds),
        )
        for item in check.comparisons
    ]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if number < 2 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (header, *cells)
    ]
    for row in check.rows:
        lines.append(f"\n{row.kind}, {row.similarity:.2f}: {row.origin} ({row.split}), {row.of}")
        is_source = row.kind.endswith("source")
        lines.append(f"    {row.source if is_source else row.target}")
        lines.append(f"    {row.of_source if is_source else row.of_target}")
    n_close = sum(check.n_close.values())
    if n_close > len(check.rows):
        lines.append(f"\n{n_close - len(check.rows):,} more; name them with --rows {n_close}")
    if check.n_unreadable:
        lines.append(f"\nnote: {check.n_unreadable:,} rows of {test} cannot be read")
    lines.append(
        f"\nnear: similarity {check.similarity:g} or more, at most {check.max_changed_words} "
        f"changed, {check.min_words} words or more; targets: {check.min_target_words} words or more"
    )
    return "\n".join(lines)
