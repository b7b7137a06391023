"""The newest version of each input file that a table holds, from the manifests of its runs."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.storage.file_version import InputFile
from pipeline.table.manifest import RunManifest, Unit


@dataclasses.dataclass(frozen=True, slots=True)
class PublishedFile:
    """The newest version of an input file in a table.

    Attributes:
        seen: the file as a run saw it last. It may be newer than ``run``: a later run that finds
            the same content under a new modification time records only the new time.
        settings_key: the key of the settings; see :class:`RunHeader`.
        settings: the settings by which the file's rows are as they are. Those of ``run``, or of a
            later run that found that its settings do not change them.
        model_id: the model of ``run``.
        run: the run that published the file's rows.
        units: the file's units.
    """

    seen: InputFile
    settings_key: str
    settings: Mapping[str, Any]
    model_id: str
    run: RunManifest
    units: tuple[Unit, ...]


def published_files(runs: Iterable[RunManifest]) -> dict[str, PublishedFile]:
    """The newest version of each file, by path.

    Args:
        runs: the manifests of published runs, oldest first.
    """
    newest: dict[str, PublishedFile] = {}
    for run in runs:
        for path in run.deleted_files:
            newest.pop(path, None)
        units: dict[str, list[Unit]] = defaultdict(list)
        for unit in run.units:
            units[unit.path].append(unit)
        for file in run.files:
            if file.path in units:
                newest[file.path] = PublishedFile(
                    file,
                    run.settings_key,
                    run.settings,
                    run.model_id,
                    run,
                    tuple(units[file.path]),
                )
            elif file.path in newest and newest[file.path].seen.sha256 == file.sha256:
                newest[file.path] = dataclasses.replace(
                    newest[file.path],
                    seen=file,
                    settings_key=run.settings_key,
                    settings=run.settings,
                )
    return newest
