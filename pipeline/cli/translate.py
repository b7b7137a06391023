"""``lingo translate``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pipeline.cli.exit_status import EXIT_DEFERRED
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
    ModelOption,
    ModelsOption,
    OnNewModelOption,
    OutputOption,
    PrecisionOption,
    RayOption,
    RenameOption,
    SpansOption,
    TextColumnOption,
    location_of,
    translate_config,
    translate_resources,
)
from pipeline.models.reference import CHAMPION

if TYPE_CHECKING:
    from pipeline.table.manifest import RunManifest


def translate(
    source: InputArgument,
    output: OutputOption,
    model: ModelOption = CHAMPION,
    text_column: TextColumnOption = None,
    id_column: IdColumnOption = None,
    rename: RenameOption = None,
    drop: DropOption = None,
    columns: ColumnsOption = None,
    on_new_model: OnNewModelOption = None,
    lake: LakeOption = None,
    spans: SpansOption = None,
    join_lines: JoinLinesOption = None,
    precision: PrecisionOption = None,
    beam_size: BeamOption = None,
    limit: LimitOption = None,
    config: ConfigOption = None,
    actors: ActorsOption = None,
    models: ModelsOption = MODELS,
    ray_address: RayOption = None,
) -> None:
    """Translate the new rows of INPUT and publish them as one run of a table.

    The same command continues a run that was interrupted. Exit status 3 means that some input
    changed meanwhile and is left for the next run.
    """
    advise_on_interruption(CONTINUES)
    from pipeline.models.registry import resolve_model
    from pipeline.translate.stage import translate_table

    manifest = translate_table(
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
            spans=spans,
            join_lines=join_lines,
            precision=precision,
            beam_size=beam_size,
            limit=limit,
        ),
        translate_resources(actors, ray_address),
    )
    if manifest is None:
        print(f"nothing new: every row of {source} is in {output}")
    else:
        print_run(manifest, output)


def print_run(manifest: RunManifest, table: str) -> None:
    """Print what a published run holds. Exits with status 3 if units were deferred."""
    from pipeline.table.query import sql_command

    rows = manifest.rows
    print(
        f"run {manifest.run_id}: {rows.n_input:,} rows = {rows.n_translated:,} translated + "
        f"{rows.n_reused:,} reused + {rows.n_passed_through:,} passed through + "
        f"{rows.n_quarantined:,} quarantined"
    )
    if manifest.n_rows_deleted:
        print(f"{manifest.n_rows_deleted:,} rows of earlier runs are no longer in the input")
    if manifest.n_units_skipped:
        print(f"{manifest.n_units_skipped:,} units were published before and were skipped")
    print(f"table: {table}")
    print(f"query: {sql_command(location_of(table))}")
    if manifest.units_deferred:
        paths = sorted({unit.path for unit in manifest.units_deferred})
        print(
            f"deferred to the next run because they changed meanwhile: {', '.join(paths)}",
            file=sys.stderr,
        )
        sys.exit(EXIT_DEFERRED)
