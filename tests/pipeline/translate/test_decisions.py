"""The decision about one file: what is done, and why."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from lingo_model import BundleManifest, read_bundle_manifest
from pipeline.storage.files import stamp_of
from pipeline.table.published_files import PublishedFile
from pipeline.translate import decisions
from pipeline.translate.config import TranslateConfig
from pipeline.translate.decisions import FileDecision, decide_file
from pipeline.translate.run_config import settings_key_of

CONFIG = TranslateConfig(rows_per_unit=10)


@pytest.fixture
def model(bundle: Path) -> BundleManifest:
    """The manifest of a model."""
    return read_bundle_manifest(bundle)


@pytest.fixture
def file(lake: Path) -> Path:
    """A file of 12 rows, which are two units."""
    path = lake / "a.txt"
    path.write_text("A dog.\n" * 12)
    return path


def decide(
    file: Path,
    model: BundleManifest,
    published: PublishedFile | None,
    config: TranslateConfig = CONFIG,
) -> tuple[FileDecision, bool]:
    """The decision, and whether the file was opened."""
    stamp = stamp_of(file)
    assert stamp is not None
    settings_key = settings_key_of(config, model)
    decision, inspected = decide_file(
        file.parent, file.name, stamp, published, model, config, settings_key
    )
    return decision, inspected is not None


def publish(file: Path, model: BundleManifest) -> PublishedFile:
    """The file as run 1 published it."""
    decision, _ = decide(file, model, None)
    schema = base64.b64encode(pa.schema([("text", pa.string())]).serialize().to_pybytes()).decode()
    run: Any = SimpleNamespace(run_id="000001-aaaa", schema_base64=schema, quarantined={})
    seen = decisions.inspect_file(file.parent, file.name).file
    key = settings_key_of(CONFIG, model)
    settings = CONFIG.model_dump(mode="json")
    return PublishedFile(seen, key, settings, model.model_id, run, decision.units)


def test_a_new_file_is_translated(file: Path, model: BundleManifest) -> None:
    decision, opened = decide(file, model, None)
    assert (decision.todo, decision.why, opened) == (True, "new file", True)
    assert [(unit.first_row, unit.n_rows) for unit in decision.units] == [(0, 10), (10, 2)]


def test_an_unchanged_file_is_skipped_without_opening_it(file: Path, model: BundleManifest) -> None:
    published = publish(file, model)
    decision, opened = decide(file, model, published)
    assert (decision.todo, decision.why) == (False, "published in run 000001-aaaa")
    assert decision.units == published.units
    assert not opened


def test_a_touched_file_is_opened_and_skipped(file: Path, model: BundleManifest) -> None:
    published = publish(file, model)
    os.utime(file, ns=(0, 1))
    decision, opened = decide(file, model, published)
    assert (decision.todo, decision.why) == (False, "published in run 000001-aaaa")
    assert opened


def test_a_file_with_new_content_is_translated(file: Path, model: BundleManifest) -> None:
    published = publish(file, model)
    file.write_text("A cat.\n" * 3)
    decision, _ = decide(file, model, published)
    assert (decision.todo, decision.why) == (True, "content changed since run 000001-aaaa")
    assert [unit.n_rows for unit in decision.units] == [3]


def test_other_settings_translate_an_unchanged_file(file: Path, model: BundleManifest) -> None:
    config = CONFIG.model_copy(update={"max_segment_tokens": 50})
    decision, opened = decide(file, model, publish(file, model), config)
    assert (decision.todo, decision.why) == (True, "other settings than in run 000001-aaaa")
    assert opened


@pytest.mark.parametrize(
    ("change", "why", "opened"),
    [
        ({"rows_per_unit": 3}, None, False),
        ({"max_source_characters": 500_000}, None, False),  # no row was too long
        ({"max_source_characters": 6}, None, True),
        ({"max_source_characters": 5}, "another max_source_characters than in", True),
        ({"rename": {"score": "source_score"}}, None, False),
        ({"rename": {"text": "body"}, "text_column": "body"}, "other settings than in", True),
        ({"drop_columns": ("score",)}, None, False),
        ({"keep_columns": ("text", "score")}, None, False),
        ({"keep_columns": ()}, None, False),
    ],
)
def test_a_setting_translates_a_file_again_only_if_it_can_change_its_rows(
    file: Path, model: BundleManifest, change: dict[str, Any], why: str | None, opened: bool
) -> None:
    published = publish(file, model)
    decision, was_opened = decide(file, model, published, CONFIG.model_copy(update=change))
    expected = f"{why} run 000001-aaaa" if why else "published in run 000001-aaaa"
    assert (decision.todo, decision.why, was_opened) == (why is not None, expected, opened)
    if not decision.todo:
        assert decision.units == published.units


@pytest.mark.parametrize(("policy", "todo"), [("keep", False), ("retranslate", True)])
def test_the_policy_decides_about_another_model(
    file: Path, model: BundleManifest, other_bundle: Path, policy: str, todo: bool
) -> None:
    published = publish(file, model)
    config = CONFIG.model_copy(update={"on_new_model": policy})
    decision, opened = decide(file, read_bundle_manifest(other_bundle), published, config)
    assert decision.todo is todo
    assert f"by model {model.model_id}, on_new_model={policy}" in decision.why
    assert not opened
    content_ids = [unit.content_id for unit in decision.units]
    assert content_ids == [unit.content_id for unit in published.units]
    assert (decision.units == published.units) is not todo  # unit ids depend on the model


def test_the_settings_of_spans_and_lines_change_the_key_only_if_they_are_set(
    model: BundleManifest,
) -> None:
    default = settings_key_of(TranslateConfig(), model)
    given = TranslateConfig(spans=TranslateConfig().spans[::-1], join_lines=False)
    assert settings_key_of(given, model) == default
    others = [TranslateConfig(spans=()), TranslateConfig(join_lines=True)]
    assert len({default, *(settings_key_of(config, model) for config in others)}) == 3
