"""Paths on S3 behave like paths on a disk; their own methods do what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import obstore
import pyarrow as pa
import pytest
from obstore.exceptions import GenericError

from lingo_model import InputError
from pipeline.storage.files import (
    files_in,
    read_parquet,
    remove_tree,
    sha256_of,
    stamp_of,
    write_bytes,
    write_json,
    write_parquet,
)
from pipeline.storage.location import Location, location
from pipeline.storage.s3 import S3Path

NAMES = [
    "a.txt",
    "x/b.txt",
    "x/run=1/part-1.parquet",
    "x/run=2/_m/part-1.parquet",
    "y z/ü%20[1].txt",
]


def filled(root: Location) -> Location:
    """Write a file of each name below a folder."""
    for name in NAMES:
        write_bytes(root / name, name.encode())
    return root


def names(root: Location, paths: Iterable[Any]) -> list[str]:
    """The sorted paths relative to a folder."""
    return sorted(path.relative_to(root).as_posix() for path in paths)


OPERATIONS: dict[str, Callable[[Location], Any]] = {
    "glob for files": lambda root: names(root, root.glob("x/*/part-*.parquet")),
    "glob for folders": lambda root: names(root, root.glob("x/run=*")),
    "glob from the top": lambda root: names(root, root.glob("*")),
    "glob with a literal end": lambda root: names(root, root.glob("*/b.txt")),
    "glob in a missing folder": lambda root: names(root, (root / "none").glob("*")),
    "iterdir": lambda root: names(root, (root / "x").iterdir()),
    "exists": lambda root: [(root / name).exists() for name in ("a.txt", "x", "a.tx", "none")],
    "is_dir": lambda root: [(root / name).is_dir() for name in ("a.txt", "x", "a", "none")],
    "is_file": lambda root: [(root / name).is_file() for name in ("a.txt", "x", "none")],
    "read_bytes": lambda root: (root / NAMES[-1]).read_bytes(),
    "size": lambda root: [stamp_of(root / name).n_bytes for name in NAMES],  # type: ignore[union-attr]
    "no stamp": lambda root: stamp_of(root / "none"),
    "name": lambda root: [(root / name).name for name in NAMES],
    "parent": lambda root: names(root, [(root / name).parent for name in NAMES]),
}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_gives_the_same_as_on_a_disk(
    s3: S3Path, tmp_path: Path, operation: str
) -> None:
    on_disk, on_s3 = filled(tmp_path), filled(s3 / "some/folder")
    assert OPERATIONS[operation](on_s3) == OPERATIONS[operation](on_disk)


def test_the_root_of_a_bucket_is_a_folder(s3: S3Path) -> None:
    filled(s3)
    assert list(s3.files()) == sorted(NAMES)
    assert s3.is_dir()
    assert names(s3, s3.glob("*")) == ["a.txt", "x", "y z"]


def test_files_are_written_read_and_removed(s3: S3Path) -> None:
    table = pa.table({"a": [1, 2], "b": ["x", None]})
    write_parquet(s3 / "t.parquet", table)
    assert read_parquet(s3 / "t.parquet").equals(table)
    assert read_parquet(s3 / "t.parquet", ["b"]).column_names == ["b"]
    write_json(s3 / "deep/er/v.json", {"é": 1})
    assert (s3 / "deep/er/v.json").read_bytes() == '{\n  "é": 1\n}\n'.encode()
    remove_tree(s3 / "deep")
    remove_tree(s3 / "deep")
    (s3 / "t.parquet").unlink()
    (s3 / "t.parquet").unlink(missing_ok=True)
    assert files_in(s3, "*") == []
    with pytest.raises(FileNotFoundError, match=f"{s3}/t.parquet: no such file"):
        (s3 / "t.parquet").read_bytes()
    with pytest.raises(FileNotFoundError):
        (s3 / "t.parquet").unlink()


def test_a_file_is_created_once(s3: S3Path) -> None:
    file = s3 / "commit.json"
    assert file.create(b"one")
    assert not file.create(b"two")
    assert file.create(b"one")  # a repeated call, because the answer was lost
    assert file.read_bytes() == b"one"


def test_new_content_has_a_new_stamp(s3: S3Path, tmp_path: Path) -> None:
    file = s3 / "a.txt"
    file.write_bytes(b"one")
    before = file.stamp()
    file.write_bytes(b"two")
    after = file.stamp()
    assert before is not None
    assert after is not None
    assert before.n_bytes == after.n_bytes
    assert before.etag != after.etag
    file.download(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"two"


def test_a_missing_bucket_is_named_in_one_line(s3: S3Path) -> None:
    missing = S3Path("no-such-bucket", "lake")
    with pytest.raises(OSError, match=r"^s3://no-such-bucket/lake: NoSuchBucket: [^\n]*$"):
        missing.files()


@pytest.mark.parametrize(
    ("client_message", "reason"),
    [
        (
            "Error performing PUT http://169.254.169.254/latest/api/token: 403",
            "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine "
            "a role that has access",
        ),
        (
            "Generic S3 error\n<Error><Code>SlowDown</Code><Message>Wait</Message></Error>",
            "SlowDown: Wait",
        ),
        ("one\ntwo", "one"),
    ],
)
def test_an_error_of_the_client_becomes_one_line_that_names_the_path(
    s3: S3Path, monkeypatch: pytest.MonkeyPatch, client_message: str, reason: str
) -> None:
    def fail(*_arguments: object) -> None:
        raise GenericError(client_message)

    monkeypatch.setattr(obstore, "head", fail)
    with pytest.raises(OSError, match=r"^s3://") as error:
        (s3 / "a.txt").stamp()
    assert str(error.value) == f"{s3}/a.txt: {reason}"


def test_texts_become_locations() -> None:
    assert location("s3://lake/a/b/") == S3Path("lake", "a/b")
    assert str(location("s3://lake")) == "s3://lake"
    assert str(S3Path("lake", "a b/c")) == "s3://lake/a b/c"
    assert location("a/b") == Path("a/b")
    for wrong in ("s3://", "s3:///a", "gs://lake/a", "https://lake/a"):
        with pytest.raises(InputError, match=r"needs .*s3://BUCKET/FOLDER"):
            location(wrong)


@pytest.mark.parametrize("n_bytes", [0, 10, 12_000_000])
def test_a_file_is_uploaded_and_downloaded_whole(s3: S3Path, tmp_path: Path, n_bytes: int) -> None:
    """The largest takes several requests, so its ETag is no hash of its content."""
    content = bytes(number % 251 for number in range(1000)) * (n_bytes // 1000)
    content += b"x" * (n_bytes % 1000)
    (tmp_path / "here").write_bytes(content)
    etag = (s3 / "a/b").upload(tmp_path / "here")
    stamp = s3.files()["a/b"]
    assert (stamp.n_bytes, stamp.etag) == (n_bytes, etag)
    assert (s3 / "a/b").download(tmp_path / "copy") == stamp
    assert (tmp_path / "copy").read_bytes() == content
    assert sha256_of(s3 / "a/b") == sha256_of(tmp_path / "here")


def test_a_missing_file_is_named_on_the_side_where_it_is_missing(
    s3: S3Path, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match=str(tmp_path / "none")):
        (s3 / "a").upload(tmp_path / "none")
    for read in ((s3 / "a").sha256, lambda: (s3 / "a").download(tmp_path / "copy")):
        with pytest.raises(FileNotFoundError, match=f"^{s3}/a: no such file$"):
            read()


def test_a_key_that_the_client_refuses_is_an_error_in_one_line(s3: S3Path) -> None:
    with pytest.raises(OSError, match=f"^{s3}/a/../b: .*") as error:
        S3Path(s3.bucket, "a/../b").write_bytes(b"")
    assert "\n" not in str(error.value)
