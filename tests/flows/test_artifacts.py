"""What a flow shows: its progress, also if the server does not accept it, and its reports."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from flows import artifacts
from flows.artifacts import TrainingProgressArtifacts, show_dataset
from pipeline.dataset.dataset import open_dataset
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.prepare.config import PrepareConfig, SubwordsConfig
from pipeline.prepare.corpus import CorpusDescription
from pipeline.prepare.stage import prepare_corpus
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


def test_the_report_of_a_dataset_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [f"{p.source}\t{p.target}" for p in generate_pairs(100, seed=3, split="train")]
    (tmp_path / "a|b.tsv").write_text("\n".join(["source\ttarget", *lines, "\tnada", ""]))
    corpus = CorpusDescription.model_validate(
        {"source_lang": "en", "target_lang": "es", "inputs": [{"path": tmp_path / "a|b.tsv"}]}
    )
    config = PrepareConfig(subwords=SubwordsConfig(vocab_size=120))
    dataset = tmp_path / "dataset"
    prepare_corpus(corpus, dataset, config)
    created: dict[str, dict[str, Any]] = {}
    for kind in ("table", "link", "markdown"):
        monkeypatch.setattr(
            artifacts,
            f"create_{kind}_artifact",
            lambda key, **values: created.update({key: values}),
        )
    manifest = open_dataset(dataset).manifest

    show_dataset(dataset, manifest)
    assert created.keys() == {"dataset-rows", "dataset", "dataset-report", "dataset-page"}
    assert "| a\\|b.tsv | 101 | 100 | 1 empty |" in created["dataset-report"]["markdown"]
    assert created["dataset-page"]["link"] == (dataset / "report.html").as_uri()

    created.clear()
    show_dataset(dataset, manifest.model_copy(update={"report": None}))  # of an earlier release
    assert created.keys() == {"dataset-rows", "dataset"}
