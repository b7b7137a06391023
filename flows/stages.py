"""The pipeline's stages as Prefect tasks.

Prefect retries a task that failed, unless its input is wrong. A task returns a path or a manifest,
never rows. Manifests on disk record what is done, so a retried task keeps the work of its first
attempt.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from flows.artifacts import TrainingProgressArtifacts
from flows.stage_log import StageLog, logged_stage
from lingo_model import BundleManifest, InputError
from pipeline.dataset.manifest import DatasetManifest
from pipeline.dataset.splits import Split
from pipeline.decoding import DecodeConfig
from pipeline.errors import RunError
from pipeline.evaluate.scores import ScoreReport
from pipeline.evaluate.stage import evaluate_model
from pipeline.models.registry import resolve_model
from pipeline.observability.progress import ProgressEvent
from pipeline.prepare.config import PrepareConfig
from pipeline.prepare.open_corpus import open_corpus
from pipeline.prepare.stage import prepare_corpus
from pipeline.prepare.work_folder import default_work_folder, folder_of_inputs
from pipeline.storage.location import Location
from pipeline.table.manifest import RunManifest
from pipeline.train.export import training_summary
from pipeline.train.recipe import TrainConfig, TrainResources
from pipeline.train.run_files import TrainingProgress
from pipeline.train.stage import train_model
from pipeline.translate.config import TranslateConfig, TranslateResources
from pipeline.translate.retry_quarantine import retry_quarantine
from pipeline.translate.stage import LakeNotes, translate_table

_RETRIES = 2
_RETRY_DELAY_SECONDS = 10


def _is_retryable(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether another attempt can succeed. It cannot if the input is wrong or the run says so."""
    error = state.result(raise_on_failure=False)
    if isinstance(error, RunError):
        return error.retryable
    return not isinstance(error, InputError)


_stage_task = task(
    retries=_RETRIES,
    retry_delay_seconds=_RETRY_DELAY_SECONDS,
    retry_condition_fn=_is_retryable,
    cache_policy=NO_CACHE,
    persist_result=False,
)


@_stage_task
def prepare_dataset(
    corpus: Path,
    output: Location,
    config: PrepareConfig,
    n_workers: int | None = None,
    work_folder: Path | None = None,
    ray_address: str | None = None,
) -> DatasetManifest:
    """Run ``pipeline.prepare.stage`` on a corpus description."""
    with logged_stage("prepare", corpus, output) as log:
        copies = folder_of_inputs(work_folder or default_work_folder(), corpus, output)
        with open_corpus(corpus, copies, on_progress=log.on_progress) as description:
            manifest = prepare_corpus(
                description,
                output,
                config,
                n_workers=n_workers,
                work_folder=work_folder,
                ray_address=ray_address,
                on_progress=log.on_progress,
            )
        n_read = sum(item.n_read for item in manifest.inputs)
        n_rejected = sum(manifest.n_rejected.values())
        log.result(f"{log.rate(n_read)}; {n_read - n_rejected:,} kept, {n_rejected:,} rejected")
    return manifest


@_stage_task
def train_bundle(
    dataset: Path, output: Path, recipe: TrainConfig, resources: TrainResources
) -> BundleManifest:
    """Run ``pipeline.train.stage`` and show its progress."""
    show = TrainingProgressArtifacts(output)
    with logged_stage("train", dataset, output) as log:

        def on_progress(progress: TrainingProgress) -> None:
            show(progress)
            log.on_progress(
                ProgressEvent(n_done=progress.step, n_total=progress.n_steps, unit="steps")
            )

        manifest = train_model(dataset, output, recipe, resources, on_progress=on_progress)
        log.result(training_summary(output))
    return manifest


@_stage_task
def translate_new_rows(
    source: Location,
    model: Path,
    table: Location,
    config: TranslateConfig,
    resources: TranslateResources,
) -> RunManifest | None:
    """Run ``pipeline.translate.stage`` on a lake."""
    with logged_stage("translate", source, table) as log:

        def on_notes(lake_notes: LakeNotes) -> None:
            for note in lake_notes.notes:
                log.line(note)
            for file in lake_notes.set_aside:
                log.line(f"set aside {file.path}: {file.reason}")

        manifest = translate_table(
            *(source, model, table, config, resources),
            on_progress=log.on_progress,
            on_notes=on_notes,
        )
        log.result(_translated(manifest, log))
    return manifest


@_stage_task
def retry_quarantined_rows(
    run: str,
    model: Path,
    table: Location,
    config: TranslateConfig,
    resources: TranslateResources,
) -> RunManifest | None:
    """Run ``pipeline.translate.stage`` on the quarantine of an earlier run."""
    with logged_stage("retry quarantine", f"run {run}", table) as log:
        manifest = retry_quarantine(
            run, model, table, config, resources, on_progress=log.on_progress
        )
        log.result(_translated(manifest, log))
    return manifest


def _translated(manifest: RunManifest | None, log: StageLog) -> str:
    """What a translation run did, for its last line."""
    if manifest is None:
        return "nothing new"
    rows = manifest.rows
    return (
        f"run {manifest.run_id}: {log.rate(rows.n_input)}; {rows.n_translated:,} translated, "
        f"{rows.n_reused:,} reused, {rows.n_passed_through:,} passed through, "
        f"{rows.n_quarantined:,} quarantined; {manifest.n_units_deferred:,} units deferred"
    )


@_stage_task
def score_model(
    dataset: Path, model: Path, reports: Path, split: Split, decode: DecodeConfig
) -> ScoreReport:
    """Run ``pipeline.evaluate.stage`` on a split."""
    with logged_stage("evaluate", f"{split} of {dataset}", reports) as log:
        report = evaluate_model(
            dataset, model, reports, split=split, decode=decode, on_progress=log.on_progress
        )
        scores = ", ".join(f"{score.metric} {score.score:.2f}" for score in report.scores)
        log.result(f"{log.rate(report.n_sentences)}; {scores}")
    return report


@_stage_task
def find_model(reference: str, models: Path) -> Path:
    """The folder of the model that a reference names; see ``pipeline.models.registry``."""
    return resolve_model(reference, models)
