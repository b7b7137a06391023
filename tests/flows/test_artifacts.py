"""What a flow shows while it works, and what happens when nobody takes it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from flows import artifacts
from flows.artifacts import TrainingProgressArtifacts
from pipeline.train.run_files import TrainingProgress
from pipeline.training_record import EvaluationPoint


def test_a_training_goes_on_though_its_progress_cannot_be_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = {"up": True}
    taken: list[str] = []

    def server_takes(kind: str) -> Any:
        def take(*_: Any, **__: Any) -> str:
            if not server["up"]:
                raise ConnectionError("no server")
            taken.append(kind)
            return kind

        return take

    for kind in ("create_progress", "update_progress", "create_table"):
        monkeypatch.setattr(artifacts, f"{kind}_artifact", server_takes(kind))
    show = TrainingProgressArtifacts(Path("models/m"))

    def progress(step: int, *evaluated_at: int) -> TrainingProgress:
        history = tuple(EvaluationPoint(step=step) for step in evaluated_at)
        return TrainingProgress(
            step=step, n_steps=10, target_tokens_per_second=1.0, history=history
        )

    with caplog.at_level(logging.WARNING):
        show(progress(1))
        server["up"] = False
        show(progress(5, 5))
        show(progress(6, 5))
        server["up"] = True
        show(progress(10, 5, 10))

    assert taken == ["create_progress", "update_progress", "create_table"]
    warnings = [record.getMessage() for record in caplog.records]
    assert warnings == ["progress is not shown for now: no server"]
