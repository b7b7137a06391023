"""Opens a corpus whose files may be on S3: they are copied to this machine while it is open.

Reads: a corpus description, and its files on S3.
Writes: copies of these files, in a folder of its own that it removes.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lingo_model import InputError
from lingo_model.atomic_files import LocksUnsupportedError, reserved
from pipeline.observability.progress import OnProgress, ignore_progress, progress_bar
from pipeline.prepare.corpus import CorpusDescription, load_corpus, with_copies
from pipeline.storage.file_version import FileStamp
from pipeline.storage.files import write_json
from pipeline.storage.s3 import S3Path

_FILES, _STAMPS = "files", "stamps"


@contextmanager
def open_corpus(
    path: Path,
    folder: Path | None = None,
    *,
    n_parts: int | None = None,
    on_progress: OnProgress = ignore_progress,
) -> Iterator[CorpusDescription]:
    """Yield a corpus with files of this machine. Files on S3 are copied first, each of them once.

    The names of the copies end like the URIs. So a corpus gives the same dataset wherever its files
    are.

    The copies are removed at the end of the block. If the process is interrupted or killed, they
    stay, and the same call uses those whose files have not changed since.

    Args:
        path: the corpus description.
        folder: the folder of the copies. None is a temporary one, which no later call uses.
        n_parts: copy the files of so many parts of each input only. None copies all.
        on_progress: called with the number of files that are copied.

    Raises:
        InputError: see :func:`pipeline.prepare.corpus.load_corpus`; a file on S3 changes or
            vanishes before it is copied; or another process copies the same corpus to ``folder``.
            Errors of the block name the files on S3, not their copies.
        OSError: S3 refuses or does not answer, or the disk is full.
    """
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lingo-inputs-")))
            folder /= "copies"
        copies = _Copies(folder.absolute())
        loaded = load_corpus(path, copies.path_of)
        corpus = with_copies(loaded, copies.files, copies.sizes)
        if copies.is_empty:
            yield corpus
            return
        folder.parent.mkdir(parents=True, exist_ok=True)
        # A file system without locks can be used; then two processes are not kept apart.
        with contextlib.suppress(LocksUnsupportedError):
            stack.enter_context(reserved(folder))
        try:
            items = corpus.inputs
            copied = items if n_parts is None else [item.first_parts(n_parts) for item in items]
            copies.copy([file for item in copied for file in item.files], on_progress)
            yield corpus
        except InputError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise InputError(corpus.with_uris(str(error))) from error
        shutil.rmtree(folder)


class _Copies:
    """The copies of files on S3.

    Args:
        folder: the folder of the copies, as an absolute path.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._copied: dict[Path, tuple[S3Path, FileStamp]] = {}

    @property
    def files(self) -> Path:
        """The folder of the copies. Their paths in it are bucket and key."""
        return self._folder / _FILES

    @property
    def sizes(self) -> dict[Path, int]:
        """The sizes of the files in bytes, by the paths of their copies."""
        return {path: stamp.n_bytes for path, (_, stamp) in self._copied.items()}

    @property
    def is_empty(self) -> bool:
        """Whether no file is on S3."""
        return not self._copied

    def path_of(self, file: S3Path, stamp: FileStamp) -> Path:
        """The path of the copy of a file, which :meth:`copy` makes."""
        path = self.files / file.bucket / file.key
        self._copied[path] = file, stamp
        return path

    def copy(self, paths: list[Path], on_progress: OnProgress) -> None:
        """Copy the files that have no copy yet, or have changed since.

        Args:
            paths: files of this machine, and copies to make.
            on_progress: called with the number of files that are copied.
        """
        wanted = {path: self._copied[path] for path in paths if path in self._copied}
        with progress_bar("copy inputs", len(wanted), unit="files", on_progress=on_progress) as bar:
            for path, (file, stamp) in wanted.items():
                self._copy(path, file, stamp)
                bar.advance()

    def _copy(self, path: Path, file: S3Path, stamp: FileStamp) -> None:
        label = self._folder / _STAMPS / file.bucket / f"{file.key}.json"
        written = [stamp.n_bytes, stamp.etag]
        if path.exists() and label.exists() and json.loads(label.read_bytes()) == written:
            return
        for parent in (path.parent, label.parent):
            parent.mkdir(parents=True, exist_ok=True)
        label.unlink(missing_ok=True)
        try:
            copied = file.download(path)
        except FileNotFoundError as error:
            raise InputError(
                f"{file}: vanished before it was copied; put it back, or take it out of the corpus"
            ) from error
        if (copied.n_bytes, copied.etag) != (stamp.n_bytes, stamp.etag):
            raise InputError(f"{file}: changed before it was copied; prepare it again")
        if path.stat().st_size != stamp.n_bytes:
            raise OSError(f"{file}: S3 sent {path.stat().st_size} of {stamp.n_bytes} bytes")
        write_json(label, written)
