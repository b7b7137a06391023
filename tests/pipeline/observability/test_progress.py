"""Progress events, and the lines that are made of them."""

from __future__ import annotations

import pytest

from pipeline.observability import progress
from pipeline.observability.progress import ProgressEvent, ProgressLines, progress_bar


class Clock:
    """A replacement for ``time.monotonic``."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 1000.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.seconds)


def test_a_short_run_writes_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, lines = Clock(monkeypatch), list[str]()
    on_progress = ProgressLines(lines.append)
    for phase in ("read", "train", "encode"):
        clock.seconds += 3
        on_progress(ProgressEvent(n_done=0, n_total=None, phase=phase))
    assert lines == []


def test_a_long_run_writes_a_line_each_minute_and_one_for_each_phase(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, lines = Clock(monkeypatch), list[str]()
    on_progress = ProgressLines(lines.append)
    for second in range(200):
        clock.seconds = 1000.0 + second
        on_progress(ProgressEvent(n_done=second * 50, n_total=None, phase="read"))
    for second in range(200, 290):
        clock.seconds = 1000.0 + second
        on_progress(ProgressEvent(n_done=second - 200, n_total=None, phase="train", unit="seconds"))
    clock.seconds += 1
    on_progress(ProgressEvent(n_done=0, n_total=9950, phase="encode"))
    assert lines == [
        "read: 500 rows, 50 rows/s",
        "read: 3,500 rows, 50 rows/s",
        "read: 6,500 rows, 50 rows/s",
        "read: 9,500 rows, 50 rows/s",
        "train: 0 seconds",
        "train: 60 seconds",
        "encode: 0 of 9,950 rows",
    ]


def test_a_bar_reports_its_progress_at_most_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, events = Clock(monkeypatch), list[ProgressEvent]()
    with progress_bar("encode", 40, on_progress=events.append) as bar:
        for _ in range(40):
            clock.seconds += 0.125
            bar.advance(1)
    assert [event.n_done for event in events] == [0, 8, 16, 24, 32, 40]
    assert {(event.n_total, event.phase, event.unit) for event in events} == {
        (40, "encode", "rows")
    }
