"""Folders that appear whole or not at all, and their locks."""

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


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """A staging folder beside ``final`` that becomes it by one rename, or vanishes on an error.

    Those that killed processes left are removed.
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
            with contextlib.suppress(InputError):  # where there are no locks, nothing is removed
                stack.enter_context(locked(staging))
            staging.chmod(0o755)  # mkdtemp gives 0700; other readers are meant to read this
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
    """Hold the lock of a folder, which is a file in it. The lock ends with the process.

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
    """Have the disk confirm a file's content."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Have the disk confirm a folder's list of names, so that a rename survives a power cut."""
    sync_file(path)


def sync_tree(root: Path) -> None:
    """Have the disk confirm everything below ``root``."""
    for folder, _, files in os.walk(root):
        for name in files:
            sync_file(Path(folder) / name)
        sync_folder(Path(folder))
