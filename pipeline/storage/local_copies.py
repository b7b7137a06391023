"""Gives every input file a local path, also when the file is on S3."""

from __future__ import annotations

import glob
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lingo_model import InputError
from pipeline.storage.backend import backend_of
from pipeline.storage.location import Location


class LocalCopies:
    """Input files as files of this machine: those that are here as they are, of those on S3 a copy
    of the one that was asked for last."""

    def __init__(self, root: Location) -> None:
        self._root = root
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._copied = ""

    def path(self, relative: str) -> Path:
        """Where a file can be read.

        Raises:
            OSError: it is not there, or S3 does not answer.
        """
        local: Path | None = backend_of(self._root).local_path(self._root / relative)
        if local is not None:
            return local
        if self._folder is None or self._copied != relative:
            self.forget()
            _remove_copies_of_the_dead()
            self._folder = tempfile.TemporaryDirectory(prefix=f"{_copies()}{os.getpid()}-")
            copy = self._in(self._folder, relative)
            backend_of(self._root).download(self._root / relative, copy)
            self._copied = relative
        return self._in(self._folder, relative)

    def forget(self) -> None:
        """Let go of the copy: the file is no more what it was."""
        if self._folder is not None:
            self._folder.cleanup()
        self._folder = None

    @contextmanager
    def reading(self, relative: str) -> Iterator[Path]:
        """Where a file can be read; an InputError in the block names the file, not its copy."""
        path = self.path(relative)
        try:
            yield path
        except InputError as error:
            name = str(self._root / relative)
            raise InputError(str(error).replace(str(path), name)) from error

    @staticmethod
    def _in(folder: tempfile.TemporaryDirectory[str], relative: str) -> Path:
        return Path(folder.name) / relative.rpartition("/")[2]  # its name tells the format


def _copies() -> str:
    """What the names of this machine's copies begin with; the number of a process follows."""
    return f"lingo-copy-{socket.gethostname()}-"


def _remove_copies_of_the_dead() -> None:
    """Processes that were killed have left theirs."""
    for folder in Path(tempfile.gettempdir()).glob(f"{glob.escape(_copies())}*"):
        pid = folder.name.removeprefix(_copies()).partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)
