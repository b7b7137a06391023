"""The two backends do the same: a folder on a disk and a folder on S3."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError
from pipeline.storage.backend import backend_of, parquet_bytes
from pipeline.storage.location import Location
from pipeline.storage.s3 import S3Path

TABLE = pa.table({"n": [1, 2], "text": ["a", None]})


@pytest.fixture(params=["disk", "S3"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    """An empty folder on a disk, or an empty folder on S3."""
    if request.param == "disk":
        return tmp_path / "root"
    bucket: S3Path = request.getfixturevalue("s3")
    return bucket / "root"


def test_a_written_file_has_a_stamp_and_a_missing_one_has_none(root: Location) -> None:
    backend = backend_of(root)
    assert backend.stamp(root / "a/x.txt") is None
    backend.write_bytes(root / "a/x.txt", b"12345")
    stamp = backend.stamp(root / "a/x.txt")
    assert stamp is not None
    assert stamp.n_bytes == 5
    assert backend.readable_stamp(root / "a/x.txt") == stamp
    assert (root / "a/x.txt").read_bytes() == b"12345"


def test_a_missing_file_is_refused_by_name(root: Location) -> None:
    with pytest.raises(InputError) as error:
        backend_of(root).readable_stamp(root / "none.txt")
    assert str(error.value).startswith(f"{root / 'none.txt'}: ")
    assert str(error.value).endswith("; check the path")


def test_wanted_files_are_listed_with_their_stamps(root: Location) -> None:
    backend = backend_of(root)
    for name in ("b.txt", "a/c.txt", "a/skipped.csv"):
        backend.write_bytes(root / name, name.encode())
    stamps = backend.list_files(root, lambda name: not name.endswith(".csv")).files
    assert list(stamps) == ["a/c.txt", "b.txt"]
    assert [stamp.n_bytes for stamp in stamps.values()] == [7, 5]
    assert stamps["b.txt"] == backend.stamp(root / "b.txt")
    assert backend.names_below(root) == {"a/c.txt", "a/skipped.csv", "b.txt"}
    assert backend.names_below(root / "none") == set()
    assert backend.list_files(root / "none", lambda _name: True).files == {}


def test_a_file_can_be_downloaded(root: Location, tmp_path: Path) -> None:
    backend = backend_of(root)
    backend.write_bytes(root / "x.txt", b"content")
    is_local = isinstance(root, Path)
    assert backend.local_path(root / "x.txt") == (root / "x.txt" if is_local else None)
    backend.download(root / "x.txt", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"content"


def test_a_parquet_table_is_read_back(root: Location) -> None:
    backend = backend_of(root)
    backend.write_parquet(root / "t.parquet", TABLE)
    with pq.ParquetFile(backend.open_for_parquet(root / "t.parquet")) as file:
        assert file.read().equals(TABLE)
    assert (root / "t.parquet").read_bytes() == parquet_bytes(TABLE)


def test_a_file_a_folder_and_nothing_are_removed(root: Location) -> None:
    backend = backend_of(root)
    for name in ("file", "folder/a", "folder/deep/b", "folder2"):
        backend.write_bytes(root / name, b"x")
    for _ in range(2):  # the second time, nothing is left to remove
        backend.remove(root / "file")
        backend.remove(root / "folder")
        assert backend.names_below(root) == {"folder2"}


def test_an_absolute_path_stays_the_same(root: Location) -> None:
    assert backend_of(root).absolute(root / "a") == root / "a"
