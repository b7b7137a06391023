"""``lingo models`` and ``lingo evaluate``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from lingo_model import Translator, load_bundle, read_bundle_manifest
from pipeline.evaluate.scores import ScoreReport
from pipeline.models.registry import read_champion


def test_a_model_is_evaluated_promoted_and_used(
    tmp_path: Path,
    dataset: Path,
    models: Path,
    lingo: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    lingo_process: Callable[..., Any],
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny").symlink_to(models / "tiny")

    evaluated = lingo_process(tmp_path, "evaluate", dataset, "--model", "tiny")
    assert (evaluated.status, evaluated.err) == (0, "")
    *scores, last = evaluated.out.splitlines()
    page = tmp_path / last.removeprefix("report: ")
    assert page.is_file()
    report = ScoreReport.model_validate_json(page.with_name("report.json").read_bytes())
    assert scores == [f"{s.metric} = {s.score:.2f}   {s.signature}" for s in report.scores]
    assert len(scores) == 3

    monkeypatch.chdir(tmp_path)
    model_id = read_bundle_manifest(models / "tiny").model_id
    assert lingo("models", "list").out == f"tiny  en-es  {model_id}\n"
    refused = lingo("preview", "--text", "Two dogs play.")
    assert refused.status == 2
    assert "no model is promoted; promote one with `lingo models promote NAME`" in refused.err

    promoted = lingo("models", "promote", "tiny", "--report", page.with_name("report.json"))
    assert promoted == (0, f"champion: tiny ({model_id})\n", "")
    assert lingo("models", "list").out == f"tiny  en-es  {model_id}  champion\n"
    champion = read_champion(tmp_path / "models")
    assert champion is not None
    assert champion.name == "tiny"

    translated = lingo("preview", "--text", "Two dogs play.")
    (expected,) = Translator(load_bundle(models / "tiny")).translate(["Two dogs play."])
    assert translated == (0, f"{expected.text}\n", "")

    shown = lingo("sql", "--reports", "reports", "SELECT metric, signature FROM scores ORDER BY 1")
    assert shown.status == 0
    for score in report.scores:
        assert score.signature[:20] in shown.out


def test_show_prints_a_model_and_how_it_was_trained(
    lingo: Callable[..., Any], models: Path
) -> None:
    done = lingo("models", "show", "tiny", "--models", models)
    assert (done.status, done.err) == (0, "")
    manifest = read_bundle_manifest(models / "tiny")
    lines = dict(line.split(": ", 1) for line in done.out.splitlines())
    assert lines["model_id"] == manifest.model_id
    assert lines["dataset_fingerprint"] == manifest.dataset_fingerprint
    assert (lines["source_lang"], lines["target_lang"]) == ("en", "es")
    assert lines["training"] == (
        "1,258 steps in 2.0 minutes, ended by max_epochs; validation BLEU 86.74 at step 1,200; "
        "1,303,528 parameters"
    )


def test_import_converts_a_state_dict_to_a_model(
    lingo: Callable[..., Any], models: Path, tmp_path: Path
) -> None:
    bundle = load_bundle(models / "tiny")
    torch.save(bundle.model.state_dict(), tmp_path / "weights.pt")
    folder = tmp_path / "models" / "new"
    command = ("models", "import", tmp_path / "weights.pt", "--output", folder)
    languages = ("--source-lang", "en", "--target-lang", "es")
    pieces = ("--subwords", models / "tiny" / "subwords.model")

    done = lingo(*command, *pieces, *languages)

    model_id = read_bundle_manifest(folder).model_id
    assert done == (0, f"model: {folder} ({model_id})\n", "")
    texts = ["Two dogs play.", "My cat sleeps."]
    assert Translator(load_bundle(folder)).translate(texts) == Translator(bundle).translate(texts)
    shown = lingo("models", "show", "new", "--models", tmp_path / "models")
    assert f"parameters: {bundle.model.n_parameters():,}\n" in shown.out
    again = lingo(*command, *pieces, *languages)
    assert again.status == 2
    assert "already exists; choose another output" in again.err


def test_a_folder_without_models_says_so(lingo: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "none"
    assert lingo("models", "list", "--models", folder) == (0, f"no models in {folder}\n", "")
