"""From a dataset to a model bundle, by DDP through Ray Train.

Reads: a dataset. Writes: a bundle at ``output``, and until it is done a folder beside it:

    models/_runs/NAME/
      run.json             what this run is: recipe and dataset
      checkpoints/         see pipeline/train/checkpoint.py
      progress.json        where it is now
      gave_up.json         why it could not go on, if so

Run: ``lingo train DATASET --output models/NAME``. Run again after an interruption, it goes on.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lingo_model import BundleManifest, InputError, read_bundle_manifest
from lingo_model.atomic_files import locked
from pipeline.cluster.ray_session import run_on_ray
from pipeline.dataset.manifest import DatasetManifest, load_dataset, load_subwords
from pipeline.dataset.tables import read_encoded, read_pairs
from pipeline.errors import RunError
from pipeline.observability.progress import Bar, progress_bar
from pipeline.storage.files import write_json
from pipeline.storage.hashing import fingerprint_of
from pipeline.train.batches import BatchPlan
from pipeline.train.checkpoint import last_checkpoint, load_checkpoint
from pipeline.train.export import _finish
from pipeline.train.ray_trainer import _fit
from pipeline.train.recipe import TrainConfig, TrainResources, recipe_named
from pipeline.train.worker import GAVE_UP, PROGRESS


def train_model(
    dataset: Path,
    output: Path,
    config: TrainConfig | None = None,
    resources: TrainResources | None = None,
    *,
    watch: Callable[[dict[str, Any]], None] = lambda progress: None,
) -> BundleManifest:
    """Train a model and write it as a bundle; an interrupted run goes on from its checkpoint.

    A bundle at ``output`` that the same recipe made of the same dataset is returned as it is.

    Args:
        config: the recipe; default ``production``'s.
        watch: called with the content of ``progress.json`` whenever it changes.

    Raises:
        InputError: the dataset, the recipe or the resources do not fit, ``output`` holds another
            model, or another process trains it.
        RunError: workers failed again and again; the same command goes on from the last
            checkpoint.
    """
    config = config if config is not None else recipe_named()
    resources = resources if resources is not None else TrainResources()
    dataset, output = dataset.resolve(), output.resolve()
    manifest = load_dataset(dataset)
    identity = {
        "recipe": config.model_dump(mode="json"),
        "dataset_fingerprint": manifest.fingerprint,
    }
    training_dir = output.parent / "_runs" / output.name
    if output.exists():
        return _existing(output, identity, training_dir)
    _check_trainable(dataset, manifest, config, resources)
    training_dir.mkdir(parents=True, exist_ok=True)
    with locked(training_dir):
        if output.exists():  # by a process that held the lock until now
            return _existing(output, identity, training_dir)
        _claim(training_dir, identity)
        load_checkpoint(training_dir)  # a damaged one is named before any worker starts
        for left in (GAVE_UP, PROGRESS):  # by a process that is no more
            (training_dir / left).unlink(missing_ok=True)
        with progress_bar("train", None) as bar:
            watcher = _ProgressWatcher(training_dir, bar, watch)
            run_on_ray(
                lambda: _fit(dataset, training_dir, config, resources),
                address=resources.ray_address,
                watch=watcher,
            )
            watcher()  # what came after its last look
        check_not_given_up(training_dir)
        return _finish(dataset, manifest, training_dir, output, config)


def check_not_given_up(training_dir: Path) -> None:
    """Raise what a run that had to give up has to say.

    Raises:
        RunError: the reason, the last good checkpoint and the remedy.
    """
    file = training_dir / GAVE_UP
    if not file.exists():
        return
    found = json.loads(file.read_bytes())
    checkpoint = last_checkpoint(training_dir)
    kept = f"{checkpoint} is the last good one" if checkpoint else "there was no checkpoint yet"
    raise RunError(
        f"{training_dir}: {found['reason']}; {kept}: {found['remedy']}",
        retryable=found["retryable"],
    )


def _existing(output: Path, identity: dict[str, Any], training_dir: Path) -> BundleManifest:
    found = read_bundle_manifest(output)
    if found.dataset_fingerprint != identity["dataset_fingerprint"]:
        differs = "another dataset"
    elif found.recipe_fingerprint != fingerprint_of(identity["recipe"]):
        differs = "another recipe"
    else:
        shutil.rmtree(training_dir, ignore_errors=True)  # left by a process killed just before that
        return found
    raise InputError(f"{output}: holds a model of {differs}; name another output or remove it")


def _check_trainable(
    dataset: Path, manifest: DatasetManifest, config: TrainConfig, resources: TrainResources
) -> None:
    if manifest.leakage is None:
        raise InputError(
            f"{dataset}: its manifest has no leakage certificate, so its scores could not be "
            "trusted; prepare it again"
        )
    if manifest.splits["valid"].n_pairs == 0:
        raise InputError(
            f"{dataset}: its validation split is empty; give validation files, or a larger "
            "split.valid_share, and prepare it again"
        )
    if resources.n_workers is not None and resources.n_workers > config.n_data_shards:
        raise InputError(
            f"n_workers={resources.n_workers}: at most n_data_shards={config.n_data_shards}; "
            "set fewer workers or more lanes"
        )
    load_subwords(dataset, manifest)
    read_pairs(dataset, manifest, "valid")
    read_encoded(dataset, manifest, "valid")
    BatchPlan(  # refuses lanes that do not fit the dataset
        dataset,
        manifest,
        n_data_shards=config.n_data_shards,
        target_tokens_per_step=config.target_tokens_per_step,
        seed=config.seed,
    )


def _claim(training_dir: Path, identity: dict[str, Any]) -> None:
    """Begin a run in its folder, or go on with it if it is the same run."""
    file = training_dir / "run.json"
    if last_checkpoint(training_dir) is None or not file.exists():
        write_json(file, identity)
        return
    try:
        found: dict[str, Any] = json.loads(file.read_bytes())
    except ValueError as error:
        raise InputError(
            f"{file}: not valid JSON; copy it again, or remove {training_dir} and train again"
        ) from error
    for key, value in identity.items():
        if found.get(key) != value:
            raise InputError(
                f"{training_dir}: an unfinished run with another {key}; finish it with its own "
                "settings, remove the folder, or name another output"
            )


class _ProgressWatcher:
    """Shows on the bar what rank 0 writes to ``progress.json``."""

    def __init__(
        self, training_dir: Path, bar: Bar, watch: Callable[[dict[str, Any]], None]
    ) -> None:
        self._file = training_dir / PROGRESS
        self._bar = bar
        self._watch = watch
        self._seen = b""

    def __call__(self) -> None:
        try:
            content = self._file.read_bytes()
        except OSError:  # not there yet, or just being replaced on a disk of the network
            return
        if content == self._seen or not content:
            return
        self._seen = content
        progress = json.loads(content)
        self._bar.total(progress["n_steps"])
        bleu, loss = progress["valid_bleu"], progress["train_loss"]
        scores = "" if bleu is None else f"loss {loss:.3f}  BLEU {bleu:.1f}  "
        rate = progress["target_tokens_per_second"]
        self._bar.show(progress["step"], f"{scores}{rate:,.0f} tokens/s")
        self._watch(progress)
