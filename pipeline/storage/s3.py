"""Paths on S3 and on compatible servers, with the part of pathlib's interface that Lingo uses.

Credentials, region and endpoint come from the environment (``AWS_ACCESS_KEY_ID``,
``AWS_ENDPOINT_URL``, ... or the machine's role). The client retries failed calls for some minutes
before it gives up.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from pipeline.storage.file_version import FileStamp

SCHEME = "s3://"
_NANOSECONDS = 1_000_000_000
_PIECE_BYTES = 1 << 20

# The address from which a machine gets the credentials of its role. The client asks there if the
# environment has no credentials.
_METADATA_SERVER = "169.254.169.254"


@dataclasses.dataclass(frozen=True, order=True)
class S3Path:
    """A file or a folder on S3. A folder is a common prefix of keys and exists while it has files.

    Methods with the names of :class:`pathlib.Path` do the same as there. The others are
    :meth:`files`, :meth:`stamp`, :meth:`create`, :meth:`download`, :meth:`upload`, :meth:`sha256`
    and :meth:`remove_tree`. Every method that sends a request raises OSError if S3 refuses or does
    not answer. The message is one line and names the path.

    Attributes:
        bucket: the bucket's name.
        key: the key of a file, or the prefix of a folder without the ``/`` at its end. Empty for
            the bucket's root.
    """

    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> S3Path:
        """Convert a URI of the form ``s3://BUCKET/KEY`` to a path.

        Raises:
            ValueError: the URI has another scheme, or no bucket.
        """
        bucket, _, key = uri.removeprefix(SCHEME).partition("/")
        if not uri.startswith(SCHEME) or not bucket:
            raise ValueError(f"{uri!r}: needs the form s3://BUCKET/FOLDER")
        return cls(bucket, key.strip("/"))

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}".rstrip("/")

    def __truediv__(self, name: str) -> S3Path:
        return S3Path(self.bucket, f"{self.key}/{name}".strip("/"))

    @property
    def name(self) -> str:
        """The last part of the key."""
        return PurePosixPath(self.key).name

    @property
    def parent(self) -> S3Path:
        """The folder that holds this file or folder. The root of a bucket is its own parent."""
        return S3Path(self.bucket, self.key.rpartition("/")[0])

    def relative_to(self, folder: S3Path) -> PurePosixPath:
        """The key relative to the key of a folder of the same bucket.

        Raises:
            ValueError: the path is not below ``folder``.
        """
        return PurePosixPath(self.key).relative_to(folder.key)

    def resolve(self) -> S3Path:
        """The path itself: on S3 every path is absolute."""
        return self

    def as_uri(self) -> str:
        """The path as ``s3://BUCKET/KEY``."""
        return str(self)

    def is_file(self) -> bool:
        """Whether there is a file with this key. Sends one request.

        Raises:
            OSError: S3 refuses or does not answer.
        """
        return bool(self.key) and self.stamp() is not None

    def is_dir(self) -> bool:
        """Whether there is a file below this path. Sends one request.

        Raises:
            OSError: S3 refuses or does not answer.
        """
        return next(self._keys(), None) is not None

    def exists(self) -> bool:
        """Whether this is a file or a folder.

        Raises:
            OSError: S3 refuses or does not answer.
        """
        return self.is_file() or self.is_dir()

    def stamp(self) -> FileStamp | None:
        """Size, modification time and ETag of a file, or None if there is no such file.

        Raises:
            OSError: S3 refuses or does not answer.
        """
        try:
            with self._client_errors_as_os_errors():
                metadata = obstore.head(_store(self.bucket), self.key)
        except FileNotFoundError:
            return None
        return _stamp_of(metadata)

    def files(self) -> dict[str, FileStamp]:
        """The stamps of all files below this folder, by relative path, sorted.

        Sends one request for 1,000 files.

        Raises:
            OSError: S3 refuses or does not answer.
        """
        start = len(self.key) + 1 if self.key else 0
        return {key[start:]: stamp for key, stamp in sorted(self._keys())}

    def iterdir(self) -> Iterator[S3Path]:
        """The files and folders directly below this folder.

        Raises:
            OSError: S3 refuses or does not answer.
        """
        yield from self.glob("*")

    def glob(self, pattern: str) -> Iterator[S3Path]:
        """Files and folders whose relative path matches a pattern.

        Args:
            pattern: a relative path in which ``*`` stands for any characters except ``/``.

        Raises:
            OSError: S3 refuses or does not answer.
        """
        before_star = pattern[: pattern.index("*")] if "*" in pattern else pattern
        listed_folder = self / before_star.rpartition("/")[0]
        regex = re.compile("[^/]*".join(map(re.escape, pattern.split("*"))))
        n_parts = pattern.count("/") + 1
        prefix = listed_folder.key[len(self.key) :].strip("/")
        matches = {}
        for relative in listed_folder.files():
            parts = (f"{prefix}/{relative}" if prefix else relative).split("/")
            name = "/".join(parts[:n_parts])
            if len(parts) >= n_parts and regex.fullmatch(name):
                matches[name] = self / name
        yield from matches.values()

    def read_bytes(self) -> bytes:
        """The content of a file.

        Raises:
            FileNotFoundError: there is no such file.
            OSError: S3 refuses or does not answer.
        """
        with self._client_errors_as_os_errors():
            return bytes(obstore.get(_store(self.bucket), self.key).bytes())

    def download(self, to: Path) -> FileStamp:
        """Copy a file to this machine, in pieces of at least 1 MiB.

        Returns:
            the stamp of the content that was copied.

        Raises:
            FileNotFoundError: there is no such file.
            OSError: S3 refuses or does not answer, or the disk is full.
        """
        with self._client_errors_as_os_errors(), to.open("wb") as file:
            answer = obstore.get(_store(self.bucket), self.key)
            for piece in answer.stream(min_chunk_size=_PIECE_BYTES):
                file.write(piece)
            return _stamp_of(answer.meta)

    def upload(self, file: Path) -> str | None:
        """Copy a file of this machine to S3, in several requests if it is large. It is atomic.

        Returns:
            the ETag of the content.

        Raises:
            OSError: S3 refuses or does not answer, or the file cannot be read.
        """
        file.stat()  # the client would not say which of the two is missing
        with self._client_errors_as_os_errors():
            return obstore.put(_store(self.bucket), self.key, file)["e_tag"]

    def sha256(self) -> str:
        """SHA-256 of the content, hexadecimal. The file is read in pieces.

        Raises:
            FileNotFoundError: there is no such file.
            OSError: S3 refuses or does not answer.
        """
        digest = hashlib.sha256()
        with self._client_errors_as_os_errors():
            answer = obstore.get(_store(self.bucket), self.key)
            for piece in answer.stream(min_chunk_size=_PIECE_BYTES):
                digest.update(piece)
        return digest.hexdigest()

    def write_bytes(self, content: bytes) -> None:
        """Write a file in one request, which is atomic.

        Raises:
            OSError: S3 refuses or does not answer.
        """
        with self._client_errors_as_os_errors():
            obstore.put(_store(self.bucket), self.key, content)

    def create(self, content: bytes) -> bool:
        """Write a file only if it does not exist yet (``If-None-Match: *``).

        Returns:
            False if the file exists with other content. A file with the same content counts as
            written by this call: S3 may have written it and its answer may have been lost.

        Raises:
            OSError: S3 refuses or does not answer.
        """
        try:
            with self._client_errors_as_os_errors():
                obstore.put(_store(self.bucket), self.key, content, mode="create")
        except FileExistsError:
            return self.read_bytes() == content
        return True

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete a file.

        Raises:
            FileNotFoundError: there is no such file, unless ``missing_ok``.
            OSError: S3 refuses or does not answer.
        """
        if not missing_ok and self.stamp() is None:
            raise FileNotFoundError(f"{self}: no such file")
        with self._client_errors_as_os_errors():
            obstore.delete(_store(self.bucket), self.key)

    def remove_tree(self) -> None:
        """Delete all files below this folder. Does nothing if there are none.

        Raises:
            OSError: S3 refuses or does not answer.
        """
        keys = [key for key, _ in self._keys()]
        if keys:
            with self._client_errors_as_os_errors():
                obstore.delete(_store(self.bucket), keys)

    def _keys(self) -> Iterator[tuple[str, FileStamp]]:
        prefix = f"{self.key}/" if self.key else None
        with self._client_errors_as_os_errors():
            for page in obstore.list(_store(self.bucket), prefix):
                # Some tools mark a folder by an empty object whose key is the folder's with a
                # slash. The client lists it without the slash.
                yield from (
                    (metadata["path"], _stamp_of(metadata))
                    for metadata in page
                    if metadata["path"] != self.key
                )

    @contextmanager
    def _client_errors_as_os_errors(self) -> Iterator[None]:
        """Convert the client's errors to an OSError with one line that names the path."""
        try:
            yield
        except AlreadyExistsError as error:
            raise FileExistsError(f"{self}: exists") from error
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{self}: no such file") from error
        except (BaseError, ValueError) as error:  # ValueError: the client refuses keys such as a//b
            raise OSError(f"{self}: {_reason(error)}") from error


def _stamp_of(metadata: obstore.ObjectMeta) -> FileStamp:
    modified_ns = int(metadata["last_modified"].timestamp()) * _NANOSECONDS
    return FileStamp(metadata["size"], modified_ns, metadata["e_tag"])


def _reason(error: Exception) -> str:
    """S3's own message if there is one, else the first line of the client's message."""
    text = str(error)
    if _METADATA_SERVER in text:
        return (
            "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine "
            "a role that has access"
        )
    if answer := re.search(r"<Code>(\w+)</Code>\s*<Message>([^<]*)</Message>", text):
        return f"{answer[1]}: {answer[2]}"
    return text.strip().splitlines()[0]


@functools.cache
def _store(bucket: str) -> S3Store:
    return S3Store(bucket, client_options=client_options())


def client_options() -> Any:
    """Options for every S3 client. Allow plain HTTP if the endpoint's URL starts with ``http://``."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    return {"allow_http": True} if endpoint.startswith("http://") else {}
