"""Render a score report as Markdown and as one self-contained HTML page.

Reads:
    a :class:`ScoreReport`, its SEGMENTS table, the model's ``training.json``

Writes:
    report.json, report.md, report.html
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from markupsafe import Markup
from matplotlib.figure import Figure

from pipeline.evaluate.scores import ScoreReport
from pipeline.observability.pages import figure_svg, html_page, markdown_page
from pipeline.storage.files import write_bytes, write_json
from pipeline.training_record import EvaluationPoint, TrainingRecord

N_EXAMPLES = 10


def write_report(
    folder: Path, report: ScoreReport, segments: pa.Table, training: TrainingRecord
) -> None:
    """Write the three files of a report.

    Args:
        folder: folder of the report.
        report: the content of ``report.json``.
        segments: SEGMENTS of the split.
        training: the model's training record. Without a history in it, the report
            has no learning curves.
    """
    write_json(folder / "report.json", report.model_dump(mode="json"))
    write_bytes(folder / "report.md", markdown_report(report, segments).encode())
    write_bytes(folder / "report.html", html_report(report, segments, training).encode())


def example_rows(segments: pa.Table) -> list[dict[str, Any]]:
    """Up to ten rows of a SEGMENTS table, evenly spaced and not selected by score."""
    n_rows = min(N_EXAMPLES, segments.num_rows)
    rows: list[dict[str, Any]] = segments.take(
        [segments.num_rows * i // n_rows for i in range(n_rows)]
    ).to_pylist()
    return rows


def markdown_report(report: ScoreReport, segments: pa.Table) -> str:
    """The report in Markdown. Text from the data is escaped."""
    return markdown_page("report.md").render(
        report=report,
        rows=_rows(report),
        examples=example_rows(segments),
        reliability=_reliability(report),
    )


def html_report(report: ScoreReport, segments: pa.Table, training: TrainingRecord) -> str:
    """The report as one HTML page that loads nothing. All text is escaped."""
    worst_rows = segments.sort_by("chrf").slice(0, N_EXAMPLES).to_pylist()
    return html_page("report.html").render(
        report=report,
        rows=_rows(report),
        training=training,
        reliability=_reliability(report),
        tables=[("Examples", example_rows(segments)), ("Lowest scores", worst_rows)],
        histogram=_histogram(segments["chrf"].to_pylist()),
        curves=_learning_curves(training.history),
    )


def _rows(report: ScoreReport) -> str:
    """Words after the number of sentences that tell how many rows the given files have."""
    if report.n_given_rows is None:
        return ""
    if report.n_given_rows == report.n_sentences:
        return " (all rows of the given files)"
    return f" (of the {report.n_given_rows:,} rows of the given files)"


def _reliability(report: ScoreReport) -> str:
    """A sentence that says whether the model may have seen the scored sentences."""
    if not report.same_dataset:
        return (
            "The model was trained on another dataset. It is not known whether its training data "
            "contained these sentences."
        )
    if report.split == "train":
        return (
            "The model was trained on these sentences. The scores show how well it remembers them, "
            "not how well it translates."
        )
    if report.split == "valid":
        return (
            "The model was trained on this dataset, and its best step was chosen by its score on "
            "these sentences. The scores may be too high; use the test split to compare models."
        )
    return (
        "The model was trained on this dataset. The leakage certificate of the dataset states that "
        "no test sentence is among the training sentences, compared by their letters and digits."
    )


def _histogram(values: list[float]) -> Markup:
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    axes = figure.add_subplot()
    axes.hist(values, bins=25, range=(0, 100), color="#3b76af")
    axes.set(xlabel="chrF per sentence", ylabel="sentences", xlim=(0, 100))
    return figure_svg(figure)


def _learning_curves(history: Sequence[EvaluationPoint]) -> Markup | None:
    if not history:
        return None
    steps = [point.step for point in history]
    figure = Figure(figsize=(9, 3), layout="constrained")
    loss_axes, bleu_axes, rate_axes = figure.subplots(1, 3)
    for key, label in (("train_loss", "training"), ("valid_loss", "validation")):
        loss_axes.plot(steps, [getattr(point, key) for point in history], marker=".", label=label)
    loss_axes.set(title="loss (nats per token)", xlabel="step")
    loss_axes.legend()
    bleu_axes.plot(steps, [point.valid_bleu for point in history], marker=".", color="#2a7d4f")
    bleu_axes.set(title="validation BLEU", xlabel="step")
    rate_axes.plot(steps, [point.learning_rate for point in history], color="#7a4fa3")
    rate_axes.set(title="learning rate", xlabel="step")
    rate_axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    return figure_svg(figure)
