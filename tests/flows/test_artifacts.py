"""A flow shows its progress, and continues if the server does not accept it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from flows import artifacts
from flows.artifacts import TrainingProgress


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
    show = TrainingProgress(Path("models/m"))
    first: dict[str, Any] = {"step": 1, "n_steps": 10, "history": []}
    with caplog.at_level(logging.WARNING):
        show(first)
        server["up"] = False
        show(first | {"step": 5, "history": [{"step": 5}]})
        show(first | {"step": 6, "history": [{"step": 5}]})
        server["up"] = True
        show(first | {"step": 10, "history": [{"step": 5}, {"step": 10}]})

    assert accepted == ["create_progress", "update_progress", "create_table"]
    warnings = [record.getMessage() for record in caplog.records]
    assert warnings == ["progress could not be shown: no server"]
