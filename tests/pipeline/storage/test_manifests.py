"""Manifests: another format version is refused first; errors name the file and the remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lingo_model import InputError
from pipeline.storage.manifests import Manifest


class ExampleManifest(Manifest):
    """A manifest for these tests."""

    FORMAT_VERSION = 4
    WHAT = "a thing"
    REMEDY = "make one"

    n_rows: int


def message_of(error: pytest.ExceptionInfo[InputError]) -> str:
    """The error message, which must be one line."""
    message = str(error.value)
    assert "\n" not in message
    return message


def load(folder: Path) -> ExampleManifest:
    """Read ``manifest.json`` of a folder."""
    return ExampleManifest.load(folder / "manifest.json")


def test_a_manifest_is_read(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format_version": 4, "n_rows": 2}')
    assert load(tmp_path).n_rows == 2


@pytest.mark.parametrize("version", [3, 5, "4", None, 4.5])
def test_another_version_is_refused_before_unknown_keys(tmp_path: Path, version: object) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"format_version": version, "rows_of_the_future": 2}))
    with pytest.raises(InputError) as error:
        load(tmp_path)
    assert message_of(error) == (
        f"{path}: format_version={version!r}: this release reads 4; make one"
    )


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"{", "not valid JSON; make one"),
        (b"\xff\xfe", "not valid JSON; make one"),
        (b"[4]", "format_version=None"),
        (b'{"format_version": 4}', "'n_rows' is missing"),
        (b'{"format_version": 4, "n_rows": 1, "more": 2}', "unknown key 'more'"),
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path: Path, content: bytes, part: str) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(InputError) as error:
        load(tmp_path)
    assert message_of(error).startswith(f"{tmp_path / 'manifest.json'}: ")
    assert part in message_of(error)


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        load(tmp_path)
    assert message_of(error) == f"{tmp_path}: not a thing (no readable manifest.json); make one"
