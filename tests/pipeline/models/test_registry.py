"""Models by name. A promotion needs a score report, and the champion stays the same model."""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lingo_model import InputError, read_bundle_manifest
from pipeline.evaluate.scores import Score, ScoreReport
from pipeline.models.registry import list_models, promote, read_champion, resolve_model
from pipeline.storage.files import write_json


@pytest.fixture
def models(tmp_path: Path, bundle: Path, other_bundle: Path) -> Path:
    """A folder with two models, unfinished work and other files."""
    folder = tmp_path / "models"
    shutil.copytree(bundle, folder / "tiny")
    shutil.copytree(other_bundle, folder / "other")
    for name in ("_runs", ".tiny.123.tmp"):  # unfinished work
        shutil.copytree(bundle, folder / name)
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("not a model")
    return folder


def write_score_report(path: Path, model: Path, **changes: Any) -> Path:
    """Write a score report of a model."""
    report = ScoreReport(
        format_version=ScoreReport.FORMAT_VERSION,
        evaluation_id="0123456789abcdef",
        evaluated_at=datetime.datetime(2026, 11, 22, tzinfo=datetime.UTC),
        model=model.name,
        model_id=read_bundle_manifest(model).model_id,
        dataset="datasets/en-es",
        dataset_fingerprint="ab",
        same_dataset=True,
        split="test",
        source_lang="en",
        target_lang="es",
        n_sentences=3,
        seconds=1.0,
        scores=(Score(metric="BLEU", score=12.3, signature="version:2"),),
        folder=str(path.parent),
    )
    write_json(path, report.model_dump(mode="json") | changes)
    return path


def names(folder: Path) -> set[str]:
    """Names in a folder, including hidden files."""
    return {path.name for path in folder.iterdir()}


def test_only_bundles_are_listed(models: Path) -> None:
    manifests = list_models(models)
    assert list(manifests) == ["other", "tiny"]
    assert manifests["tiny"] == read_bundle_manifest(models / "tiny")
    assert manifests["tiny"] != manifests["other"]


def test_a_damaged_model_is_listed_with_its_error(models: Path) -> None:
    (models / "other" / "bundle.json").write_text("{")
    manifests = list_models(models)
    assert manifests["tiny"] == read_bundle_manifest(models / "tiny")
    assert "other/bundle.json: not valid JSON" in str(manifests["other"])


def test_no_folder_has_no_models(tmp_path: Path) -> None:
    assert list_models(tmp_path / "none") == {}
    assert read_champion(tmp_path / "none") is None


def test_a_promoted_model_is_the_champion(models: Path, tmp_path: Path) -> None:
    assert read_champion(models) is None
    report = write_score_report(tmp_path / "report.json", models / "tiny")
    before = names(models)

    promoted = promote(models, "tiny", report)

    assert read_champion(models) == promoted
    assert (promoted.name, promoted.report) == ("tiny", str(report))
    assert promoted.model_id == read_bundle_manifest(models / "tiny").model_id
    assert promoted.promoted_at.tzinfo is not None
    assert names(models) == before | {"champion.json"}  # and no temporary file
    assert resolve_model("champion", models) == models / "tiny"
    assert list(list_models(models)) == ["other", "tiny"]


def test_a_second_promotion_replaces_the_champion(models: Path, tmp_path: Path) -> None:
    for name in ("tiny", "other"):
        promote(models, name, write_score_report(tmp_path / f"{name}.json", models / name))
    assert resolve_model("champion", models) == models / "other"


def test_a_failed_promotion_keeps_the_champion(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(models, "tiny", write_score_report(tmp_path / "tiny.json", models / "tiny"))
    report = write_score_report(tmp_path / "other.json", models / "other")
    before = names(models)

    def full_disk(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        promote(models, "other", report)
    assert resolve_model("champion", models) == models / "tiny"
    assert names(models) == before


@pytest.mark.parametrize("split", ["valid", "train"])
def test_a_report_on_a_split_that_training_used_is_refused(
    models: Path, tmp_path: Path, split: str
) -> None:
    report = write_score_report(tmp_path / "report.json", models / "tiny", split=split)
    with pytest.raises(
        InputError, match=rf"the report scores the {split} split.*on the test split"
    ):
        promote(models, "tiny", report)
    assert read_champion(models) is None


def test_a_report_of_another_model_is_refused(models: Path, tmp_path: Path) -> None:
    report = write_score_report(tmp_path / "report.json", models / "other")
    tiny, other = (read_bundle_manifest(models / name).model_id for name in ("tiny", "other"))
    with pytest.raises(InputError) as error:
        promote(models, "tiny", report)
    assert str(error.value) == (
        f"{report}: the report scores model {other}, but {models / 'tiny'} is model {tiny}; "
        "evaluate it first"
    )
    assert read_champion(models) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"format_version": ScoreReport.FORMAT_VERSION + 1},
            "format_version=2: this release reads 1",
        ),
        ({"verdict": "good"}, "unknown key 'verdict'"),
    ],
)
def test_a_damaged_report_is_refused(
    models: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    report = write_score_report(tmp_path / "report.json", models / "tiny", **changes)
    with pytest.raises(InputError, match=f"{re.escape(str(report))}: {message}"):
        promote(models, "tiny", report)
    assert read_champion(models) is None


def test_a_missing_report_is_refused_with_the_remedy(models: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not a score report .*none\.json.*`lingo evaluate`"):
        promote(models, "tiny", tmp_path / "none.json")
    assert read_champion(models) is None


@pytest.mark.parametrize("name", ["tony", "", ".", "empty", "_runs", "champion", "../models/tiny"])
def test_only_a_listed_model_is_promoted(models: Path, tmp_path: Path, name: str) -> None:
    report = write_score_report(tmp_path / "report.json", models / "tiny")
    with pytest.raises(InputError) as error:
        promote(models, name, report)
    assert str(error.value) == (
        f"model={name!r}: not a model in {models} (available: other, tiny); choose one of these"
    )
    assert read_champion(models) is None


def test_a_model_is_resolved_by_path_or_name(models: Path, bundle: Path) -> None:
    assert resolve_model(str(bundle), models) == bundle
    assert resolve_model("tiny", models) == models / "tiny"
    assert resolve_model(str(models / "other"), models) == models / "other"


def test_an_unknown_model_is_refused_with_the_available_names(models: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        resolve_model("tony", models)
    assert str(error.value) == (
        f"model='tony': neither a bundle folder nor a model in {models} (available: other, tiny); "
        "choose one of these or train a model"
    )
    with pytest.raises(InputError, match=r"\(available: none\)"):
        resolve_model("tony", tmp_path / "none")


def test_a_damaged_model_does_not_hide_the_available_names(models: Path) -> None:
    (models / "other" / "bundle.json").write_text("{")
    with pytest.raises(InputError, match=r"'tony'.*\(available: other, tiny\)"):
        resolve_model("tony", models)


def test_a_missing_champion_is_refused_with_the_remedy(models: Path) -> None:
    with pytest.raises(InputError) as error:
        resolve_model("champion", models)
    assert str(error.value) == (
        f"{models}: no model is promoted; promote one with `lingo models promote NAME`"
    )


def test_a_champion_whose_bundle_was_replaced_is_refused(
    models: Path, tmp_path: Path, other_bundle: Path
) -> None:
    promoted = promote(
        models, "tiny", write_score_report(tmp_path / "report.json", models / "tiny")
    )
    shutil.rmtree(models / "tiny")
    with pytest.raises(InputError, match="tiny: not a model bundle"):
        resolve_model("champion", models)

    shutil.copytree(other_bundle, models / "tiny")
    with pytest.raises(InputError) as error:
        resolve_model("champion", models)
    replacement = read_bundle_manifest(other_bundle).model_id
    assert str(error.value) == (
        f"{models / 'tiny'}: is model {replacement}, but model {promoted.model_id} was promoted; "
        "promote it again"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not valid JSON"), (json.dumps({"format_version": 9}), "format_version=9")],
)
def test_a_damaged_champion_file_is_refused_with_the_remedy(
    models: Path, content: str, message: str
) -> None:
    (models / "champion.json").write_text(content)
    with pytest.raises(InputError, match=rf"champion\.json: {message}.*`lingo models promote`"):
        resolve_model("champion", models)


def test_importing_the_registry_leaves_the_heavy_packages_out(
    imported_by: Callable[[str], set[str]],
) -> None:
    heavy = {"matplotlib", "sacrebleu", "ray", "jinja2", "prefect"}
    assert imported_by("pipeline.models.registry") & heavy == set()
