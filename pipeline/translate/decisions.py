"""Decides for one input file whether its units are done now, and why."""

from __future__ import annotations

import dataclasses

from lingo_model import BundleManifest, InputError
from pipeline.lake.files import InspectedFile, inspect_file
from pipeline.storage.file_version import FileStamp
from pipeline.storage.location import Location
from pipeline.table.manifest import Unit
from pipeline.table.published_files import PublishedFile
from pipeline.translate.config import TranslateConfig
from pipeline.translate.run_config import selection_of
from pipeline.translate.setting_changes import SettingChanges
from pipeline.translate.units import unit_id, units_of


@dataclasses.dataclass(frozen=True, slots=True)
class FileDecision:
    """What a plan does with a file: its units, whether the run does them, and why.

    A file that is set aside has no units, and ``why`` says what is wrong with it.
    """

    path: str
    why: str
    units: tuple[Unit, ...]
    todo: bool
    is_set_aside: bool = False


def decide_file(
    root: Location,
    path: str,
    stamp: FileStamp,
    published: PublishedFile | None,
    model: BundleManifest,
    config: TranslateConfig,
    settings_key: str,
) -> tuple[FileDecision, InspectedFile | None]:
    """Decide about a file. It is opened only if its stamp, or a setting that may change its rows,
    differs from the table's.

    Args:
        root: the folder that ``path`` is relative to.
        path: the file's relative path.
        stamp: the file's stamp now.
        published: the file's newest version in the table, if there is one.
        model: the model that the run uses.
        config: the settings of the run.
        settings_key: :func:`settings_key_of` of ``config`` and ``model``.

    Returns:
        the decision, and the inspected file if it was opened and is not set aside.

    Raises:
        InputError: the file is bad, and ``config.on_bad_file`` is ``stop``.
    """
    changes = None
    if published is not None and published.settings_key != settings_key:
        changes = SettingChanges(published, model, config)
    may_change = changes is not None and changes.may_change_rows()
    if published is not None and not may_change and stamp == published.seen.stamp:
        return _decide_unchanged(published, model, config), None
    try:
        inspected = inspect_file(root, path, selection_of(config))
    except InputError as error:
        if config.on_bad_file == "stop":
            raise
        why = str(error).removeprefix(f"{root / path}: ")
        return FileDecision(path, why, (), todo=False, is_set_aside=True), None
    if published is None:
        return _translate(inspected, "new file", model, config), inspected
    run_id = published.run.run_id
    if inspected.file.sha256 != published.seen.sha256:
        why = f"content changed since run {run_id}"
        return _translate(inspected, why, model, config), inspected
    reason = None if changes is None else changes.reason(root, inspected)
    if reason is None:
        return _decide_unchanged(published, model, config), inspected
    return _translate(inspected, f"{reason} than in run {run_id}", model, config), inspected


def _translate(
    inspected: InspectedFile, why: str, model: BundleManifest, config: TranslateConfig
) -> FileDecision:
    units = tuple(units_of(inspected, model, config))
    return FileDecision(inspected.file.path, why, units, todo=True)


def _decide_unchanged(
    published: PublishedFile, model: BundleManifest, config: TranslateConfig
) -> FileDecision:
    path, run_id = published.seen.path, published.run.run_id
    if published.model_id == model.model_id:
        return FileDecision(path, f"published in run {run_id}", published.units, todo=False)
    if config.on_new_model == "keep":
        why = f"published in run {run_id} by model {published.model_id}, on_new_model=keep"
        return FileDecision(path, why, published.units, todo=False)
    units = tuple(
        unit.model_copy(update={"unit_id": unit_id(unit.content_id, model)})
        for unit in published.units
    )
    why = f"translated in run {run_id} by model {published.model_id}, on_new_model=retranslate"
    return FileDecision(path, why, units, todo=True)
