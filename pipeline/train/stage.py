"""The training stage: it turns a dataset into a model bundle, by DDP through Ray Train.

Reads: a dataset.
Writes: a bundle at ``output``, and until that is complete a folder beside it:

    models/_runs/NAME/
      run.json             what the run learns; see pipeline/train/run_files.py
      checkpoints/         see pipeline/train/checkpoint.py
      progress.json        how far the run is
      gave_up.json         why the workers ended the run, if they did

Run: ``lingo train DATASET --output models/NAME``. The same command continues an interrupted run.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from lingo_model import BundleManifest, InputError, read_bundle_manifest
from lingo_model.atomic_files import locked
from pipeline.cluster.ray_session import run_on_ray
from pipeline.dataset.dataset import Dataset, open_dataset
from pipeline.observability.progress import progress_bar
from pipeline.train.batches import check_data_shards
from pipeline.train.checkpoint import load_checkpoint
from pipeline.train.export import export_bundle
from pipeline.train.progress_watcher import ProgressWatcher
from pipeline.train.ray_trainer import run_workers
from pipeline.train.recipe import TrainConfig, TrainResources, recipe_named
from pipeline.train.run_files import (
    GAVE_UP,
    PROGRESS,
    RunIdentity,
    TrainingProgress,
    check_not_given_up,
    claim_training_dir,
)


def train_model(
    dataset: Path,
    output: Path,
    config: TrainConfig = recipe_named(),
    resources: TrainResources = TrainResources(),
    *,
    reverse: bool = False,
    on_progress: Callable[[TrainingProgress], None] = lambda progress: None,
) -> BundleManifest:
    """Train a model and write it as a bundle.

    An interrupted run continues from its last checkpoint. A bundle at ``output`` is returned
    unchanged if the same recipe and dataset made it.

    Args:
        dataset: folder of the dataset.
        output: folder of the new bundle.
        config: the recipe.
        resources: what the run may use.
        reverse: whether to train from the dataset's targets to its sources.
        on_progress: called in this thread whenever the progress changes.

    Returns:
        the manifest of the bundle.

    Raises:
        InputError: the dataset, the recipe or the resources cannot be used, ``output`` holds
            another model, or another process trains it.
        RunError: the workers failed too often or ended the run. If the error is retryable, the
            same call continues from the last checkpoint.
    """
    dataset, output = dataset.resolve(), output.resolve()
    opened = open_dataset(dataset, reverse=reverse)
    identity = RunIdentity.of(config, opened.manifest.fingerprint)
    training_dir = output.parent / "_runs" / output.name
    if output.exists():
        return _existing_bundle(output, opened, identity, training_dir)
    _check_trainable(opened, config, resources)
    training_dir.mkdir(parents=True, exist_ok=True)
    with locked(training_dir):
        if output.exists():  # written by the process that held the lock before
            return _existing_bundle(output, opened, identity, training_dir)
        claim_training_dir(training_dir, identity)
        load_checkpoint(training_dir)  # reports a damaged checkpoint before any worker starts
        for stale in (GAVE_UP, PROGRESS):  # of an earlier process
            (training_dir / stale).unlink(missing_ok=True)
        with progress_bar("train", None) as bar:
            watcher = ProgressWatcher(training_dir, bar, on_progress)
            run_on_ray(
                lambda: run_workers(opened, training_dir, config, resources),
                address=resources.ray_address,
                on_poll=watcher,
            )
            watcher()  # for a change after the last poll
        check_not_given_up(training_dir)
        return export_bundle(opened, training_dir, output, config)


def _existing_bundle(
    output: Path, dataset: Dataset, identity: RunIdentity, training_dir: Path
) -> BundleManifest:
    """The manifest of the bundle at ``output``, if the same recipe and dataset made it.

    Raises:
        InputError: another recipe or dataset made it, or it translates in the opposite direction.
    """
    manifest = read_bundle_manifest(output)
    languages = manifest.source_lang, manifest.target_lang
    if languages == (dataset.manifest.target_lang, dataset.manifest.source_lang):
        difference = "the opposite direction"
    elif manifest.dataset_fingerprint != identity.dataset_fingerprint:
        difference = "another dataset"
    elif manifest.recipe_fingerprint != identity.recipe_fingerprint:
        difference = "another recipe"
    else:
        # A process that was killed after it wrote the bundle may have left the folder.
        shutil.rmtree(training_dir, ignore_errors=True)
        return manifest
    raise InputError(f"{output}: holds a model of {difference}; name another output or remove it")


def _check_trainable(dataset: Dataset, config: TrainConfig, resources: TrainResources) -> None:
    """Check that training can start, before anything is written.

    Raises:
        InputError: the dataset is incomplete or damaged, or the numbers of workers and data shards
            do not fit.
    """
    if dataset.manifest.leakage is None:
        raise InputError(
            f"{dataset.path}: the manifest has no leakage certificate, so scores could not be "
            "trusted; prepare the dataset again"
        )
    if dataset.manifest.splits["valid"].n_pairs == 0:
        raise InputError(
            f"{dataset.path}: the validation split is empty; give validation files or a larger "
            "split.valid_share, and prepare the dataset again"
        )
    if resources.n_workers is not None and resources.n_workers > config.n_data_shards:
        raise InputError(
            f"n_workers={resources.n_workers}: at most n_data_shards={config.n_data_shards}; "
            "set fewer workers or more data shards"
        )
    dataset.subwords()
    dataset.pairs("valid")
    dataset.encoded("valid")
    check_data_shards(dataset, config.n_data_shards)
