"""The flows as they run in production: real Prefect, Ray and Parquet; only the model is tiny."""

from __future__ import annotations

import json
import re
import time
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
from prefect.client.schemas.objects import TaskRun

from flows import stages
from flows.evaluate import evaluate_model
from flows.nightly import nightly
from flows.prepare import prepare_corpus
from flows.train import train_lstm
from flows.translate import translate_corpus
from lingo_model import InputError, read_bundle_manifest
from pipeline.dataset.manifest import load_dataset
from pipeline.decoding import DecodeConfig
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.evaluate.scores import ScoreReport
from pipeline.models.registry import champion, promote
from pipeline.prepare.config import PrepareConfig, SubwordsConfig
from pipeline.table.open_table import open_table
from pipeline.train.recipe import TrainConfig
from pipeline.translate.config import TranslateConfig

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("prefect_harness", "running_ray")]

PREPARE = PrepareConfig(subwords=SubwordsConfig(vocab_size=400))
COLUMNS = TranslateConfig(text_column="english")


class Ran(NamedTuple):
    """A flow run: what it returned, and the artifacts of it and of the flows that it called."""

    run_id: UUID
    value: Any
    artifacts: dict[str, list[Any]]


def run(flow: Flow[..., Any], *args: Any, **kwargs: Any) -> Ran:
    """Run a flow, and read back from the API what the UI shows of it."""
    state = flow(*args, **kwargs, return_state=True)
    run_id = state.state_details.flow_run_id
    value = state.result()
    artifacts = defaultdict(list)
    with get_client(sync_client=True) as client:
        for of_run in (
            FlowRunFilter(id=FlowRunFilterId(any_=[run_id])),
            FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[run_id])),
        ):
            for artifact in client.read_artifacts(flow_run_filter=of_run):
                if artifact.key is not None:  # what has none is a stored result
                    is_table = artifact.type == "table"
                    data = json.loads(artifact.data) if is_table else artifact.data
                    artifacts[artifact.key].append(data)
    return Ran(run_id, value, dict(artifacts))


def link_to(path: Path) -> str:
    """What a link artifact holds."""
    assert path.exists()
    return f"[{path}]({path.as_uri()})"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the flows of this module work in, with a lake of one file."""
    place = tmp_path_factory.mktemp("place")
    write_lake_file(place / "lake" / "a.parquet", n_rows=30)
    return place


def write_lake_file(path: Path, *, n_rows: int) -> None:
    sentences = [pair.source for pair in generate_pairs(n_rows, seed=9, split="test")]
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table({"english": sentences}), path)


# Each stage once, in their order; the tests of a later stage need the earlier ones.


@pytest.fixture(scope="module")
def prepared(place: Path, corpus: Path) -> Ran:
    return run(prepare_corpus, corpus, place / "dataset", PREPARE)


@pytest.fixture(scope="module")
def trained(place: Path, prepared: Ran, tiny_recipe: TrainConfig) -> Ran:
    return run(train_lstm, place / "dataset", place / "models", recipe=tiny_recipe)


@pytest.fixture(scope="module")
def evaluated(place: Path, trained: Ran) -> Ran:
    """Evaluated by its name, then promoted."""
    ran = run(
        evaluate_model,
        place / "dataset",
        place / "models",
        place / "reports",
        model=trained.value,
    )
    report = only(place / "reports", f"{trained.value}-*/report.json")
    promote(place / "models", trained.value, report)
    return ran


@pytest.fixture(scope="module")
def translated(place: Path, evaluated: Ran) -> Ran:
    """Translated by the champion."""
    return run(translate_corpus, place / "lake", place / "table", place / "models", config=COLUMNS)


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def test_prepare_makes_a_dataset_and_shows_its_rows(place: Path, prepared: Ran) -> None:
    manifest = load_dataset(place / "dataset")

    assert prepared.value == manifest.fingerprint
    assert manifest.made_from["config"] == PREPARE.model_dump(mode="json")
    (rows,) = prepared.artifacts["dataset-rows"]
    assert [(r["input"], r["read"], r["kept"]) for r in rows] == [
        (i.name, i.n_read, i.n_kept) for i in manifest.inputs
    ]
    assert sum(r["read"] for r in rows) == 650
    assert prepared.artifacts["dataset"] == [link_to(place / "dataset")]


def test_train_derives_a_name_and_shows_the_history(place: Path, trained: Ran) -> None:
    assert re.fullmatch(r"en-es-[0-9a-f]{8}-\d{4}-\d\d-\d\d", trained.value)
    bundle = place / "models" / trained.value
    fingerprint = load_dataset(place / "dataset").fingerprint
    assert read_bundle_manifest(bundle).dataset_fingerprint == fingerprint
    (history,) = trained.artifacts["training-history"]
    assert history in trained.artifacts["training-so-far"]
    assert trained.artifacts["training-steps"] == [100.0]
    assert [row["step"] for row in history][:2] == [5, 10]
    assert all(row["valid_bleu"] >= 0 for row in history)
    assert trained.artifacts["model"] == [link_to(bundle)]


def test_evaluate_shows_bleu_with_its_signature(place: Path, evaluated: Ran, trained: Ran) -> None:
    report_file = only(place / "reports", f"{trained.value}-*/report.json")
    report = ScoreReport.model_validate_json(report_file.read_bytes())

    assert (report.model, report.same_dataset, report.n_sentences) == (trained.value, True, 30)
    assert evaluated.value == report.score("BLEU")
    (bleu,) = (score for score in report.scores if score.metric == "BLEU")
    assert "tok:13a" in bleu.signature
    (page,) = evaluated.artifacts["score-report"]
    escaped = bleu.signature.replace("|", r"\|")  # in a cell of a table
    assert f"| BLEU | {bleu.score:.2f} | {escaped} |" in page
    assert evaluated.artifacts["score-page"] == [link_to(report_file.with_name("report.html"))]


def test_translate_publishes_a_run_by_the_champion(
    place: Path, translated: Ran, trained: Ran
) -> None:
    manifest = open_table(place / "table").published()[0]

    assert translated.value == manifest.run_id
    assert manifest.model_id == read_bundle_manifest(place / "models" / trained.value).model_id
    assert manifest.rows.n_input == manifest.rows.n_translated == 30
    rows_on_disk = pq.read_table(only(place / "table" / "data", f"*/run={manifest.run_id}"))
    assert rows_on_disk.num_rows == 30
    (rows,) = translated.artifacts["translation-run"]
    assert rows == [
        {"run": manifest.run_id, **manifest.rows.model_dump(), "n_units_deferred": 0},
    ]
    assert translated.artifacts["table"] == [link_to(place / "table")]


def test_translate_tries_a_quarantine_again(place: Path, translated: Ran) -> None:
    """There is none here; the flow says so, and publishes nothing."""
    again = run(
        *(translate_corpus, place / "lake", place / "table", place / "models"),
        config=COLUMNS,
        replay=translated.value,
    )

    assert again.value is None
    assert again.artifacts["translation-run"] == [[{"run": "nothing new"}]]
    with pytest.raises(InputError, match="run '9'"):
        run(
            *(translate_corpus, place / "lake", place / "table", place / "models"),
            config=COLUMNS,
            replay="9",
        )


def run_nightly(place: Path, **settings: Any) -> Ran:
    return run(
        nightly,
        place / "lake",
        place / "table",
        place / "dataset",
        place / "models",
        place / "reports",
        **({"config": COLUMNS} | settings),
    )


def test_nightly_takes_only_what_is_new_and_always_evaluates(
    place: Path, translated: Ran, evaluated: Ran
) -> None:
    second = run_nightly(place)

    assert second.artifacts["translation-run"] == [[{"run": "nothing new"}]]
    assert [m.run for m in open_table(place / "table").published()] == [translated.value]
    assert second.value == evaluated.value
    assert len(second.artifacts["score-report"]) == 1

    write_lake_file(place / "lake" / "b.parquet", n_rows=7)
    third = run_nightly(place)

    (rows,) = third.artifacts["translation-run"][0]
    assert (rows["n_input"], rows["n_reused"]) == (7, 7)  # the sentences of the first night
    assert [m.rows.n_input for m in open_table(place / "table").published()] == [30, 7]
    assert third.value == evaluated.value


def test_nightly_trains_when_told_and_the_champion_stays(
    place: Path, translated: Ran, trained: Ran, evaluated: Ran, tiny_recipe: TrainConfig
) -> None:
    other = tiny_recipe.model_copy(update={"seed": 2})

    ran = run_nightly(place, train=True, recipe=other)

    (link,) = ran.artifacts["model"]
    named = champion(place / "models")
    assert named is not None
    assert named.name == trained.value
    assert trained.value not in link
    assert len(ran.artifacts["score-report"]) == 2  # of the new model and of the champion
    assert ran.value == evaluated.value


def test_nightly_scores_the_decoding_that_the_table_was_made_with(
    place: Path, translated: Ran
) -> None:
    config = COLUMNS.model_copy(update={"decode": DecodeConfig(beam_size=2)})

    run_nightly(place, config=config)

    reports = [
        ScoreReport.model_validate_json(file.read_bytes())
        for file in (place / "reports").glob("*/report.json")
    ]
    newest = max(reports, key=lambda report: report.evaluated_at)
    assert newest.decode.beam_size == 2
    named = champion(place / "models")
    assert named is not None
    assert newest.model_id == named.model_id


def task_runs(run_id: UUID) -> list[TaskRun]:
    """A flow run's task runs, once all have ended; the API hears of them a little later."""
    of_run = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with get_client(sync_client=True) as client:
            found = client.read_task_runs(flow_run_filter=of_run)
        if found and all(task.state is not None and task.state.is_final() for task in found):
            return found
        time.sleep(0.1)
    raise TimeoutError(f"task runs of {run_id} did not end: {found}")


def failed_run(*args: Any) -> tuple[UUID, Exception]:
    state = prepare_corpus(*args, return_state=True)
    assert state.is_failed()
    return state.state_details.flow_run_id, state.result(raise_on_failure=False)


@pytest.fixture
def no_delay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages.prepare_dataset, "retry_delay_seconds", 0)


def test_wrong_input_is_not_retried(no_delay: None, tmp_path: Path) -> None:
    run_id, error = failed_run(tmp_path / "none.yaml", tmp_path / "dataset")

    assert isinstance(error, InputError)
    assert "none.yaml: cannot be read" in str(error)
    (task,) = task_runs(run_id)
    assert task.run_count == 1
    assert task.state_name == "Failed"


def test_another_error_is_retried_but_not_for_ever(
    no_delay: None, corpus: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()

    run_id, error = failed_run(corpus, tmp_path / "file" / "dataset", PREPARE)

    assert isinstance(error, OSError)
    (task,) = task_runs(run_id)
    assert task.run_count == 3


def test_an_error_that_passes_is_forgotten(
    no_delay: None, monkeypatch: pytest.MonkeyPatch, corpus: Path, tmp_path: Path
) -> None:
    real = stages.prepare_corpus_stage
    errors = [OSError("planted: the disk is full")]

    def fails_once(*args: Any) -> Any:
        if errors:
            raise errors.pop()
        return real(*args)

    monkeypatch.setattr(stages, "prepare_corpus_stage", fails_once)

    ran = run(prepare_corpus, corpus, tmp_path / "dataset", PREPARE)

    assert ran.value == load_dataset(tmp_path / "dataset").fingerprint
    (task,) = task_runs(ran.run_id)
    assert task.run_count == 2
