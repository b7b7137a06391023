"""Translates the new rows of a lake into one run of a translation table, each exactly once.

Reads: a file or folder, and a model bundle.
Writes: one run of a table (``pipeline/table/manifest.py`` has the tree).
Run: ``lingo translate INPUT --model BUNDLE --output TABLE``. The same command continues a run that
was interrupted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch

from lingo_model import check_precision, read_bundle_manifest
from pipeline.cluster.ray_session import is_local
from pipeline.observability.progress import OnProgress, ignore_progress
from pipeline.storage.files import absolute, resolved
from pipeline.storage.location import Location
from pipeline.table.manifest import RunManifest, SetAsideFile
from pipeline.table.open_table import open_table
from pipeline.table.table import new_run_id
from pipeline.translate.actors import run_on_actors
from pipeline.translate.config import TranslateConfig, TranslateResources
from pipeline.translate.lineage import lineage_of
from pipeline.translate.planning import is_worth_a_run, plan_run, table_identity
from pipeline.translate.publish import check_same_run, finish_run, lake_request
from pipeline.translate.retraction import check_retraction
from pipeline.translate.translation_run import RunUnits, TranslationRun


@dataclasses.dataclass(frozen=True)
class LakeNotes:
    """What a user should know about a lake, whether or not something is translated.

    Attributes:
        notes: one sentence each.
        set_aside: the bad files that are not read. Their earlier rows stay.
        n_rows_in_lake: rows of the files that can be read; None if an unfinished run is continued.
    """

    notes: tuple[str, ...]
    set_aside: tuple[SetAsideFile, ...]
    n_rows_in_lake: int | None


def ignore_notes(_notes: LakeNotes) -> None:
    """The default for ``on_notes``."""


def translate_table(
    source: Location,
    model: Path,
    output: Location,
    config: TranslateConfig = TranslateConfig(),
    resources: TranslateResources = TranslateResources(),
    *,
    run_units: RunUnits = run_on_actors,
    on_progress: OnProgress = ignore_progress,
    on_notes: Callable[[LakeNotes], None] = ignore_notes,
) -> RunManifest | None:
    """Translate the new rows of ``source`` and publish them as one run of the table ``output``.

    An unfinished run of the table is continued as it was planned.

    Args:
        source: a file or folder, here or on S3.
        model: a model bundle.
        output: the table, here or on S3.
        config: columns, policies and decoding.
        resources: the machines to use.
        run_units: does the units; by default on Ray Data actors.
        on_progress: called with the rows done and the rows in all as the run proceeds.
        on_notes: called once before the run begins, with what a user should know about the lake,
            such as the bad files that are set aside. It is called if nothing is new, too.

    Returns:
        the manifest of the published run, or None if nothing is new. ``set_aside`` lists the bad
        files, whose earlier rows stay. ``units_deferred`` lists the
        units that are left for the next run because their file changed meanwhile.

    Raises:
        InputError: input, model and table do not fit together, no file can be used, too many rows
            are no longer in the input, this machine cannot run the precision, or another process
            writes to the table.
        RunError: actors failed, or the staged rows are not the rows of the input. Nothing is
            published; the same command continues the run.
    """
    source, model, output = absolute(source), model.resolve(), resolved(output)
    bundle = read_bundle_manifest(model)
    if is_local(resources.ray_address):  # the machines of a cluster may support more than this one
        check_precision(config.decode.precision, on_gpu=torch.cuda.is_available())
    table = open_table(output)
    identity = table_identity(bundle, config)
    table.check_identity(identity)
    with table.locked():
        plan = table.unfinished()
        if plan is None:
            published = table.published()
            run_id = new_run_id(published)
            planned = plan_run(
                run_id, source, bundle, config, published, lineage_of(model), table=table.root
            )
            on_notes(LakeNotes(planned.notes, planned.plan.set_aside, planned.n_rows_in_lake))
            check_retraction(planned.plan, published, table.data)
            if not is_worth_a_run(planned.plan, config, published):
                # A lake without rows gets a table without runs, which `lingo sql` reads.
                table.create(identity)
                return None
            table.create(identity)
            plan = table.begin(planned.plan)
        else:
            on_notes(LakeNotes((), plan.set_aside, n_rows_in_lake=None))
        check_same_run(table, plan, lake_request(source, bundle, config))
        run = TranslationRun(table, plan, model, resources, on_progress)
        return finish_run(run, run_units)
