"""Makes a bundle of a finished training run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa

from lingo_model import BundleManifest, read_training, save_bundle
from pipeline.dataset.manifest import DatasetManifest, load_dataset, load_subwords
from pipeline.errors import RunError
from pipeline.storage.backend import parquet_bytes
from pipeline.storage.hashing import fingerprint_of
from pipeline.storage.manifests import utc_now
from pipeline.train.checkpoint import STEP_COLUMNS, RunState, last_checkpoint, load_checkpoint
from pipeline.train.recipe import TrainConfig
from pipeline.train.worker import new_model

HISTORY = "history.parquet"


def _finish(
    dataset: Path, manifest: DatasetManifest, training_dir: Path, output: Path, config: TrainConfig
) -> BundleManifest:
    """Make a bundle of the best weights, then remove the run's folder."""
    checkpoint = load_checkpoint(training_dir)
    if checkpoint is None or not checkpoint.state.stopped_by:
        raise RunError(f"{training_dir}: no finished checkpoint; run the same command again")
    subwords = load_subwords(dataset, manifest)
    model = new_model(subwords, config)
    model.load_state_dict(checkpoint.best)
    state = checkpoint.state
    bundle = save_bundle(
        output,
        model,
        subwords,
        source_lang=manifest.source_lang,
        target_lang=manifest.target_lang,
        dataset_fingerprint=manifest.fingerprint,
        recipe_fingerprint=fingerprint_of(config.model_dump(mode="json")),
        training={
            "recipe": config.model_dump(mode="json"),
            "corpus": [item.name for item in manifest.inputs],
            "n_parameters": model.n_parameters(),
            "n_steps": state.step,
            "seconds": state.seconds,
            "stopped_by": state.stopped_by,
            "best_step": state.best_step,
            "best_valid_bleu": state.best_bleu,
            "history": state.history,
        },
        attachments={HISTORY: parquet_bytes(_history_table(state))},
    )
    shutil.rmtree(training_dir, ignore_errors=True)
    return bundle


def _history_table(state: RunState) -> pa.Table:
    """A row for each step; validation's columns are null but at evaluations."""
    evaluated = {entry["step"]: entry for entry in state.history}
    numbers = range(1, state.step + 1)
    columns = {"step": pa.array(numbers, pa.int32())}
    for name in STEP_COLUMNS:
        kind = pa.int32() if name == "n_target_tokens" else pa.float32()
        columns[name] = pa.array(state.steps[name], kind)
    for name in ("valid_loss", "valid_bleu"):
        values = [evaluated[n][name] if n in evaluated else None for n in numbers]
        columns[name] = pa.array(values, pa.float32())
    return pa.table(columns)


def derived_name(dataset: Path, config: TrainConfig, models: Path) -> str:
    """A model's name where none is given: the same for the same dataset, recipe and day.

    One that was begun on another day and not finished keeps its name.
    """
    manifest = load_dataset(dataset)
    recipe = fingerprint_of([manifest.fingerprint, config.model_dump(mode="json")])
    stem = f"{manifest.source_lang}-{manifest.target_lang}-{recipe[:8]}"
    unfinished = [
        folder.name
        for folder in (models / "_runs").glob(f"{stem}-*")
        if last_checkpoint(folder) is not None and not (models / folder.name).exists()
    ]
    return max(unfinished, default=f"{stem}-{utc_now().date()}")


def training_summary(bundle: Path) -> str:
    """How a bundle came to be, in one line, from its ``training.json``."""
    training = read_training(bundle)
    if "n_steps" not in training:
        return "not recorded"
    return (
        f"{training['n_steps']:,} steps in {training['seconds'] / 60:.1f} minutes, ended by "
        f"{training['stopped_by']}; validation BLEU {training['best_valid_bleu']:.2f} at step "
        f"{training['best_step']:,}; {training['n_parameters']:,} parameters"
    )
