"""Progress bars with rate and time left, silent when nobody watches."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager

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


@dataclasses.dataclass(frozen=True)
class ProgressEvent:
    """How far a stage is, in the stage's own unit of work (rows or steps)."""

    n_done: int
    n_total: int


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        rate = task.finished_speed or task.speed
        return Text(f"{rate:,.0f}/s" if rate else "", style="progress.data.speed")


class Bar:
    """One bar; ``advance`` and ``show`` may be called as often as one likes."""

    def __init__(self, progress: Progress, task: int) -> None:
        self._progress = progress
        self._task = task

    def advance(self, n: int = 1) -> None:
        """Count ``n`` more as done."""
        self._progress.advance(self._task, n)  # type: ignore[arg-type]

    def show(self, completed: int, note: str = "") -> None:
        """Set how many are done, and a note that stands behind the bar."""
        self._progress.update(self._task, completed=completed, note=note)  # type: ignore[arg-type]

    def total(self, total: int) -> None:
        """Set how many there are in all."""
        self._progress.update(self._task, total=total)  # type: ignore[arg-type]


@contextmanager
def progress_bar(description: str, total: int | None) -> Iterator[Bar]:
    """A bar on standard error; ``total`` None where nobody knows it. Silent without a terminal."""
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
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield Bar(progress, progress.add_task(description, total=total, note=""))
