"""The stages as Prefect tasks: retried when they fail, never when their input is wrong.

A task returns a small result or a path, never rows: manifests on disk are the record of what is
done, so a retried task finds what its first try has finished.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from flows.artifacts import TrainingProgressArtifacts
from lingo_model import BundleManifest, InputError
from pipeline.dataset.manifest import DatasetManifest
from pipeline.dataset.splits import Split
from pipeline.decoding import DecodeConfig
from pipeline.errors import RunError
from pipeline.evaluate.scores import ScoreReport
from pipeline.evaluate.stage import evaluate_model as evaluate_model_stage
from pipeline.models.registry import resolve_model
from pipeline.prepare.config import PrepareConfig
from pipeline.prepare.corpus import load_corpus
from pipeline.prepare.stage import prepare_corpus as prepare_corpus_stage
from pipeline.storage.location import Location
from pipeline.table.manifest import RunManifest
from pipeline.train.recipe import TrainConfig, TrainResources
from pipeline.train.stage import train_model as train_model_stage
from pipeline.translate.config import TranslateConfig, TranslateResources
from pipeline.translate.stage import retry_quarantine, translate_table

_RETRIES = 2
_RETRY_DELAY_SECONDS = 10


def _worth_retrying(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Wrong input stays wrong, and so does what says so; a lost node or a full disk may pass."""
    failure = state.result(raise_on_failure=False)
    if isinstance(failure, RunError):
        return failure.retryable
    return not isinstance(failure, InputError)


_stage = task(
    retries=_RETRIES,
    retry_delay_seconds=_RETRY_DELAY_SECONDS,
    retry_condition_fn=_worth_retrying,
    cache_policy=NO_CACHE,
    persist_result=False,
)


@_stage
def prepare_dataset(corpus: Path, output: Path, config: PrepareConfig) -> DatasetManifest:
    """``pipeline.prepare.stage`` as a task."""
    return prepare_corpus_stage(load_corpus(corpus), output, config)


@_stage
def train_bundle(
    dataset: Path, output: Path, recipe: TrainConfig, resources: TrainResources
) -> BundleManifest:
    """``pipeline.train.stage`` as a task."""
    on_progress = TrainingProgressArtifacts(output)
    return train_model_stage(dataset, output, recipe, resources, on_progress=on_progress)


@_stage
def translate_new_rows(
    source: Location,
    model: Path,
    table: Location,
    config: TranslateConfig,
    resources: TranslateResources,
) -> RunManifest | None:
    """``pipeline.translate.stage`` as a task."""
    return translate_table(source, model, table, config, resources)


@_stage
def replay_rows(
    run: str,
    model: Path,
    table: Location,
    config: TranslateConfig,
    resources: TranslateResources,
) -> RunManifest | None:
    """``pipeline.translate.retry_quarantine`` as a task."""
    return retry_quarantine(run, model, table, config, resources)


@_stage
def score_model(
    dataset: Path, model: Path, reports: Path, split: Split, decode: DecodeConfig
) -> ScoreReport:
    """``pipeline.evaluate.stage`` as a task."""
    return evaluate_model_stage(dataset, model, reports, split=split, decode=decode)


@_stage
def find_model(reference: str, models: Path) -> Path:
    """``pipeline.models.registry`` as a task: the bundle that a name means."""
    return resolve_model(reference, models)
