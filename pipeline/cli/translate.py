"""``lingo translate``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

from pipeline.cli.exit_status import EXIT_DEFERRED
from pipeline.cli.interruption import CONTINUES, advise_on_interruption
from pipeline.cli.options import (
    MODELS,
    ActorsOption,
    BeamOption,
    ColumnsOption,
    ConfigOption,
    DropOption,
    DryRunOption,
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
    TextColumnOption,
    location_of,
    translate_config,
    translate_resources,
)
from pipeline.models.reference import CHAMPION

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipeline.storage.location import Location
    from pipeline.table.manifest import RunManifest, SetAsideFile
    from pipeline.translate.config import TranslateConfig


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
    on_bad_file: OnBadFileOption = None,
    max_retracted_share: MaxRetractedShareOption = None,
    spans: SpansOption = None,
    join_lines: JoinLinesOption = None,
    precision: PrecisionOption = None,
    beam_size: BeamOption = None,
    limit: LimitOption = None,
    config: ConfigOption = None,
    actors: ActorsOption = None,
    models: ModelsOption = MODELS,
    ray_address: RayOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Translate the new rows of INPUT and publish them as one run of a table.

    The same command continues a run that was interrupted. Exit status 3 means that some input is
    left for a later run: it changed meanwhile, or the file is bad.
    """
    advise_on_interruption(CONTINUES)
    from pipeline.models.registry import resolve_model
    from pipeline.translate.stage import LakeNotes, translate_table

    settings = translate_config(
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
    )
    if dry_run:
        print_plan(location_of(source), resolve_model(model, models), location_of(output), settings)
        return
    lake_notes: list[LakeNotes] = []
    manifest = translate_table(
        location_of(source),
        resolve_model(model, models),
        location_of(output),
        settings,
        translate_resources(actors, ray_address),
        on_notes=lake_notes.append,
    )
    for note in lake_notes[0].notes:
        print(f"note: {note}")
    if manifest is not None:
        print_run(manifest, output)
    elif lake_notes[0].set_aside:
        print(f"nothing new in the files of {source} that can be used")
        _exit_with_set_aside(lake_notes[0].set_aside)
    elif lake_notes[0].n_rows_in_lake == 0:
        print(f"{source} has no rows: nothing was translated")
    else:
        print(f"nothing new: every row of {source} is in {output}")


def print_plan(
    source: Location,
    model: Path,
    output: Location,
    config: TranslateConfig,
    *,
    each_unit: bool = False,
) -> None:
    """Print what a run would do."""
    from pipeline.translate.forecast import forecast_run, forecast_text

    print(forecast_text(forecast_run(source, model, output, config), each_unit=each_unit))


def print_run(manifest: RunManifest, table: str) -> None:
    """Print what a published run holds. Exits with status 3 if some input was left."""
    from pipeline.table.query import sql_command

    rows = manifest.rows
    print(
        f"run {manifest.run_id}: {rows.n_input:,} rows = {rows.n_translated:,} translated + "
        f"{rows.n_reused:,} reused + {rows.n_passed_through:,} passed through + "
        f"{rows.n_quarantined:,} quarantined"
    )
    if manifest.n_rows_deleted:
        print(f"{manifest.n_rows_deleted:,} rows of earlier runs are no longer in the input")
    if manifest.n_rows_restored:
        print(
            f"{manifest.n_rows_restored:,} rows of earlier runs are current again, because a newer "
            "file lost their ids"
        )
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
    if manifest.set_aside:
        _exit_with_set_aside(manifest.set_aside)
    if manifest.units_deferred:
        sys.exit(EXIT_DEFERRED)


def _exit_with_set_aside(files: Sequence[SetAsideFile]) -> NoReturn:
    """Name the bad files and exit with status 3."""
    for file in files:
        print(f"set aside {file.path}: {file.reason}", file=sys.stderr)
    sys.exit(EXIT_DEFERRED)
