"""Checks the names of columns in the settings against the columns that the input has."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from lingo_model import InputError
from pipeline.storage.location import Location
from pipeline.table.manifest import RunManifest, schema_of
from pipeline.translate.config import TranslateConfig
from pipeline.translate.run_config import run_config

_MAX_NAMES_SHOWN = 30


def check_names(
    source: Location,
    config: TranslateConfig,
    names: Iterable[str],
    published: list[RunManifest],
) -> None:
    """Check that each column to rename, to drop or to keep exists.

    Args:
        source: the input.
        config: the settings of the run.
        names: the columns of the files that the run opened, under their own names.
        published: the manifests of the table's runs. They have the columns of the other files.

    Raises:
        InputError: names a column that no file has, similar names, and the columns that exist.
    """
    old_names = {*names, *_published_names(published)}
    if not old_names:
        return  # no file has a row
    for name in config.rename:
        if name not in old_names:
            raise InputError(_unknown(source, "rename", name, old_names))
    new_names = {config.rename.get(name, name) for name in old_names}
    for setting in ("drop_columns", "keep_columns"):
        for name in getattr(config, setting) or ():
            if name not in new_names:
                raise InputError(_unknown(source, setting, name, new_names))


def _published_names(published: list[RunManifest]) -> set[str]:
    """The names of the columns of earlier runs, in the input and in the output."""
    if not published:
        return set()
    new_names = set(schema_of(published[-1].schema_base64).names)
    configs = [run_config(run) for run in published]
    for config in configs:
        new_names |= set(config.drop_columns)
    return new_names | {
        old for config in configs for old, new in config.rename.items() if new in new_names
    }


def _unknown(source: Location, setting: str, name: str, known: set[str]) -> str:
    similar = difflib.get_close_matches(name, known, n=3)
    hint = f"; did you mean {' or '.join(map(repr, similar))}?" if similar else ";"
    shown = sorted(known)[:_MAX_NAMES_SHOWN]
    if len(known) > len(shown):
        shown.append(f"and {len(known) - len(shown)} more")
    return (
        f"{source}: {setting}: no file has a column {name!r}{hint} the columns are "
        f"{', '.join(shown)}"
    )
