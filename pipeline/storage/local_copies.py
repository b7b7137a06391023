"""Gives every input file a local path, even if the file is on S3."""

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
    """Gives every input file a local path.

    Local files are used in place. Of S3 files, the most recently requested one is kept as a
    temporary copy.

    Args:
        root: the folder that paths are relative to.
    """

    def __init__(self, root: Location) -> None:
        self._root = root
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._copied = ""

    def path(self, relative: str) -> Path:
        """The local path of a file. It is valid until another file is requested.

        Raises:
            OSError: the file is missing, or S3 refuses or does not answer.
        """
        local: Path | None = backend_of(self._root).local_path(self._root / relative)
        if local is not None:
            return local
        if self._folder is None or self._copied != relative:
            self.forget()
            _remove_copies_of_dead_processes()
            self._folder = tempfile.TemporaryDirectory(prefix=f"{_prefix()}{os.getpid()}-")
            copy = self._path_in(self._folder, relative)
            backend_of(self._root).download(self._root / relative, copy)
            self._copied = relative
        return self._path_in(self._folder, relative)

    def forget(self) -> None:
        """Delete the temporary copy, for example because the file on S3 has changed."""
        if self._folder is not None:
            self._folder.cleanup()
        self._folder = None

    @contextmanager
    def opened(self, relative: str) -> Iterator[Path]:
        """Yield the local path of a file.

        Raises:
            OSError: see :meth:`path`.
            InputError: the block raised it. The message names the file, not its temporary copy.
        """
        path = self.path(relative)
        try:
            yield path
        except InputError as error:
            name = str(self._root / relative)
            raise InputError(str(error).replace(str(path), name)) from error

    @staticmethod
    def _path_in(folder: tempfile.TemporaryDirectory[str], relative: str) -> Path:
        # The copy keeps the file's name, because the name tells the format.
        return Path(folder.name) / relative.rpartition("/")[2]


def _prefix() -> str:
    """The start of the folder names of this machine's copies. A process id follows."""
    return f"lingo-copy-{socket.gethostname()}-"


def _remove_copies_of_dead_processes() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{glob.escape(_prefix())}*"):
        pid = folder.name.removeprefix(_prefix()).partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)
