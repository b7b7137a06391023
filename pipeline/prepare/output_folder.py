"""The folder that ``prepare`` writes: it appears complete, and one process at a time writes it.

Reads: the names in the output folder.
Writes: nothing but the folder, a staging folder and a lock file, of which nothing is left.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lingo_model import InputError
from lingo_model.atomic_files import (
    LOCK,
    LocksUnsupportedError,
    locked,
    new_folder,
    reserved,
    sync_folder,
    sync_tree,
)
from pipeline.dataset.manifest import MANIFEST, SUBWORDS

_STAGING = ".staging"
_DATASET_NAMES = {MANIFEST, "pairs", "rejected", "encoded", SUBWORDS}
# Names that are in a folder without anybody having put them there.
_HARMLESS_NAMES = {"lost+found", ".DS_Store", ".gitkeep", LOCK, _STAGING}
_MAX_NAMES_SHOWN = 3


def check_output(output: Path) -> None:
    """Check that a dataset can be written to ``output``.

    An existing folder can be used if it is empty, or if it holds an interrupted or damaged dataset
    that ``prepare`` replaces.

    Raises:
        InputError: it is a file, a link to nothing, a folder with other files, or below a file.
    """
    for parent in output.parents:
        if parent.exists() and not parent.is_dir():
            raise InputError(f"{output}: {parent} is a file, not a folder; name another output")
    if not output.exists():
        if output.is_symlink():
            raise InputError(f"{output}: is a link to nothing; name another output")
        return
    if not output.is_dir():
        raise InputError(f"{output}: is a file; name a new or an empty folder for the dataset")
    names = {path.name for path in output.iterdir()}
    others = sorted(names - _HARMLESS_NAMES)
    is_interrupted = _STAGING in names and _DATASET_NAMES.issuperset(others)
    if not others or is_interrupted or MANIFEST in names:
        return
    shown = ", ".join(others[:_MAX_NAMES_SHOWN]) + (
        " ..." if len(others) > _MAX_NAMES_SHOWN else ""
    )
    if _DATASET_NAMES.issuperset(others):
        raise InputError(
            f"{output}: holds a dataset without its {MANIFEST} ({shown}); remove the folder and "
            "start again, or name another output"
        )
    raise InputError(
        f"{output}: holds other files ({shown}); name a new or an empty folder for the dataset"
    )


@contextmanager
def reserved_output(output: Path) -> Iterator[None]:
    """Keep other processes from writing to ``output`` while the block runs.

    Args:
        output: a path that passed :func:`check_output`.

    Raises:
        InputError: another process writes to it.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        # A file system without locks can be used; then two processes are not kept apart.
        with contextlib.suppress(LocksUnsupportedError):
            if output.is_dir():
                stack.enter_context(locked(output))
                stack.callback((output / LOCK).unlink, missing_ok=True)
            else:
                stack.enter_context(reserved(output))
        yield


@contextmanager
def staged_output(output: Path) -> Iterator[Path]:
    """Yield a staging folder. If the block succeeds, its content becomes that of ``output``.

    A new folder is renamed to ``output``. An existing folder stays: it may be mounted, linked to,
    or the current folder of a shell. Its dataset, if there is one, is removed. The new manifest is
    moved last, so that a reader never sees half a dataset.

    Args:
        output: a path that is reserved by :func:`reserved_output`.
    """
    if not output.is_dir():
        with new_folder(output) as staging:
            yield staging
        return
    staging = output / _STAGING
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        yield staging
        sync_tree(staging)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    # The manifest goes first and comes last. The staging folder marks what is between as ours.
    for name in sorted(_DATASET_NAMES, key=lambda name: name != MANIFEST):
        _remove(output / name)
    sync_folder(output)
    for path in sorted(staging.iterdir(), key=lambda path: path.name == MANIFEST):
        if path.name == MANIFEST:
            sync_folder(output)
        path.rename(output / path.name)
    staging.rmdir()
    sync_folder(output)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
