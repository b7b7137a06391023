"""Folders that appear under their final name complete, and on disk, or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lingo_model.errors import InputError

LOCK = ".lock"
"""Name of the lock file inside a folder."""


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """Yield a staging folder beside ``final``; on success it is renamed to ``final``.

    Everything in the staging folder is on disk before the rename, and the rename is on disk
    before the function returns. On an error the staging folder is removed. A lock marks a staging
    folder as in use, so staging folders of killed processes are recognised and removed.

    Raises:
        OSError: a file cannot be written, or ``final`` exists and is not an empty folder.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    prefix, suffix = f".{final.name}.", ".tmp"
    for folder in final.parent.iterdir():
        lock = folder / LOCK
        if folder.name.startswith(prefix) and folder.name.endswith(suffix) and lock.exists():
            with contextlib.suppress(OSError, InputError), locked(folder):
                shutil.rmtree(folder)
    staging = Path(tempfile.mkdtemp(prefix=prefix, suffix=suffix, dir=final.parent))
    try:
        with contextlib.ExitStack() as stack:
            # A file system without locks is fine: then old staging folders are never removed.
            with contextlib.suppress(InputError):
                stack.enter_context(locked(staging))
            staging.chmod(0o755)  # mkdtemp gives 0700, but other users may read the result
            yield staging
            sync_tree(staging)
            staging.rename(final)
            (final / LOCK).unlink()
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    sync_folder(final.parent)


class LocksUnsupportedError(InputError):
    """The file system of a folder does not support locks."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a lock file in a folder. The lock ends with the process.

    Raises:
        InputError: another process holds the lock, or the file system does not support locks.
    """
    with _lock_held(folder / LOCK, folder):
        yield


@contextmanager
def reserved(path: Path) -> Iterator[None]:
    """Hold a lock on a path that may not exist. The lock file beside it is removed at the end.

    Raises:
        InputError: another process holds the lock, or the file system does not support locks.
    """
    lock = path.with_name(f".{path.name}{LOCK}")
    with _lock_held(lock, path):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


@contextmanager
def _lock_held(lock: Path, what: Path) -> Iterator[None]:
    """Hold the lock file ``lock``; the error messages name ``what``."""
    with contextlib.ExitStack() as stack:
        while True:
            file = stack.enter_context(lock.open("a+"))
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise InputError(
                    f"{what}: another process is using it (process {holder}); wait for it to end"
                ) from error
            except OSError as error:
                raise LocksUnsupportedError(
                    f"{what}: its file system does not support locks ({error.strerror}); "
                    "use a folder on another file system"
                ) from error
            # The process that held the lock before may have removed the file meanwhile.
            if lock.exists() and os.path.samestat(lock.stat(), os.fstat(file.fileno())):
                break
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def sync_file(path: Path) -> None:
    """Flush the content of a file to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Flush the list of names in a folder to disk, so that a rename survives a power failure."""
    sync_file(path)


def sync_tree(root: Path) -> None:
    """Flush every file and folder below ``root`` to disk, and ``root`` itself."""
    for folder, _, files in os.walk(root):
        for name in files:
            sync_file(Path(folder) / name)
        sync_folder(Path(folder))
