"""Flow ``nightly``: translate the new rows of a lake, then score the model that translated them."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.evaluate import evaluate_model
from flows.stages import find_model
from flows.train import train_lstm
from flows.translate import translate_corpus
from pipeline.models.reference import CHAMPION
from pipeline.storage.location import LocationField
from pipeline.train.recipe import DEFAULT_PRESET, PRESETS, RecipeField
from pipeline.translate.config import TranslateConfig, TranslateResources


@flow(log_prints=True)
def nightly(
    source: LocationField,
    table: LocationField,
    dataset: Path,
    models: Path,
    reports: Path,
    model: str = CHAMPION,
    config: TranslateConfig = TranslateConfig(),
    resources: TranslateResources = TranslateResources(),
    train: bool = False,
    recipe: RecipeField = PRESETS[DEFAULT_PRESET],
) -> float:
    """Translate the new rows of a lake, then score the model on the test split of a dataset.

    Args:
        source: the lake, a file or folder on this machine or on S3.
        table: the translation table, on this machine or on S3.
        dataset: the dataset to score the model on.
        models: folder of models.
        reports: folder of score reports.
        model: a model's name in ``models``, its path, or ``champion``.
        config: columns, policies and decoding of the translation. The score uses the same
            decoding.
        resources: actors and Ray cluster of the translation.
        train: train and score a new model first. It translates nothing until it is promoted.
        recipe: name of a preset, or the settings of that training.

    Returns:
        BLEU of the model that translated, 0 to 100.
    """
    if train:
        new_model = train_lstm(dataset, models, recipe=recipe)
        evaluate_model(dataset, models, reports, model=new_model, decode=config.decode)
    # Resolved once, because another model may be promoted while this one translates.
    bundle = str(find_model(model, models))
    translate_corpus(source, table, models, model=bundle, config=config, resources=resources)
    return evaluate_model(dataset, models, reports, model=bundle, decode=config.decode)
