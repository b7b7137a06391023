"""The folder that ``prepare`` writes: it appears complete, and one process at a time writes it.

:class:`pipeline.prepare.s3_output.S3Output` does the same on S3.

Reads: the names in the output folder.
Writes: nothing but the folder, a staging folder and a lock file. The staging folder stays if the
process is interrupted or killed, so that the next run goes on with it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from lingo_model import InputError
from lingo_model.atomic_files import (
    LOCK,
    LocksUnsupportedError,
    locked,
    sync_folder,
    sync_tree,
)
from pipeline.dataset.manifest import MANIFEST, SUBWORDS, DatasetManifest
from pipeline.dataset.report import REPORT, REPORT_PAGE
from pipeline.errors import RunError
from pipeline.prepare.reuse import usable_dataset
from pipeline.storage.files import write_bytes
from pipeline.storage.location import Location

DATASET_NAMES = {MANIFEST, "pairs", "rejected", "encoded", SUBWORDS, REPORT, REPORT_PAGE}
"""The files and folders of a dataset."""

_STAGING = ".staging"
_FINGERPRINT = "fingerprint"
# Increase this if the files between the passes change, so that a new release does not go on with
# the work of an old one.
_STAGING_FORMAT = 1
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
    check_names(output, names - _HARMLESS_NAMES, is_interrupted=_STAGING in names)


def check_names(output: Location, names: set[str], *, is_interrupted: bool) -> None:
    """Check by the names in a folder that a dataset can be written there.

    Args:
        output: the folder.
        names: the files and folders in it.
        is_interrupted: whether it has a sign of an interrupted run.

    Raises:
        InputError: it has other files than those of a dataset, or a dataset without its manifest.
    """
    others = sorted(names)
    is_interrupted = is_interrupted and DATASET_NAMES.issuperset(others)
    if not others or is_interrupted or MANIFEST in names:
        return
    shown = ", ".join(others[:_MAX_NAMES_SHOWN]) + (
        " ..." if len(others) > _MAX_NAMES_SHOWN else ""
    )
    if DATASET_NAMES.issuperset(others):
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

    The folder is made if it is missing. If it is still empty at the end, it is removed.

    Args:
        output: a path that passed :func:`check_output`.

    Raises:
        InputError: another process writes to it.
    """
    is_new = not output.is_dir()
    output.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        if is_new:
            stack.callback(_remove_if_empty, output)
        # A file system without locks can be used; then two processes are not kept apart.
        with contextlib.suppress(LocksUnsupportedError):
            stack.enter_context(locked(output))
            stack.callback((output / LOCK).unlink, missing_ok=True)
        yield


@dataclasses.dataclass(frozen=True)
class Staging:
    """The folders of a run of ``prepare``.

    Args:
        dataset: the folder of the new dataset.
        work: the folder of the files between the passes.
        results: the folder of the results of tasks.
    """

    dataset: Path
    work: Path
    results: Path


@contextmanager
def staging_folder(staging: Path, fingerprint: str) -> Iterator[Staging]:
    """Yield the folders of a run in ``staging``.

    If the process is interrupted or killed, or the machine has too little memory or disk space, the
    folder stays, and the next run with the same fingerprint goes on with it. A run with another
    fingerprint empties it. After any other error it is removed, because its files may be the cause.

    Args:
        staging: a path that no other process uses.
        fingerprint: a hash of everything that the files in the folder depend on.
    """
    label = staging / _FINGERPRINT
    content = f"{fingerprint} {_STAGING_FORMAT}"
    folders = Staging(staging / "dataset", staging / "work", staging / "results")
    if label.exists() and label.read_text() == content:
        for path in folders.dataset.iterdir():
            if path.name not in DATASET_NAMES:  # a temporary name of a process that was killed
                remove(path)
    else:
        remove_staging_folder(staging)
        for folder in (folders.dataset, folders.work, folders.results):
            folder.mkdir(parents=True)
        write_bytes(label, content.encode())
    try:
        yield folders
    except BaseException as error:
        if not _can_continue_after(error):
            remove_staging_folder(staging)
        raise


@contextmanager
def staged_output(output: Path, fingerprint: str) -> Iterator[Staging]:
    """Yield a staging folder. If the block succeeds, its dataset becomes that of ``output``.

    The folder ``output`` stays the same one: it may be mounted, linked to, or the current folder of
    a shell. Its dataset, if there is one, is removed. The new manifest is moved last, so that a
    reader never sees half a dataset.

    Args:
        output: a path that is reserved by :func:`reserved_output`.
        fingerprint: see :func:`staging_folder`.
    """
    with staging_folder(output / _STAGING, fingerprint) as folders:
        _undo_moves(output, folders.dataset)
        yield folders
    sync_tree(folders.dataset)
    # The manifest goes first and comes last. The staging folder marks what is between as ours.
    for name in sorted(DATASET_NAMES, key=lambda name: name != MANIFEST):
        remove(output / name)
    sync_folder(output)
    for path in sorted(folders.dataset.iterdir(), key=lambda path: path.name == MANIFEST):
        if path.name == MANIFEST:
            sync_folder(output)
        path.rename(output / path.name)
    remove_staging_folder(output / _STAGING)
    sync_folder(output)


def _undo_moves(output: Path, dataset: Path) -> None:
    """Move back what a process that was killed had moved to ``output`` before the manifest."""
    if (output / MANIFEST).exists():
        return  # a damaged dataset that this one replaces
    for name in DATASET_NAMES:
        if (output / name).exists() and not (dataset / name).exists():
            (output / name).rename(dataset / name)


class DiskOutput:
    """A dataset to write to a folder of this machine.

    Args:
        folder: the folder, as an absolute path.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def check(self) -> None:
        """See :func:`check_output`."""
        check_output(self._folder)

    def usable(
        self, made_from: dict[str, Any], on_damage: Callable[[str], object]
    ) -> DatasetManifest | None:
        """See :func:`pipeline.prepare.reuse.usable_dataset`."""
        manifest = usable_dataset(self._folder, made_from, on_damage=on_damage)
        if manifest is not None:
            remove_staging(self._folder)
        return manifest

    def reserved(self) -> AbstractContextManager[None]:
        """See :func:`reserved_output`."""
        return reserved_output(self._folder)

    def staged(self, fingerprint: str) -> AbstractContextManager[Staging]:
        """See :func:`staged_output`."""
        return staged_output(self._folder, fingerprint)


def remove_staging(output: Path) -> None:
    """Remove the staging folder of a process that was killed after its dataset was complete."""
    if (output / _STAGING).exists():
        # A process that holds the lock removes the staging folder itself.
        with contextlib.suppress(InputError), reserved_output(output):
            remove_staging_folder(output / _STAGING)


def remove_staging_folder(staging: Path) -> None:
    """Remove a staging folder. If the process is killed meanwhile, nobody goes on with the rest."""
    (staging / _FINGERPRINT).unlink(missing_ok=True)  # first
    remove(staging)


def _can_continue_after(error: BaseException) -> bool:
    """Whether the files that were written before an error can be used by the next run."""
    # If a file of the staging folder is missing, the next run would miss it, too.
    is_environment = isinstance(error, OSError | MemoryError | RunError | KeyboardInterrupt)
    return is_environment and not isinstance(error, FileNotFoundError)


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()


def remove(path: Path) -> None:
    """Remove a file, or a folder with its content. Does nothing if it is absent."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
