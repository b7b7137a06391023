"""One nightly run as a command that kills itself at a named moment.

    python tests/faults/night.py LAKE BUNDLE TABLE CONFIG MOMENT

Such a moment cannot be hit from outside. With an empty MOMENT the run is undisturbed.
"""

from __future__ import annotations

import datetime
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from pipeline.cli.app import main
from pipeline.storage.manifests import utc_now
from pipeline.table import disk_table
from pipeline.table.disk_table import DiskTable
from pipeline.table.s3_table import S3Table
from pipeline.translate import decisions, planning, publish, reconcile, stage


def die(*_arguments: Any, **_options: Any) -> NoReturn:
    """Kill this process. Takes the place of any function."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")


def dies_after(function: Callable[..., Any], n_calls: int = 1) -> Callable[..., Any]:
    """The function, which kills the process at the end of its ``n_calls``-th call."""
    calls = []

    def called(*arguments: Any, **options: Any) -> Any:
        result = function(*arguments, **options)
        calls.append(1)
        if len(calls) == n_calls:
            die()
        return result

    return called


def die_around_the_rename(*, before: bool) -> None:
    """Kill the process before or after the rename that publishes a run."""
    rename = Path.rename

    def called(self: Path, target: Path) -> Any:
        publishes = "_staging" in str(self.parent) and "/data/" in str(target)
        if publishes and before:
            die()
        result = rename(self, target)
        if publishes:
            die()
        return result

    Path.rename = called


def set_clock_back_a_day() -> None:
    """Make runs begin and end a day earlier."""

    def yesterday() -> datetime.datetime:
        return utc_now() - datetime.timedelta(days=1)

    planning.utc_now = publish.utc_now = yesterday


def plant(moment: str) -> None:
    """Replace a function of the pipeline so that the process dies at a moment."""
    match moment:
        case "before planning":
            stage.plan_run = die
        case "while planning":
            decisions.inspect_file = dies_after(decisions.inspect_file)
        case "planned":
            for kind in (DiskTable, S3Table):
                kind.begin = dies_after(kind.begin)
        case "before reconciling":
            publish.reconcile = die
        case "while reconciling":
            reconcile.row_id_digest = dies_after(reconcile.row_id_digest, 7)
        case "reconciled":
            publish.reconcile = dies_after(publish.reconcile)
        case "page written":
            publish.write_run_report = dies_after(publish.write_run_report)
        case "manifest written":
            disk_table.sync_tree = die
        case "before the rename":
            die_around_the_rename(before=True)
        case "after the rename":
            die_around_the_rename(before=False)
        case "before the commit":
            S3Table.publish = die
        case "after the commit":
            S3Table._withdraw = die
        case "clock":
            set_clock_back_a_day()
        case "":
            pass
        case _:
            raise ValueError(f"unknown moment {moment!r}")


if __name__ == "__main__":
    lake, bundle, table, config, moment = sys.argv[1:]
    plant(moment)
    sys.argv[1:] = [
        *("translate", lake, "--model", bundle, "--output", table),
        *("--config", config, "--actors", "2", "--ray-address", "local"),
    ]
    main()
