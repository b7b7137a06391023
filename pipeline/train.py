"""From a dataset to a model bundle, by DDP through Ray Train.

Reads: a dataset. Writes: a bundle at ``output``, and until it is done a folder beside it:

    models/_runs/NAME/
      run.json             what this run is: recipe and dataset
      checkpoints/         see pipeline/checkpoint.py
      progress.json        where it is now
      gave_up.json         why it could not go on, if so

Run: ``lingo train DATASET --output models/NAME``. Run again after an interruption, it goes on.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray.train
import torch
from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
from ray.train.torch import TorchTrainer, get_device

from lingo_model import BundleManifest, InputError, read_bundle_manifest, read_training, save_bundle
from pipeline.batches import BatchPlan
from pipeline.checkpoint import STEP_COLUMNS, RunState, last_checkpoint, load_checkpoint
from pipeline.cluster.failures import _reason
from pipeline.cluster.loopback_backend import LOOPBACK_ENVIRONMENT, LoopbackConfig, is_on_loopback
from pipeline.cluster.ray_session import is_local, run_on_ray
from pipeline.dataset.manifest import DatasetManifest, load_dataset, load_subwords
from pipeline.dataset.tables import read_encoded, read_pairs
from pipeline.errors import RunError
from pipeline.observability.progress import Bar, progress_bar
from pipeline.recipe import Resources, TrainConfig, recipe_named
from pipeline.storage.files import parquet_bytes, write_json
from pipeline.storage.folders import locked
from pipeline.storage.hashing import fingerprint_of
from pipeline.storage.manifests import utc_now
from pipeline.train_loop import GAVE_UP, PROGRESS, WORKER_ENVIRONMENT, TrainWorker, new_model
from pipeline.validation import WorkerPlace

HISTORY = "history.parquet"


_MAX_WORKER_FAILURES = 3


_LEAST_CPUS = 0.5  # of a worker


def train_model(
    dataset: Path,
    output: Path,
    config: TrainConfig | None = None,
    resources: Resources | None = None,
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
    resources = resources if resources is not None else Resources()
    dataset, output = dataset.resolve(), output.resolve()
    manifest = load_dataset(dataset)
    identity = {
        "recipe": config.model_dump(mode="json"),
        "dataset_fingerprint": manifest.fingerprint,
    }
    run_folder = output.parent / "_runs" / output.name
    if output.exists():
        return _existing(output, identity, run_folder)
    _check_trainable(dataset, manifest, config, resources)
    run_folder.mkdir(parents=True, exist_ok=True)
    with locked(run_folder):
        if output.exists():  # by a process that held the lock until now
            return _existing(output, identity, run_folder)
        _claim(run_folder, identity)
        load_checkpoint(run_folder)  # a damaged one is named before any worker starts
        for left in (GAVE_UP, PROGRESS):  # by a process that is no more
            (run_folder / left).unlink(missing_ok=True)
        with progress_bar("train", None) as bar:
            watcher = _ProgressWatcher(run_folder, bar, watch)
            run_on_ray(
                lambda: _fit(dataset, run_folder, config, resources),
                address=resources.ray_address,
                watch=watcher,
            )
            watcher()  # what came after its last look
        check_not_given_up(run_folder)
        return _finish(dataset, manifest, run_folder, output, config)


def check_not_given_up(run_folder: Path) -> None:
    """Raise what a run that had to give up has to say.

    Raises:
        RunError: the reason, the last good checkpoint and the remedy.
    """
    file = run_folder / GAVE_UP
    if not file.exists():
        return
    found = json.loads(file.read_bytes())
    checkpoint = last_checkpoint(run_folder)
    kept = f"{checkpoint} is the last good one" if checkpoint else "there was no checkpoint yet"
    raise RunError(
        f"{run_folder}: {found['reason']}; {kept}: {found['remedy']}", may_pass=found["may_pass"]
    )


def _existing(output: Path, identity: dict[str, Any], run_folder: Path) -> BundleManifest:
    found = read_bundle_manifest(output)
    if found.dataset_fingerprint != identity["dataset_fingerprint"]:
        differs = "another dataset"
    elif found.recipe_fingerprint != fingerprint_of(identity["recipe"]):
        differs = "another recipe"
    else:
        shutil.rmtree(run_folder, ignore_errors=True)  # left by a process killed just before that
        return found
    raise InputError(f"{output}: holds a model of {differs}; name another output or remove it")


def _check_trainable(
    dataset: Path, manifest: DatasetManifest, config: TrainConfig, resources: Resources
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
    if resources.n_workers is not None and resources.n_workers > config.n_lanes:
        raise InputError(
            f"n_workers={resources.n_workers}: at most n_lanes={config.n_lanes}; "
            "set fewer workers or more lanes"
        )
    load_subwords(dataset, manifest)
    read_pairs(dataset, manifest, "valid")
    read_encoded(dataset, manifest, "valid")
    BatchPlan(  # refuses lanes that do not fit the dataset
        dataset,
        manifest,
        n_lanes=config.n_lanes,
        target_tokens_per_step=config.target_tokens_per_step,
        seed=config.seed,
    )


def _claim(run_folder: Path, identity: dict[str, Any]) -> None:
    """Begin a run in its folder, or go on with it if it is the same run."""
    file = run_folder / "run.json"
    if last_checkpoint(run_folder) is None or not file.exists():
        write_json(file, identity)
        return
    try:
        found: dict[str, Any] = json.loads(file.read_bytes())
    except ValueError as error:
        raise InputError(
            f"{file}: not valid JSON; copy it again, or remove {run_folder} and train again"
        ) from error
    for key, value in identity.items():
        if found.get(key) != value:
            raise InputError(
                f"{run_folder}: an unfinished run with another {key}; finish it with its own "
                "settings, remove the folder, or name another output"
            )


class _ProgressWatcher:
    """Shows on the bar what rank 0 writes to ``progress.json``."""

    def __init__(self, run_folder: Path, bar: Bar, watch: Callable[[dict[str, Any]], None]) -> None:
        self._file = run_folder / PROGRESS
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


class _OwnTrainer(TorchTrainer):  # type: ignore[misc]
    """A trainer on a Ray of our own: what should tidy up after it goes with it, too.

    That callback asks the dashboard, which such a Ray has not, and each run would wait twelve
    seconds for the answer.
    """

    def _create_default_callbacks(self) -> list[Any]:
        found: list[Any] = super()._create_default_callbacks()
        return [one for one in found if type(one).__name__ != "PlacementGroupCleanerCallback"]


def _fit(dataset: Path, run_folder: Path, config: TrainConfig, resources: Resources) -> None:
    """Run the workers to the end; called with Ray running."""
    scaling = _scaling(config, resources)
    name = uuid.uuid4().hex  # Ray would resume its own state under a name that it knows
    ray_folder = run_folder / "ray"
    ray_folder.mkdir(exist_ok=True)
    trainer_class = _OwnTrainer if is_local(resources.ray_address) else TorchTrainer
    torch_config, environment = None, WORKER_ENVIRONMENT
    if is_on_loopback():
        torch_config = LoopbackConfig(folder=str(ray_folder))
        environment = environment | LOOPBACK_ENVIRONMENT
    trainer = trainer_class(
        _ray_worker,
        train_loop_config={
            "dataset": str(dataset),
            "run_folder": str(run_folder),
            "config": config.model_dump(mode="json"),
            "max_minutes": resources.max_minutes,
        },
        torch_config=torch_config,
        scaling_config=scaling,
        run_config=RunConfig(
            name=name,
            storage_path=str(ray_folder),
            failure_config=FailureConfig(
                max_failures=_MAX_WORKER_FAILURES, controller_failure_limit=_MAX_WORKER_FAILURES
            ),
            worker_runtime_env={"env_vars": environment},
        ),
    )
    try:
        trainer.fit()
    except TrainingFailedError as error:
        checkpoint = last_checkpoint(run_folder)
        raise RunError(
            f"{run_folder}: training failed ({_reason(error)}); mend that and run "
            "the same command again: it goes on from "
            f"{checkpoint if checkpoint else 'the beginning, there was no checkpoint yet'}"
        ) from error


def _scaling(config: TrainConfig, resources: Resources) -> ScalingConfig:
    """One worker for each GPU, else for each CPU, as far as the lanes go; CPUs shared equally.

    Raises:
        InputError: more workers than the cluster can place (Ray would wait for ever).
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    n_gpus = int(sum(node.get("GPU", 0) for node in nodes))
    n_cpus = int(sum(node.get("CPU", 0) for node in nodes))

    def n_places(cpus_each: float) -> int:
        fit = [(node.get("CPU", 0) // cpus_each, node.get("GPU", 0)) for node in nodes]
        return int(sum(min(by_cpu, by_gpu) if n_gpus else by_cpu for by_cpu, by_gpu in fit))

    most = n_places(_LEAST_CPUS)
    n_workers = resources.n_workers or min(config.n_lanes, n_gpus or n_cpus, most)
    if not 0 < n_workers <= most:
        raise InputError(
            f"n_workers={n_workers}: the cluster has {n_cpus} CPUs and {n_gpus} GPUs, room for "
            f"{most} workers; set fewer, or give it more"
        )
    while resources.n_workers is None and config.n_lanes % n_workers:
        n_workers -= 1  # lanes shared out unevenly would leave workers waiting
    n_free = n_cpus  # for workers together: what others hold on a cluster, they may hold for long
    if not is_local(resources.ray_address):
        n_free = ray.available_resources().get("CPU", 0)
    cpus_each = next(
        (
            share
            for share in range(n_cpus, 0, -1)
            if n_places(share) >= n_workers and share * n_workers <= n_free
        ),
        _LEAST_CPUS,
    )
    return ScalingConfig(
        num_workers=n_workers,
        use_gpu=n_gpus > 0,
        resources_per_worker={"CPU": cpus_each} | ({"GPU": 1} if n_gpus else {}),
    )


def _ray_worker(loop_config: dict[str, Any]) -> None:
    """One Ray Train worker: finds its place and trains."""
    context = ray.train.get_context()
    assigned = ray.get_runtime_context().get_assigned_resources()
    torch.set_num_threads(max(1, int(assigned.get("CPU", 1))))
    place = WorkerPlace(context.get_world_rank(), context.get_world_size(), get_device())
    worker = TrainWorker(
        Path(loop_config["dataset"]),
        Path(loop_config["run_folder"]),
        TrainConfig.model_validate(loop_config["config"]),
        place,
    )
    worker.train(max_minutes=loop_config["max_minutes"])


def _finish(
    dataset: Path, manifest: DatasetManifest, run_folder: Path, output: Path, config: TrainConfig
) -> BundleManifest:
    """Make a bundle of the best weights, then remove the run's folder."""
    checkpoint = load_checkpoint(run_folder)
    if checkpoint is None or not checkpoint.state.stopped_by:
        raise RunError(f"{run_folder}: no finished checkpoint; run the same command again")
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
    shutil.rmtree(run_folder, ignore_errors=True)
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
    return max(unfinished, default=f"{stem}-{utc_now()[:10]}")


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
