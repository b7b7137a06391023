"""Exports a finished training run as a model bundle, and describes bundles.

Reads: the last checkpoint of a run.
Writes: a bundle, with ``training.json`` and ``history.parquet``.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa

from lingo_model import BundleManifest, save_bundle
from pipeline.dataset.dataset import Dataset, open_dataset
from pipeline.errors import RunError
from pipeline.storage.backend import parquet_bytes
from pipeline.storage.hashing import fingerprint_of
from pipeline.storage.manifests import utc_now
from pipeline.train.checkpoint import STEP_COLUMNS, RunState, last_checkpoint, load_checkpoint
from pipeline.train.recipe import TrainConfig
from pipeline.train.worker import new_model
from pipeline.training_record import TrainingRecord

HISTORY = "history.parquet"
"""The file of a bundle that has a row for each training step."""


def export_bundle(
    dataset: Dataset, training_dir: Path, output: Path, config: TrainConfig
) -> BundleManifest:
    """Write the best weights of a finished run as a bundle, then remove the folder of the run.

    Raises:
        RunError: the run is not finished.
    """
    checkpoint = load_checkpoint(training_dir)
    if checkpoint is None or not checkpoint.state.stopped_by:
        raise RunError(f"{training_dir}: no finished checkpoint; run the same command again")
    subwords = dataset.subwords()
    model = new_model(subwords, config)
    model.load_state_dict(checkpoint.best)
    state = checkpoint.state
    recipe = config.model_dump(mode="json")
    record = TrainingRecord(
        recipe=recipe,
        corpus=tuple(item.name for item in dataset.manifest.inputs),
        n_parameters=model.n_parameters(),
        n_steps=state.step,
        seconds=state.seconds,
        stopped_by=state.stopped_by,
        best_step=state.best_step,
        best_valid_bleu=state.best_bleu,
        history=tuple(state.history),
    )
    bundle = save_bundle(
        output,
        model,
        subwords,
        source_lang=dataset.manifest.source_lang,
        target_lang=dataset.manifest.target_lang,
        dataset_fingerprint=dataset.manifest.fingerprint,
        recipe_fingerprint=fingerprint_of(recipe),
        training=record.model_dump(),
        attachments={HISTORY: parquet_bytes(_history_table(state))},
    )
    shutil.rmtree(training_dir, ignore_errors=True)
    return bundle


def _history_table(state: RunState) -> pa.Table:
    """A row for each step; the validation columns are null except at evaluations."""
    evaluations = {point.step: point for point in state.history}
    numbers = range(1, state.step + 1)
    columns = {"step": pa.array(numbers, pa.int32())}
    for name in STEP_COLUMNS:
        dtype = pa.int32() if name == "n_target_tokens" else pa.float32()
        columns[name] = pa.array(state.steps[name], dtype)
    for name in ("valid_loss", "valid_bleu"):
        values = [getattr(evaluations[n], name) if n in evaluations else None for n in numbers]
        columns[name] = pa.array(values, pa.float32())
    return pa.table(columns)


def derived_name(dataset: Path, config: TrainConfig, models: Path) -> str:
    """The default name of a model: its languages, a fingerprint of dataset and recipe, the date.

    An unfinished run of the same dataset and recipe keeps the name that it has from another day.

    Args:
        dataset: folder of the dataset.
        config: the recipe.
        models: the folder that the model will be in.

    Raises:
        InputError: ``dataset`` is not a dataset.
    """
    manifest = open_dataset(dataset).manifest
    fingerprint = fingerprint_of([manifest.fingerprint, config.model_dump(mode="json")])
    stem = f"{manifest.source_lang}-{manifest.target_lang}-{fingerprint[:8]}"
    unfinished = [
        folder.name
        for folder in (models / "_runs").glob(f"{stem}-*")
        if last_checkpoint(folder) is not None and not (models / folder.name).exists()
    ]
    return max(unfinished, default=f"{stem}-{utc_now().date()}")


def training_summary(bundle: Path) -> str:
    """The training of a bundle in one line, from its ``training.json``.

    Raises:
        InputError: ``training.json`` is damaged.
    """
    record = TrainingRecord.load(bundle)
    if record.n_steps == 0:
        return "not recorded"
    return (
        f"{record.n_steps:,} steps in {record.seconds / 60:.1f} minutes, ended by "
        f"{record.stopped_by}; validation BLEU {record.best_valid_bleu:.2f} at step "
        f"{record.best_step:,}; {record.n_parameters:,} parameters"
    )
