"""Progress events, and progress bars that show rate and remaining time."""

from __future__ import annotations

from collections.abc import Iterator
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
        n_total: number of items in total.
    """

    n_done: int
    n_total: int


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        rate = task.finished_speed or task.speed
        return Text(f"{rate:,.0f}/s" if rate else "", style="progress.data.speed")


class Bar:
    """One progress bar. Its methods are cheap and can be called for every row."""

    def __init__(self, progress: Progress, task: int) -> None:
        self._progress = progress
        self._task = task

    def advance(self, n: int = 1) -> None:
        """Add ``n`` to the number of completed items."""
        self._progress.advance(self._task, n)  # type: ignore[arg-type]

    def show(self, completed: int, note: str = "") -> None:
        """Set the number of completed items and the note behind the bar."""
        self._progress.update(self._task, completed=completed, note=note)  # type: ignore[arg-type]

    def total(self, total: int) -> None:
        """Set the total number of items."""
        self._progress.update(self._task, total=total)  # type: ignore[arg-type]


@contextmanager
def progress_bar(description: str, total: int | None) -> Iterator[Bar]:
    """Show a bar on standard error while the block runs. Without a terminal, nothing is shown.

    Args:
        description: text in front of the bar.
        total: number of items; None if it is not known yet.
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
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield Bar(progress, progress.add_task(description, total=total, note=""))
