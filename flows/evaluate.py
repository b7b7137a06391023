"""Flow ``evaluate-model``: score a model on a dataset."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.artifacts import show_report
from flows.stages import find_model, score_model
from pipeline.dataset.splits import TEST_SPLIT, Split
from pipeline.decoding import DecodeConfig
from pipeline.models.reference import CHAMPION


@flow(log_prints=True)
def evaluate_model(
    dataset: Path,
    models: Path,
    reports: Path,
    model: str = CHAMPION,
    split: Split = TEST_SPLIT,
    decode: DecodeConfig = DecodeConfig(),
) -> float:
    """Score a model with BLEU, chrF and TER, and write a score report.

    Args:
        dataset: a dataset that ``prepare-corpus`` wrote.
        models: folder of models.
        reports: folder of score reports.
        model: a model's name in that folder, its path, or ``champion``.
        split: the split to translate: test, valid or train.
        decode: precision and search. Use the settings that the model will be used with.

    Returns:
        BLEU, 0 to 100.
    """
    report = score_model(dataset, find_model(model, models), reports, split, decode)
    show_report(report)
    return report.score("BLEU")
