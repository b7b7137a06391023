"""The runs of a table as text, for ``lingo table runs``."""

from __future__ import annotations

import io

from rich.console import Console
from rich.table import Table as TextTable

from pipeline.storage.location import Location
from pipeline.table.manifest import IDENTITY, RunManifest, TableIdentity
from pipeline.table.open_table import open_table

_COLUMNS = ("run", "finished (UTC)", "rows", "translated", "reused", "passed", "quarantined")
_MAX_WIDTH = 200


def _note(run: RunManifest) -> str:
    notes = [f"retry of {run.retry_of}"] if run.retry_of else []
    if run.set_aside:
        notes.append(f"{len(run.set_aside):,} files set aside")
    return "; ".join(notes)


def run_list(root: Location) -> str:
    """One line for each published run, oldest first, then the unfinished run.

    Below them are the bad files that the newest run over the lake set aside, with the reasons.

    Raises:
        InputError: ``root`` is no translation table.
    """
    TableIdentity.load(root / IDENTITY)
    table = open_table(root)
    lines = TextTable(box=None, pad_edge=False)
    for number, name in enumerate((*_COLUMNS, "model", "note")):
        lines.add_column(name, justify="right" if 2 <= number < len(_COLUMNS) else "left")
    published = table.published()
    for run in published:
        rows = run.rows
        counts = (
            rows.n_input,
            rows.n_translated,
            rows.n_reused,
            rows.n_passed_through,
            rows.n_quarantined,
        )
        lines.add_row(
            run.run_id,
            f"{run.finished_at:%Y-%m-%d %H:%M}",
            *(f"{count:,}" for count in counts),
            run.model_id,
            _note(run),
        )
    unfinished = table.unfinished()
    if unfinished is not None:
        lines.add_row(unfinished.run_id, *[""] * len(_COLUMNS), "unfinished")
    if not lines.row_count:
        return "no runs"
    text = io.StringIO()
    Console(file=text, width=_MAX_WIDTH).print(lines)
    newest = [run for run in published if run.retry_of is None][-1:]
    set_aside = [
        f"set aside in run {run.run_id}: {file.path}: {file.reason}"
        for run in newest
        for file in run.set_aside
    ]
    return "\n".join([*map(str.rstrip, text.getvalue().splitlines()), *set_aside])
