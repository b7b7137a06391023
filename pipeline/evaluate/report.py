"""A score report for people: Markdown, and one HTML file that needs nothing else.

Reads: a report's values, its segments, a model's ``training.json``. Writes: ``report.json``,
``report.md`` and ``report.html``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from markupsafe import Markup
from matplotlib.figure import Figure

from pipeline.observability.pages import figure_svg, html_template, template_environment
from pipeline.storage.files import write_bytes, write_json
from pipeline.training_record import EvaluationPoint, TrainingRecord

N_EXAMPLES = 10


def write_report(
    folder: Path, report: dict[str, Any], segments: pa.Table, training: TrainingRecord
) -> None:
    """Write the three files of a report.

    Args:
        report: the values of ``report.json``. segments: SEGMENTS.
        training: the model's ``training.json``; it may have no steps.
    """
    write_json(folder / "report.json", report)
    write_bytes(folder / "report.md", markdown(report, segments).encode())
    write_bytes(folder / "report.html", html(report, segments, training).encode())


def examples(segments: pa.Table) -> list[dict[str, Any]]:
    """Ten sentences spread evenly over the split, good ones and bad ones as they come."""
    n = min(N_EXAMPLES, segments.num_rows)
    rows: list[dict[str, Any]] = segments.take(
        [segments.num_rows * i // n for i in range(n)]
    ).to_pylist()
    return rows


def markdown(report: dict[str, Any], segments: pa.Table) -> str:
    """The report as Markdown."""
    environment = template_environment(autoescape=False)
    environment.filters["cell"] = _markdown_cell
    template = environment.get_template("report.md")
    return template.render(report=report, examples=examples(segments), trust=_trust(report))


def html(report: dict[str, Any], segments: pa.Table, training: TrainingRecord) -> str:
    """The report as one HTML page; every text in it is escaped."""
    ordered = segments.sort_by("chrf")
    tables = [
        ("Sentences spread over the split", examples(segments)),
        ("The worst sentences", ordered.slice(0, N_EXAMPLES).to_pylist()),
    ]
    return html_template("report.html").render(
        report=report,
        training=training,
        trust=_trust(report),
        tables=tables,
        histogram=_histogram(segments["chrf"].to_pylist()),
        curves=_learning_curves(training.history),
    )


def _trust(report: dict[str, Any]) -> str:
    if not report["same_dataset"]:
        return (
            "The model was trained on another dataset: nobody has checked that it never saw these "
            "sentences."
        )
    if report["split"] == "train":
        return (
            "The model was trained on these very sentences: the scores say how well it remembers "
            "them, not how well it translates."
        )
    if report["split"] == "valid":
        return (
            "The model was trained on this dataset, and these are the sentences by which its best "
            "step was chosen: the scores may flatter it. The test split says more."
        )
    return (
        "The model was trained on this dataset, and its leakage certificate says that no "
        "test sentence is among the training sentences."
    )


def _markdown_cell(text: str) -> str:
    for character in "\\`*_{}[]<>|&~":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())


def _histogram(values: list[float]) -> Markup:
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    axes = figure.add_subplot()
    axes.hist(values, bins=25, range=(0, 100), color="#3b76af")
    axes.set(xlabel="chrF of a sentence", ylabel="sentences", xlim=(0, 100))
    return figure_svg(figure)


def _learning_curves(history: Sequence[EvaluationPoint]) -> Markup | None:
    if not history:
        return None
    steps = [point.step for point in history]
    figure = Figure(figsize=(9, 3), layout="constrained")
    loss, bleu, rate = figure.subplots(1, 3)
    for key, label in (("train_loss", "training"), ("valid_loss", "validation")):
        loss.plot(steps, [getattr(point, key) for point in history], marker=".", label=label)
    loss.set(title="loss (nats per token)", xlabel="step")
    loss.legend()
    bleu.plot(steps, [point.valid_bleu for point in history], marker=".", color="#2a7d4f")
    bleu.set(title="validation BLEU", xlabel="step")
    rate.plot(steps, [point.learning_rate for point in history], color="#7a4fa3")
    rate.set(title="learning rate", xlabel="step")
    rate.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    return figure_svg(figure)
