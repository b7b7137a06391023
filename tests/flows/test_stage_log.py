"""The log of a flow run says when a stage begins, how it proceeds, how it ends and why it fails."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect import flow

from flows import stage_log, stages
from flows.prepare import prepare_corpus
from flows.stage_log import logged_stage
from lingo_model import InputError
from pipeline.observability.progress import ProgressEvent
from pipeline.prepare.config import PrepareConfig, SubwordsConfig

pytestmark = pytest.mark.usefixtures("prefect_harness")


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """The messages that flow and task runs log, with their level if it is not INFO."""
    messages: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            level = "" if record.levelno == logging.INFO else f"{record.levelname} "
            messages.append(level + record.getMessage())

    handler = Handler()
    loggers = [logging.getLogger(name) for name in ("prefect.flow_runs", "prefect.task_runs")]
    for logger in loggers:
        logger.addHandler(handler)
    yield messages
    for logger in loggers:
        logger.removeHandler(handler)


def test_a_stage_logs_its_beginning_and_its_end_with_rows_and_rate(
    corpus: Path, tmp_path: Path, lines: list[str]
) -> None:
    prepare_corpus(corpus, tmp_path / "d", PrepareConfig(subwords=SubwordsConfig(vocab_size=400)))

    prepare = [line for line in lines if line.startswith("prepare: ")]
    assert prepare[0] == f"prepare: started; reads {corpus}, writes {tmp_path / 'd'}"
    assert re.fullmatch(
        r"prepare: finished in \d+ s: 650 rows, [\d,]+ rows/s; \d+ kept, \d+ rejected", prepare[-1]
    )
    assert len(prepare) == 2  # a short stage has no progress to tell


def test_a_stage_that_fails_logs_the_reason(tmp_path: Path, lines: list[str]) -> None:
    with pytest.raises(InputError):
        prepare_corpus(tmp_path / "none.yaml", tmp_path / "d")

    (failed,) = [line for line in lines if line.startswith("ERROR prepare: ")]
    assert re.fullmatch(
        r"ERROR prepare: failed after \d+ s: .*none.yaml: cannot be read \(No such .*", failed
    )


def test_progress_is_logged_with_done_total_and_rate(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_log, "_SECONDS_BETWEEN_LINES", 0.0)

    @flow
    def translate() -> None:
        with logged_stage("translate", "lake", Path("table")) as log:
            log.on_progress(ProgressEvent(n_done=0, n_total=9000))
            log.on_progress(ProgressEvent(n_done=4500, n_total=9000))
            log.result("all done")

    translate()

    logged = [line for line in lines if line.startswith("translate: ")]
    assert logged[:2] == [
        "translate: started; reads lake, writes table",
        "translate: 0 of 9,000 rows",
    ]
    assert re.fullmatch(r"translate: 4,500 of 9,000 rows, [\d,]+ rows/s", logged[2])
    assert re.fullmatch(r"translate: finished in 0 s: all done", logged[3])


def test_every_stage_that_works_for_long_is_logged() -> None:
    source = Path(stages.__file__).read_text(encoding="utf-8")
    assert re.findall(r'with logged_stage\("([a-z ]+)"', source) == [
        "prepare",
        "train",
        "translate",
        "retry quarantine",
        "evaluate",
    ]
