"""The lines that a stage writes to the log of its flow run: its beginning, progress and end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prefect.logging import get_run_logger

from pipeline.errors import one_line
from pipeline.observability.progress import OnProgress, ProgressLines
from pipeline.storage.location import Location

_SECONDS_BETWEEN_LINES = 60.0


class StageLog:
    """The log of a running stage.

    Args:
        stage: the name of the stage, which each line begins with.
    """

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._logger = get_run_logger()
        self._started = time.monotonic()
        self._result = "done"
        self.on_progress: OnProgress = ProgressLines(
            self.line, quiet_seconds=_SECONDS_BETWEEN_LINES, seconds_between=_SECONDS_BETWEEN_LINES
        )

    def line(self, text: str) -> None:
        """Write a line."""
        self._logger.info("%s: %s", self._stage, text)

    def failed(self, error: BaseException) -> None:
        """Write why the stage failed."""
        reason = one_line(error) or type(error).__name__
        self._logger.error("%s: failed after %.0f s: %s", self._stage, self.seconds, reason)

    @property
    def seconds(self) -> float:
        """The time since the beginning of the stage."""
        return time.monotonic() - self._started

    def result(self, text: str) -> None:
        """Set what the last line says."""
        self._result = text

    def finished(self) -> None:
        """Write the last line."""
        self.line(f"finished in {self.seconds:.0f} s: {self._result}")

    def rate(self, n_rows: int) -> str:
        """A number of rows, and how many that is in a second."""
        return f"{n_rows:,} rows, {n_rows / max(self.seconds, 1e-3):,.0f} rows/s"


@contextmanager
def logged_stage(stage: str, reads: Location | str, writes: Location) -> Iterator[StageLog]:
    """Log the beginning and the end of a stage, or why it failed.

    Args:
        stage: the name of the stage.
        reads: what it reads.
        writes: what it writes.
    """
    log = StageLog(stage)
    log.line(f"started; reads {reads}, writes {writes}")
    try:
        yield log
    except BaseException as error:
        log.failed(error)
        raise
    log.finished()
