"""Artifacts that the Prefect UI shows for a flow run: links, tables and the score report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.logging import get_logger

from pipeline.dataset.manifest import DatasetManifest
from pipeline.dataset.report import REPORT_PAGE, DatasetReport
from pipeline.evaluate.scores import ScoreReport
from pipeline.prepare.report import markdown_report
from pipeline.storage.location import Location
from pipeline.table.manifest import RUN_REPORT, RunManifest, run_path
from pipeline.train.run_files import TrainingProgress
from pipeline.training_record import TrainingRecord


def show_dataset(path: Location, manifest: DatasetManifest) -> None:
    """Show how many rows of each input were read, kept and rejected, the report and its page."""
    create_table_artifact(
        key="dataset-rows",
        table=[
            {"input": i.name, "read": i.n_read, "kept": i.n_kept, **i.n_rejected}
            for i in manifest.inputs
        ],
        description=f"Rows of dataset {path}",
    )
    create_link_artifact(key="dataset", link=path.resolve().as_uri(), link_text=str(path))
    if manifest.report is None:
        return
    report = DatasetReport.load(path / manifest.report)
    create_markdown_artifact(
        key="dataset-report",
        markdown=markdown_report(manifest, report),
        description=f"Report of dataset {path}",
    )
    page = path / REPORT_PAGE
    create_link_artifact(key="dataset-page", link=page.resolve().as_uri(), link_text=str(page))


class TrainingProgressArtifacts:
    """Shows a running training: a progress bar of its steps and a table of its evaluations.

    Args:
        output: folder of the new model.
    """

    _SECONDS_BETWEEN_UPDATES = 5.0

    def __init__(self, output: Path) -> None:
        self._output = output
        self._bar: Any = None
        self._updated = 0.0
        self._n_evaluations = 0
        self._last_call_failed = False

    def __call__(self, progress: TrainingProgress) -> None:
        """Send the progress to the Prefect server. A failure is logged; the training continues."""
        try:
            self._show(progress)
        except Exception as error:  # noqa: BLE001 - any error of the client or server
            if not self._last_call_failed:
                get_logger(__name__).warning("progress could not be shown: %s", error)
            self._last_call_failed = True
        else:
            self._last_call_failed = False

    def _show(self, progress: TrainingProgress) -> None:
        percent = 100.0 * progress.step / progress.n_steps
        is_last = progress.step == progress.n_steps
        if self._bar is None:
            self._bar = create_progress_artifact(
                percent, key="training-steps", description=f"Steps of {self._output}"
            )
        elif is_last or time.monotonic() - self._updated > self._SECONDS_BETWEEN_UPDATES:
            update_progress_artifact(self._bar, percent)
            self._updated = time.monotonic()
        if len(progress.history) > self._n_evaluations:
            self._n_evaluations = len(progress.history)
            create_table_artifact(
                key="training-so-far",
                table=[point.model_dump() for point in progress.history],
                description=f"Evaluations of {self._output}",
            )


def show_training(bundle: Path) -> None:
    """Show the evaluations of a finished training, and link to its model."""
    record = TrainingRecord.load(bundle)
    create_table_artifact(
        key="training-history",
        table=[point.model_dump() for point in record.history],
        description=f"Training of {bundle}",
    )
    create_link_artifact(key="model", link=bundle.resolve().as_uri(), link_text=str(bundle))


def show_run(table: Location, manifest: RunManifest | None) -> None:
    """Show the row counts of a translation run, and link to its table and page.

    Args:
        table: the translation table.
        manifest: the published run, or None if there was nothing to translate.
    """
    row: dict[str, Any] = {"run": "nothing new"}
    if manifest is not None:
        row = {
            "run": manifest.run_id,
            **manifest.rows.model_dump(),
            "n_units_deferred": manifest.n_units_deferred,
            "n_files_set_aside": len(manifest.set_aside),
        }
    create_table_artifact(
        key="translation-run",
        table=[row],
        description=f"Rows of the last run of table {table}",
    )
    create_link_artifact(key="table", link=table.resolve().as_uri(), link_text=str(table))
    if manifest is not None:
        page = table / f"data/{run_path(manifest)}/{RUN_REPORT}"
        create_link_artifact(key="run-page", link=page.resolve().as_uri(), link_text=str(page))


def show_report(report: ScoreReport) -> None:
    """Show the score report, and link to its page."""
    folder = Path(report.folder)
    create_markdown_artifact(
        key="score-report",
        markdown=(folder / "report.md").read_text(encoding="utf-8"),
        description=f"Scores of {report.model}",
    )
    page = folder / "report.html"
    create_link_artifact(key="score-page", link=page.resolve().as_uri(), link_text=str(page))
