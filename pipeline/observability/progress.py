"""Progress events, and progress bars that show rate and remaining time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


@dataclass(frozen=True)
class ProgressEvent:
    """The state of a running stage, as its ``on_progress`` callback receives it.

    Attributes:
        n_done: number of completed items, such as rows.
        n_total: number of items in total; None if it is not known.
        phase: the part of the stage that runs, such as ``encode``; empty if it has only one.
        unit: what is counted.
    """

    n_done: int
    n_total: int | None
    phase: str = ""
    unit: str = "rows"


class ProgressLines:
    """Turns progress events into lines of text: one for each phase, and one each minute.

    Args:
        write: receives each line.
        quiet_seconds: no line is written before this time, so that a short run writes none.
        seconds_between: the time between two lines of one phase.
    """

    def __init__(
        self,
        write: Callable[[str], object],
        *,
        quiet_seconds: float = 10.0,
        seconds_between: float = 60.0,
    ) -> None:
        self._write = write
        self._seconds_between = seconds_between
        self._due = time.monotonic() + quiet_seconds
        self._has_written = False
        self._phase: str | None = None
        self._phase_began_at = 0.0
        self._n_before = 0

    def __call__(self, event: ProgressEvent) -> None:
        """Write a line if it is time for one."""
        now = time.monotonic()
        is_new_phase = event.phase != self._phase
        if is_new_phase:
            self._phase, self._phase_began_at, self._n_before = event.phase, now, event.n_done
        if now < self._due and not (is_new_phase and self._has_written):
            return
        self._has_written = True
        self._due = now + self._seconds_between
        self._write(self._line(event, now - self._phase_began_at))

    def _line(self, event: ProgressEvent, seconds: float) -> str:
        of_total = "" if event.n_total is None else f" of {event.n_total:,}"
        line = f"{event.n_done:,}{of_total} {event.unit}"
        n_new = event.n_done - self._n_before
        if n_new and seconds and event.unit != "seconds":
            line += f", {n_new / seconds:,.0f} {event.unit}/s"
        return f"{event.phase}: {line}" if event.phase else line


OnProgress = Callable[[ProgressEvent], None]


def ignore_progress(_event: ProgressEvent) -> None:
    """The default for ``on_progress``."""


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        rate = task.finished_speed or task.speed
        return Text(f"{rate:,.0f}/s" if rate else "", style="progress.data.speed")


class Bar:
    """One progress bar. Its methods are cheap and can be called for every row.

    Args:
        progress: the display.
        task: the bar's number in the display.
        start: the event at the beginning; later ones have its phase and unit.
        on_progress: called with an event at the beginning, and at most once a second.
    """

    _SECONDS_BETWEEN_EVENTS = 1.0

    def __init__(
        self, progress: Progress, task: int, start: ProgressEvent, on_progress: OnProgress
    ) -> None:
        self._progress = progress
        self._task = task
        self._start = start
        self._on_progress = on_progress
        self._n_done = 0
        self._n_total = start.n_total
        self._reported = time.monotonic()
        on_progress(start)

    def advance(self, n: int = 1) -> None:
        """Add ``n`` to the number of completed items."""
        self._progress.advance(self._task, n)  # type: ignore[arg-type]
        self._n_done += n
        self._report()

    def show(self, completed: int, note: str = "") -> None:
        """Set the number of completed items and the note behind the bar."""
        self._progress.update(self._task, completed=completed, note=note)  # type: ignore[arg-type]
        self._n_done = completed
        self._report()

    def total(self, total: int) -> None:
        """Set the total number of items."""
        self._progress.update(self._task, total=total)  # type: ignore[arg-type]
        self._n_total = total

    def _report(self) -> None:
        now = time.monotonic()
        if now - self._reported >= self._SECONDS_BETWEEN_EVENTS:
            self._reported = now
            self._on_progress(
                ProgressEvent(
                    n_done=self._n_done,
                    n_total=self._n_total,
                    phase=self._start.phase,
                    unit=self._start.unit,
                )
            )


@contextmanager
def progress_bar(
    description: str,
    total: int | None,
    *,
    unit: str = "rows",
    on_progress: OnProgress = ignore_progress,
) -> Iterator[Bar]:
    """Show a bar on standard error while the block runs. Without a terminal, nothing is shown.

    Args:
        description: text in front of the bar, and the phase of the progress events.
        total: number of items; None if it is not known yet.
        unit: what is counted.
        on_progress: called with an event at the beginning, and at most once a second.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    start = ProgressEvent(n_done=0, n_total=total, phase=description, unit=unit)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield Bar(
            progress, progress.add_task(description, total=total, note=""), start, on_progress
        )
