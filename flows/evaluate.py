"""Flow ``evaluate-model``: a model's scores on a test set."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.artifacts import show_report
from flows.stages import find_model, score_model
from pipeline.dataset.splits import Split
from pipeline.decoding import DecodeConfig


@flow(log_prints=True)
def evaluate_model(
    dataset: Path,
    models: Path,
    reports: Path,
    model: str = "champion",
    split: Split = "test",
    decode: DecodeConfig = DecodeConfig(),
) -> float:
    """Score a model and write its report.

    Args:
        dataset: the dataset whose ``split`` is translated and scored.
        models: folder of models.
        reports: folder of reports.
        model: a name in ``models``, or ``champion``.
        split: test, valid or train.
        decode: precision and search, as the model will be used.

    Returns:
        BLEU, 0 to 100.
    """
    report = score_model(dataset, find_model(model, models), reports, split, decode)
    show_report(report)
    return report.score("BLEU")
