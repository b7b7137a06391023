"""Flow ``nightly``: translate what is new, then say how far the model may be trusted."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.evaluate import evaluate_model
from flows.stages import find_model
from flows.train import train_lstm
from flows.translate import translate_corpus
from pipeline.storage.location import LocationField
from pipeline.train.recipe import TrainConfig, recipe_named
from pipeline.translate.config import TranslateConfig, TranslateResources


@flow(log_prints=True)
def nightly(
    source: LocationField,
    table: LocationField,
    dataset: Path,
    models: Path,
    reports: Path,
    model: str = "champion",
    config: TranslateConfig = TranslateConfig(),
    resources: TranslateResources = TranslateResources(),
    train: bool = False,
    recipe: TrainConfig = recipe_named(),
) -> float:
    """Translate the new rows of ``source`` with a named model, then evaluate that model.

    Args:
        source: a file or folder, here or on S3.
        table: the translation table, here or on S3.
        dataset: whose test split the model is scored on.
        models: folder of models.
        reports: folder of reports.
        model: a name in ``models``, or ``champion``.
        config: columns, policies and decoding of translating; models are scored with that decoding.
        resources: what to translate on.
        train: train a model first, and evaluate it too; it translates only once it is promoted.
        recipe: what that model learns.

    Returns:
        BLEU of the model that translated, 0 to 100.
    """
    if train:
        trained = train_lstm(dataset, models, recipe=recipe)
        evaluate_model(dataset, models, reports, model=trained, decode=config.decode)
    # Once: another may be promoted while this one translates.
    found = str(find_model(model, models))
    translate_corpus(source, table, models, model=found, config=config, resources=resources)
    return evaluate_model(dataset, models, reports, model=found, decode=config.decode)
