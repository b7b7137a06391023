"""``lingo table``: plan, abort, retry-quarantine, compact, remove-orphans, runs."""

from __future__ import annotations

from typing import Annotated

import typer

from pipeline.cli.interruption import CONTINUES, advise_on_interruption
from pipeline.cli.options import (
    MODELS,
    ActorsOption,
    BeamOption,
    ColumnsOption,
    ConfigOption,
    DropOption,
    IdColumnOption,
    InputArgument,
    JoinLinesOption,
    LakeOption,
    LimitOption,
    MaxRetractedShareOption,
    ModelOption,
    ModelsOption,
    OnBadFileOption,
    OnNewModelOption,
    OutputOption,
    PrecisionOption,
    RayOption,
    RenameOption,
    SpansOption,
    TableArgument,
    TextColumnOption,
    location_of,
    translate_config,
    translate_resources,
)
from pipeline.cli.translate import print_plan, print_run
from pipeline.models.reference import CHAMPION

app = typer.Typer(help="Plan, repair and maintain a translation table.", no_args_is_help=True)


@app.command()
def plan(
    source: InputArgument,
    output: OutputOption,
    model: ModelOption = CHAMPION,
    each_unit: Annotated[
        bool, typer.Option("--each-unit", help="Also print each unit with the reason.")
    ] = False,
    text_column: TextColumnOption = None,
    id_column: IdColumnOption = None,
    rename: RenameOption = None,
    drop: DropOption = None,
    columns: ColumnsOption = None,
    on_new_model: OnNewModelOption = None,
    lake: LakeOption = None,
    on_bad_file: OnBadFileOption = None,
    max_retracted_share: MaxRetractedShareOption = None,
    spans: SpansOption = None,
    join_lines: JoinLinesOption = None,
    precision: PrecisionOption = None,
    beam_size: BeamOption = None,
    limit: LimitOption = None,
    config: ConfigOption = None,
    models: ModelsOption = MODELS,
) -> None:
    """Print what `lingo translate` with these options would do. Writes nothing."""
    from pipeline.models.registry import resolve_model

    print_plan(
        location_of(source),
        resolve_model(model, models),
        location_of(output),
        translate_config(
            config,
            text_column=text_column,
            id_column=id_column,
            rename=rename,
            drop=drop,
            columns=columns,
            on_new_model=on_new_model,
            lake=lake,
            on_bad_file=on_bad_file,
            max_retracted_share=max_retracted_share,
            spans=spans,
            join_lines=join_lines,
            precision=precision,
            beam_size=beam_size,
            limit=limit,
        ),
        each_unit=each_unit,
    )


@app.command()
def abort(table: TableArgument) -> None:
    """Discard the table's unfinished run. On S3, stop every other process first."""
    from pipeline.table.maintenance import abort_unfinished

    run_id = abort_unfinished(location_of(table))
    print(f"discarded run {run_id}" if run_id else "no unfinished run")


@app.command()
def retry_quarantine(
    table: TableArgument,
    run: Annotated[str, typer.Argument(help="The id or number of a run.")],
    model: ModelOption = CHAMPION,
    precision: PrecisionOption = None,
    beam_size: BeamOption = None,
    config: ConfigOption = None,
    actors: ActorsOption = None,
    models: ModelsOption = MODELS,
    ray_address: RayOption = None,
) -> None:
    """Retry the rows that a run quarantined, and publish them as a new run.

    Skips rows that a later run has already handled. Skips rows that could not be read: fix their
    file instead, and the next run reads it again.
    """
    advise_on_interruption(CONTINUES)
    from pipeline.models.registry import resolve_model
    from pipeline.translate.retry_quarantine import retry_quarantine as retry

    manifest = retry(
        run,
        resolve_model(model, models),
        location_of(table),
        translate_config(config, precision=precision, beam_size=beam_size),
        translate_resources(actors, ray_address),
    )
    if manifest is None:
        print(
            f"nothing to retry: run {run} quarantined no such rows, or later runs have handled them"
        )
    else:
        print_run(manifest, table)


@app.command()
def compact(table: TableArgument) -> None:
    """Merge the small files of each run into large ones. Rows, runs and `latest` do not change."""
    advise_on_interruption(CONTINUES)
    from pipeline.table.compaction import compact as compact_table

    n_before, n_after = compact_table(location_of(table))
    print(f"{n_before:,} files before, {n_after:,} after")


@app.command()
def remove_orphans(
    table: TableArgument,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be deleted, and delete nothing.")
    ] = False,
) -> None:
    """Delete files that no run refers to. Killed processes leave them."""
    advise_on_interruption(CONTINUES)
    from pipeline.table.maintenance import remove_orphan_files

    orphans = remove_orphan_files(location_of(table), dry_run=dry_run)
    for path in orphans:
        print(path)
    verb = "would delete" if dry_run else "deleted"
    print(f"{verb} {len(orphans):,} files and folders, {sum(orphans.values()):,} bytes")


@app.command()
def runs(table: TableArgument) -> None:
    """List the table's published runs, oldest first, and the unfinished run."""
    from pipeline.table.run_list import run_list

    print(run_list(location_of(table)))
