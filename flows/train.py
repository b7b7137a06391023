"""Flow ``train-lstm``: a dataset to a model bundle."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.artifacts import show_training
from flows.stages import train_bundle
from pipeline.train.export import derived_name
from pipeline.train.recipe import TrainConfig, TrainResources, recipe_named


@flow(log_prints=True)
def train_lstm(
    dataset: Path,
    models: Path,
    name: str | None = None,
    recipe: TrainConfig = recipe_named(),
    resources: TrainResources = TrainResources(),
) -> str:
    """Train a model by DDP through Ray Train.

    Args:
        dataset: what ``prepare-corpus`` wrote.
        models: folder of models.
        name: the model's name there; default one of languages, recipe and date. A run of the same
            name that was interrupted goes on.
        recipe: what is learnt.
        resources: what it runs on.

    Returns:
        the model's name.
    """
    name = name or derived_name(dataset, recipe, models)
    train_bundle(dataset, models / name, recipe, resources)
    show_training(models / name)
    return name
