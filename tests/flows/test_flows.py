"""The flows with real Prefect, Ray and Parquet. Only the model is tiny."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from prefect import Flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterId,
    FlowRunFilterParentFlowRunId,
)

from flows.evaluate import evaluate_model
from flows.nightly import nightly
from flows.prepare import prepare_corpus
from flows.train import train_lstm
from flows.translate import translate_corpus
from lingo_model import InputError, read_bundle_manifest
from pipeline.dataset.dataset import open_dataset
from pipeline.decoding import DecodeConfig
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.evaluate.scores import ScoreReport
from pipeline.models.registry import promote, read_champion
from pipeline.prepare.config import PrepareConfig, SubwordsConfig
from pipeline.table.open_table import open_table
from pipeline.train.recipe import TrainConfig
from pipeline.translate.config import TranslateConfig

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("prefect_harness", "running_ray")]

PREPARE = PrepareConfig(subwords=SubwordsConfig(vocab_size=400))
COLUMNS = TranslateConfig(text_column="english")


class FlowResult(NamedTuple):
    """The value that a flow returned, and the artifacts of the flow and its subflows by key."""

    run_id: UUID
    value: Any
    artifacts: dict[str, list[Any]]


def run(flow: Flow[..., Any], *args: Any, **kwargs: Any) -> FlowResult:
    """Run a flow, and read its artifacts from the API."""
    state = flow(*args, **kwargs, return_state=True)
    run_id = state.state_details.flow_run_id
    value = state.result()
    artifacts = defaultdict(list)
    with get_client(sync_client=True) as client:
        for run_filter in (
            FlowRunFilter(id=FlowRunFilterId(any_=[run_id])),
            FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run_id])),
        ):
            for artifact in client.read_artifacts(flow_run_filter=run_filter):
                if artifact.key is not None:  # stored results have no key
                    is_table = artifact.type == "table"
                    data = json.loads(artifact.data) if is_table else artifact.data
                    artifacts[artifact.key].append(data)
    return FlowResult(run_id, value, dict(artifacts))


def link_to(path: Path) -> str:
    """The Markdown of a link artifact."""
    assert path.exists()
    return f"[{path}]({path.as_uri()})"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the flows of this module work in. Its lake has one file."""
    workspace = tmp_path_factory.mktemp("workspace")
    write_lake_file(workspace / "lake" / "a.parquet", n_rows=30)
    return workspace


def write_lake_file(path: Path, *, n_rows: int) -> None:
    sentences = [pair.source for pair in generate_pairs(n_rows, seed=9, split="test")]
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({"english": sentences}), path)


# Each fixture runs one stage once. A later stage needs the earlier ones.


@pytest.fixture(scope="module")
def prepared(workspace: Path, corpus: Path) -> FlowResult:
    return run(prepare_corpus, corpus, workspace / "dataset", PREPARE)


@pytest.fixture(scope="module")
def trained(workspace: Path, prepared: FlowResult, tiny_recipe: TrainConfig) -> FlowResult:
    return run(train_lstm, workspace / "dataset", workspace / "models", recipe=tiny_recipe)


@pytest.fixture(scope="module")
def evaluated(workspace: Path, trained: FlowResult) -> FlowResult:
    """Evaluate the trained model by name, then promote it."""
    result = run(
        evaluate_model,
        workspace / "dataset",
        workspace / "models",
        workspace / "reports",
        model=trained.value,
    )
    report = only(workspace / "reports", f"{trained.value}-*/report.json")
    promote(workspace / "models", trained.value, report)
    return result


@pytest.fixture(scope="module")
def translated(workspace: Path, evaluated: FlowResult) -> FlowResult:
    """Translate the lake with the champion."""
    return run(
        translate_corpus,
        workspace / "lake",
        workspace / "table",
        workspace / "models",
        config=COLUMNS,
    )


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def test_prepare_writes_a_dataset_and_shows_its_row_counts(
    workspace: Path, prepared: FlowResult
) -> None:
    manifest = open_dataset(workspace / "dataset").manifest

    assert prepared.value == manifest.fingerprint
    assert PrepareConfig.model_validate(manifest.made_from["config"]) == PREPARE
    (rows,) = prepared.artifacts["dataset-rows"]
    assert [(r["input"], r["read"], r["kept"]) for r in rows] == [
        (i.name, i.n_read, i.n_kept) for i in manifest.inputs
    ]
    assert sum(r["read"] for r in rows) == 650
    assert prepared.artifacts["dataset"] == [link_to(workspace / "dataset")]
    (report,) = prepared.artifacts["dataset-report"]
    assert all(f"| {i.n_read:,} | {i.n_kept:,} |" in report for i in manifest.inputs)
    assert prepared.artifacts["dataset-page"] == [link_to(workspace / "dataset" / "report.html")]


def test_train_derives_a_name_and_shows_the_history(workspace: Path, trained: FlowResult) -> None:
    assert re.fullmatch(r"en-es-[0-9a-f]{8}-\d{4}-\d\d-\d\d", trained.value)
    bundle = workspace / "models" / trained.value
    fingerprint = open_dataset(workspace / "dataset").manifest.fingerprint
    assert read_bundle_manifest(bundle).dataset_fingerprint == fingerprint
    (history,) = trained.artifacts["training-history"]
    assert history in trained.artifacts["training-so-far"]
    assert trained.artifacts["training-steps"] == [100.0]
    assert [row["step"] for row in history][:2] == [5, 10]
    assert all(row["valid_bleu"] >= 0 for row in history)
    assert trained.artifacts["model"] == [link_to(bundle)]


def test_evaluate_shows_bleu_with_its_signature(
    workspace: Path, evaluated: FlowResult, trained: FlowResult
) -> None:
    report_file = only(workspace / "reports", f"{trained.value}-*/report.json")
    report = ScoreReport.model_validate_json(report_file.read_bytes())

    assert (report.model, report.same_dataset, report.n_sentences) == (trained.value, True, 30)
    assert evaluated.value == report.score("BLEU")
    (bleu,) = (score for score in report.scores if score.metric == "BLEU")
    assert "tok:13a" in bleu.signature
    (page,) = evaluated.artifacts["score-report"]
    escaped = bleu.signature.replace("|", r"\|")  # as in a table cell
    assert f"| BLEU | {bleu.score:.2f} | {escaped} |" in page
    assert evaluated.artifacts["score-page"] == [link_to(report_file.with_name("report.html"))]


def test_translate_publishes_a_run_of_the_champion(
    workspace: Path, translated: FlowResult, trained: FlowResult
) -> None:
    manifest = open_table(workspace / "table").published()[0]

    assert translated.value == manifest.run_id
    assert manifest.model_id == read_bundle_manifest(workspace / "models" / trained.value).model_id
    assert manifest.rows.n_input == manifest.rows.n_translated == 30
    rows_on_disk = pq.read_table(only(workspace / "table" / "data", f"*/run={manifest.run_id}"))
    assert rows_on_disk.num_rows == 30
    (rows,) = translated.artifacts["translation-run"]
    assert rows == [
        {
            "run": manifest.run_id,
            **manifest.rows.model_dump(),
            "n_units_deferred": 0,
            "n_files_set_aside": 0,
        },
    ]
    assert translated.artifacts["table"] == [link_to(workspace / "table")]


def test_translate_retries_a_quarantine(workspace: Path, translated: FlowResult) -> None:
    """The quarantine is empty here, so the flow publishes nothing."""
    result = run(
        *(translate_corpus, workspace / "lake", workspace / "table", workspace / "models"),
        config=COLUMNS,
        retry_quarantine_of=translated.value,
    )

    assert result.value is None
    assert result.artifacts["translation-run"] == [[{"run": "nothing new"}]]
    with pytest.raises(InputError, match="run '9'"):
        run(
            *(translate_corpus, workspace / "lake", workspace / "table", workspace / "models"),
            config=COLUMNS,
            retry_quarantine_of="9",
        )


def run_nightly(workspace: Path, **settings: Any) -> FlowResult:
    return run(
        nightly,
        workspace / "lake",
        workspace / "table",
        workspace / "dataset",
        workspace / "models",
        workspace / "reports",
        **({"config": COLUMNS} | settings),
    )


def test_nightly_translates_only_new_rows_and_always_evaluates(
    workspace: Path, translated: FlowResult, evaluated: FlowResult
) -> None:
    second = run_nightly(workspace)

    assert second.artifacts["translation-run"] == [[{"run": "nothing new"}]]
    assert [m.run_id for m in open_table(workspace / "table").published()] == [translated.value]
    assert second.value == evaluated.value
    assert len(second.artifacts["score-report"]) == 1

    write_lake_file(workspace / "lake" / "b.parquet", n_rows=7)
    third = run_nightly(workspace)

    (rows,) = third.artifacts["translation-run"][0]
    assert (rows["n_input"], rows["n_reused"]) == (7, 7)  # translated in the first run
    assert [m.rows.n_input for m in open_table(workspace / "table").published()] == [30, 7]
    assert third.value == evaluated.value


def test_nightly_with_training_keeps_the_champion(
    workspace: Path,
    translated: FlowResult,
    trained: FlowResult,
    evaluated: FlowResult,
    tiny_recipe: TrainConfig,
) -> None:
    other = tiny_recipe.model_copy(update={"seed": 2})

    result = run_nightly(workspace, train=True, recipe=other)

    (link,) = result.artifacts["model"]
    champion = read_champion(workspace / "models")
    assert champion is not None
    assert champion.name == trained.value
    assert trained.value not in link
    assert len(result.artifacts["score-report"]) == 2  # of the new model and of the champion
    assert result.value == evaluated.value


def test_nightly_evaluates_with_the_decoding_of_the_translation(
    workspace: Path, translated: FlowResult
) -> None:
    config = COLUMNS.model_copy(update={"decode": DecodeConfig(beam_size=2)})

    run_nightly(workspace, config=config)

    reports = [
        ScoreReport.model_validate_json(file.read_bytes())
        for file in (workspace / "reports").glob("*/report.json")
    ]
    newest = max(reports, key=lambda report: report.evaluated_at)
    assert newest.decode.beam_size == 2
    champion = read_champion(workspace / "models")
    assert champion is not None
    assert newest.model_id == champion.model_id
