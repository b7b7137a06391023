"""What the driver sees of the workers' progress."""

from __future__ import annotations

import math
from pathlib import Path

from pipeline.observability.progress import progress_bar
from pipeline.storage.files import write_json
from pipeline.train.progress_watcher import ProgressWatcher
from pipeline.train.run_files import PROGRESS, TrainingProgress
from pipeline.training_record import EvaluationPoint


def test_a_watcher_reports_each_change_once_and_ignores_a_missing_file(tmp_path: Path) -> None:
    reported: list[TrainingProgress] = []
    first = TrainingProgress(step=3, n_steps=9, target_tokens_per_second=1.0)
    point = EvaluationPoint(step=5, valid_loss=math.inf)
    second = TrainingProgress(
        step=5,
        n_steps=9,
        target_tokens_per_second=1.0,
        train_loss=2.0,
        valid_bleu=0.5,
        history=(point,),
    )
    with progress_bar("train", None) as bar:
        watcher = ProgressWatcher(tmp_path, bar, reported.append)
        watcher()  # the file is absent
        (tmp_path / PROGRESS).mkdir()  # the file cannot be read
        watcher()
        (tmp_path / PROGRESS).rmdir()
        for progress in (first, first, second):
            write_json(tmp_path / PROGRESS, progress.model_dump())
            watcher()

    assert reported == [first, second]
