"""What a table holds of each input file, read off the manifests of its published runs."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable

from pipeline.storage.file_version import InputFile
from pipeline.table.manifest import RunManifest, Unit


@dataclasses.dataclass(frozen=True, slots=True)
class PublishedFile:
    """The newest version of a file that a table has: its units, and the run that published them.

    ``seen`` is the file as it was seen last, which may be later than that run: what has another
    time but the same content need not be read again.
    """

    seen: InputFile
    settings_key: str
    model_id: str
    run: RunManifest
    units: tuple[Unit, ...]


def published_files(runs: Iterable[RunManifest]) -> dict[str, PublishedFile]:
    """Every file that some runs (the oldest first) have in the table, by its path."""
    found: dict[str, PublishedFile] = {}
    for run in runs:
        for path in run.deleted_files:
            found.pop(path, None)
        units: dict[str, list[Unit]] = defaultdict(list)
        for unit in run.units:
            units[unit.path].append(unit)
        for file in run.files:
            if file.path in units:
                found[file.path] = PublishedFile(
                    file,
                    run.settings_key,
                    run.model_id,
                    run,
                    tuple(units[file.path]),
                )
            elif file.path in found and found[file.path].seen.sha256 == file.sha256:
                found[file.path] = dataclasses.replace(found[file.path], seen=file)
    return found
