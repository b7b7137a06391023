"""Flow ``train-lstm``: train a model on a dataset."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.artifacts import show_training
from flows.stages import train_bundle
from pipeline.train.export import derived_name
from pipeline.train.recipe import DEFAULT_PRESET, PRESETS, RecipeField, TrainResources


@flow(log_prints=True)
def train_lstm(
    dataset: Path,
    models: Path,
    name: str | None = None,
    recipe: RecipeField = PRESETS[DEFAULT_PRESET],
    resources: TrainResources = TrainResources(),
) -> str:
    """Train a model with distributed data parallelism (DDP) on Ray Train.

    Args:
        dataset: a dataset that ``prepare-corpus`` wrote.
        models: folder of models.
        name: the model's name in that folder. The default consists of languages, recipe and date.
            An interrupted training of the same name continues from its last checkpoint.
        recipe: name of a preset, or the settings of the training.
        resources: workers, time limit and Ray cluster.

    Returns:
        the model's name.
    """
    name = name or derived_name(dataset, recipe, models)
    train_bundle(dataset, models / name, recipe, resources)
    show_training(models / name)
    return name
