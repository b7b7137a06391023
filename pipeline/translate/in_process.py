"""Runs the units of a plan in this process, without Ray."""

from __future__ import annotations

from pipeline.observability.progress import ProgressEvent, progress_bar
from pipeline.translate.translation_run import RowCounter, TranslationRun
from pipeline.translate.unit_translator import UnitTranslator


def run_in_process(run: TranslationRun) -> None:
    """Do the unfinished units of a run one by one; see :class:`RunUnits`."""
    unfinished = run.unfinished_units()
    if not unfinished:
        return
    counter = RowCounter(run)
    translator = UnitTranslator(run.staged, run.table.data, run.plan, run.model)
    with progress_bar("translate", run.n_rows) as bar:
        for number in unfinished:
            result = translator.translate(run.plan.units[number])
            counter.count(number, result.n_failed)
            bar.show(counter.n_done)
            run.on_progress(ProgressEvent(n_done=counter.n_done, n_total=run.n_rows))
