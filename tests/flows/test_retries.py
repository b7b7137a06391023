"""A task is retried after an error that can pass, and not after wrong input."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from prefect.client.schemas.objects import TaskRun

from flows import stages
from flows.prepare import prepare_corpus
from lingo_model import InputError
from pipeline.dataset.dataset import open_dataset
from pipeline.errors import RunError
from pipeline.prepare.config import PrepareConfig
from pipeline.prepare.encoding import SubwordsConfig

pytestmark = pytest.mark.usefixtures("prefect_harness")

PREPARE = PrepareConfig(subwords=SubwordsConfig(vocab_size=400))


def task_runs(run_id: UUID) -> list[TaskRun]:
    """The task runs of a flow run. Waits until the API reports all of them as ended."""
    run_filter = FlowRunFilter(id=FlowRunFilterId(any_=[run_id]))
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with get_client(sync_client=True) as client:
            runs = client.read_task_runs(flow_run_filter=run_filter)
        if runs and all(task.state is not None and task.state.is_final() for task in runs):
            return runs
        time.sleep(0.1)
    raise TimeoutError(f"task runs of {run_id} did not end: {runs}")


def failed_run(*args: Any) -> tuple[UUID, Exception]:
    """Run ``prepare-corpus``, which must fail; its id and its error."""
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


def test_other_errors_are_retried_twice(no_delay: None, corpus: Path, tmp_path: Path) -> None:
    run_id, error = failed_run(corpus, tmp_path / ("too long" * 50), PREPARE)

    assert isinstance(error, OSError)
    (task,) = task_runs(run_id)
    assert task.run_count == 3


def test_an_error_that_forbids_a_retry_is_not_retried(
    no_delay: None, monkeypatch: pytest.MonkeyPatch, corpus: Path, tmp_path: Path
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RunError("injected: gradients were not finite", retryable=False)

    monkeypatch.setattr(stages, "prepare_corpus", fail)

    run_id, error = failed_run(corpus, tmp_path / "dataset", PREPARE)

    assert isinstance(error, RunError)
    (task,) = task_runs(run_id)
    assert task.run_count == 1


def test_a_retry_can_succeed(
    no_delay: None, monkeypatch: pytest.MonkeyPatch, corpus: Path, tmp_path: Path
) -> None:
    original = stages.prepare_corpus
    errors = [OSError("injected: the disk is full")]

    def fails_once(*args: Any, **options: Any) -> Any:
        if errors:
            raise errors.pop()
        return original(*args, **options)

    monkeypatch.setattr(stages, "prepare_corpus", fails_once)

    state = prepare_corpus(corpus, tmp_path / "dataset", PREPARE, return_state=True)

    assert state.result() == open_dataset(tmp_path / "dataset").manifest.fingerprint
    (task,) = task_runs(state.state_details.flow_run_id)
    assert task.run_count == 2
