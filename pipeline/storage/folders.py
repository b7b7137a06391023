"""Creates folders that appear whole or not at all, and locks folders."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lingo_model import InputError

LOCK = ".lock"
"""The lock file in a folder. It holds the id of the process that has the lock."""


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """Yield a hidden staging folder, and rename it to ``final`` if the block succeeds.

    If the block fails, the staging folder is removed. Staging folders that killed processes left
    behind are removed, too.

    Raises:
        OSError: ``final`` exists and is not empty, or the disk refuses.
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
            # Without locks, leftover folders cannot be told from folders in use and are kept.
            with contextlib.suppress(InputError):
                stack.enter_context(locked(staging))
            staging.chmod(0o755)  # mkdtemp sets 0700, but other users may read the result
            yield staging
            sync_tree(staging)
            staging.rename(final)
            (final / LOCK).unlink()
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    sync_folder(final.parent)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a lock file in a folder. The lock ends with the process.

    Raises:
        InputError: another process holds the lock, or the file system does not support locks.
    """
    with (folder / LOCK).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise InputError(
                f"{folder}: process {holder} writes to it; wait for that process to end"
            ) from error
        except OSError as error:
            raise InputError(
                f"{folder}: its file system does not support locks ({error.strerror}); use another "
                "file system"
            ) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Wait until a folder's list of names is on the disk, so that a rename survives a power cut."""
    sync_file(path)


def sync_tree(root: Path) -> None:
    """Wait until all files and folders below ``root`` are on the disk."""
    for folder, _, files in os.walk(root):
        for name in files:
            sync_file(Path(folder) / name)
        sync_folder(Path(folder))
