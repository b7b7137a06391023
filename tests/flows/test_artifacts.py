"""What a flow shows while it works, and what happens when nobody takes it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from flows import artifacts
from flows.artifacts import TrainingProgress


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
    show = TrainingProgress(Path("models/m"))
    begun: dict[str, Any] = {"step": 1, "n_steps": 10, "history": []}
    with caplog.at_level(logging.WARNING):
        show(begun)
        server["up"] = False
        show(begun | {"step": 5, "history": [{"step": 5}]})
        show(begun | {"step": 6, "history": [{"step": 5}]})
        server["up"] = True
        show(begun | {"step": 10, "history": [{"step": 5}, {"step": 10}]})

    assert taken == ["create_progress", "update_progress", "create_table"]
    warnings = [record.getMessage() for record in caplog.records]
    assert warnings == ["progress is not shown for now: no server"]
