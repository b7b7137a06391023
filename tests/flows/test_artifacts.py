"""A flow shows its progress, and continues if the server does not accept it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from flows import artifacts
from flows.artifacts import TrainingProgressArtifacts
from pipeline.train.run_files import TrainingProgress
from pipeline.training_record import EvaluationPoint


def test_a_training_continues_if_its_progress_cannot_be_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server = {"up": True}
    accepted: list[str] = []

    def fake_artifact(kind: str) -> Any:
        def send(*_: Any, **__: Any) -> str:
            if not server["up"]:
                raise ConnectionError("no server")
            accepted.append(kind)
            return kind

        return send

    for kind in ("create_progress", "update_progress", "create_table"):
        monkeypatch.setattr(artifacts, f"{kind}_artifact", fake_artifact(kind))
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

    assert accepted == ["create_progress", "update_progress", "create_table"]
    warnings = [record.getMessage() for record in caplog.records]
    assert warnings == ["progress could not be shown: no server"]
