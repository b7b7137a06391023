"""Files on S3 and what speaks its protocol, in the manner of pathlib as far as Lingo needs it.

Credentials, region and endpoint come from the environment (``AWS_ACCESS_KEY_ID``,
``AWS_ENDPOINT_URL``, ... or the machine's role). The client tries calls that fail again, for some
minutes, before it gives up.
"""

from __future__ import annotations

import dataclasses
import functools
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

# Where a machine's role is asked for when the environment holds no credentials.
_ROLES = "169.254.169.254"


@dataclasses.dataclass(frozen=True, order=True)
class S3Path:
    """A file, or a folder: what other keys begin with. ``key`` neither begins nor ends with ``/``.

    Methods are those of :class:`pathlib.Path`, but for :meth:`files`, :meth:`stamp`,
    :meth:`create`, :meth:`download` and :meth:`remove_tree`. They raise OSError when S3 refuses or
    does not answer.
    """

    bucket: str
    key: str

    @classmethod
    def parse(cls, uri: str) -> S3Path:
        """The path that ``s3://bucket/key`` names.

        Raises:
            ValueError: no bucket in it.
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
        return PurePosixPath(self.key).name

    @property
    def parent(self) -> S3Path:
        return S3Path(self.bucket, self.key.rpartition("/")[0])

    def relative_to(self, folder: S3Path) -> PurePosixPath:
        return PurePosixPath(self.key).relative_to(folder.key)

    def resolve(self) -> S3Path:
        return self

    def as_uri(self) -> str:
        return str(self)

    def is_file(self) -> bool:
        return bool(self.key) and self.stamp() is not None

    def is_dir(self) -> bool:
        return next(self._keys(), None) is not None

    def exists(self) -> bool:
        return self.is_file() or self.is_dir()

    def stamp(self) -> FileStamp | None:
        """Size, time and ETag of a file, or None where there is none."""
        try:
            with self._calling():
                found = obstore.head(_store(self.bucket), self.key)
        except FileNotFoundError:
            return None
        return _stamp(found)

    def files(self) -> dict[str, FileStamp]:
        """Every file below a folder, by its path from there, sorted."""
        start = len(self.key) + 1 if self.key else 0
        return {key[start:]: stamp for key, stamp in sorted(self._keys())}

    def iterdir(self) -> Iterator[S3Path]:
        yield from self.glob("*")

    def glob(self, pattern: str) -> Iterator[S3Path]:
        """Files and folders below this one; ``*`` stands for anything but ``/``."""
        literal = pattern[: pattern.index("*")] if "*" in pattern else pattern
        folder = self / literal.rpartition("/")[0]
        wanted = re.compile("[^/]*".join(map(re.escape, pattern.split("*"))))
        n_parts = pattern.count("/") + 1
        skipped = folder.key[len(self.key) :].strip("/")
        found = {}
        for relative in folder.files():
            parts = (f"{skipped}/{relative}" if skipped else relative).split("/")
            name = "/".join(parts[:n_parts])
            if len(parts) >= n_parts and wanted.fullmatch(name):
                found[name] = self / name
        yield from found.values()

    def read_bytes(self) -> bytes:
        with self._calling():
            return bytes(obstore.get(_store(self.bucket), self.key).bytes())

    def download(self, to: Path) -> None:
        """Copy a file to this machine, in pieces."""
        with self._calling(), to.open("wb") as file:
            for piece in obstore.get(_store(self.bucket), self.key).stream(min_chunk_size=1 << 20):
                file.write(piece)

    def write_bytes(self, content: bytes) -> None:
        """Write a file, whole or not at all."""
        with self._calling():
            obstore.put(_store(self.bucket), self.key, content)

    def create(self, content: bytes) -> bool:
        """Write a file that must not exist yet; False where one with other content does.

        One with the same content may be our own: S3 can do what it is told and fail to say so.
        """
        try:
            with self._calling():
                obstore.put(_store(self.bucket), self.key, content, mode="create")
        except FileExistsError:
            return self.read_bytes() == content
        return True

    def unlink(self, missing_ok: bool = False) -> None:
        if not missing_ok and self.stamp() is None:
            raise FileNotFoundError(f"{self}: no such file")
        with self._calling():
            obstore.delete(_store(self.bucket), self.key)

    def remove_tree(self) -> None:
        """Delete every file below a folder."""
        keys = [key for key, _ in self._keys()]
        if keys:
            with self._calling():
                obstore.delete(_store(self.bucket), keys)

    def _keys(self) -> Iterator[tuple[str, FileStamp]]:
        prefix = f"{self.key}/" if self.key else None
        with self._calling():
            for page in obstore.list(_store(self.bucket), prefix):
                # Tools mark a folder by an empty file whose key is that of the folder and a slash.
                yield from (
                    (found["path"], _stamp(found)) for found in page if found["path"] != self.key
                )

    @contextmanager
    def _calling(self) -> Iterator[None]:
        """Turns what the client raises into an OSError of one line that names the file."""
        try:
            yield
        except AlreadyExistsError as error:
            raise FileExistsError(f"{self}: exists") from error
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{self}: no such file") from error
        except BaseError as error:
            raise OSError(f"{self}: {_reason(error)}") from error


def _stamp(found: obstore.ObjectMeta) -> FileStamp:
    modified_ns = int(found["last_modified"].timestamp()) * _NANOSECONDS
    return FileStamp(found["size"], modified_ns, found["e_tag"])


def _reason(error: BaseError) -> str:
    """S3's own message where there is one, else the client's first line."""
    text = str(error)
    if _ROLES in text:
        return (
            "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine "
            "a role that may"
        )
    if found := re.search(r"<Code>(\w+)</Code>\s*<Message>([^<]*)</Message>", text):
        return f"{found[1]}: {found[2]}"
    return text.strip().splitlines()[0]


@functools.cache
def _store(bucket: str) -> S3Store:
    return S3Store(bucket, client_options=client_options())


def client_options() -> Any:
    """Options for every client: plain HTTP where the endpoint says so, as that of a server of
    one's own does."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL", "")
    return {"allow_http": True} if endpoint.startswith("http://") else {}
