"""Settings and manifests: what is wrong is named in one line, and nothing unknown gets by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import Field, ValidationError

from lingo_model import InputError
from pipeline.settings import Settings, load_yaml, parse_settings
from pipeline.storage.manifests import load_manifest


class Inner(Settings):
    """A part of :class:`Outer`."""

    size: int = Field(default=3, ge=1)


class Outer(Settings):
    """Settings made up for these tests."""

    name: str
    inner: Inner = Field(default_factory=Inner)


class Manifest(Settings):
    """A manifest made up for these tests."""

    format_version: int
    n_rows: int


def message(error: pytest.ExceptionInfo[InputError]) -> str:
    """The message, which must be one line."""
    text = str(error.value)
    assert "\n" not in text
    return text


def test_values_and_defaults() -> None:
    parsed = parse_settings(Outer, {"name": "a", "inner": {"size": 7}}, where="x.yaml")
    assert (parsed.name, parsed.inner.size) == ("a", 7)
    assert parse_settings(Outer, {"name": "a"}, where="x.yaml").inner.size == 3


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Outer(name="a").name = "b"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "parts"),
    [
        ({"name": "a", "nmae": "b"}, ["x.yaml", "unknown key 'nmae'", "known are inner, name"]),
        ({"name": "a", "inner": {"sise": 1}}, ["x.yaml", "unknown key 'inner.sise'"]),
        ({}, ["x.yaml", "'name' is missing", "add it"]),
        ({"name": "a", "inner": {"size": 0}}, ["x.yaml", "inner.size=0", "greater than or equal"]),
        ({"name": False}, ["x.yaml", "name=False", "string"]),
        (["name"], ["x.yaml", "holds list", "keys and values"]),
        (None, ["x.yaml", "holds NoneType"]),
    ],
)
def test_what_is_wrong_is_named(values: object, parts: list[str]) -> None:
    with pytest.raises(InputError) as error:
        parse_settings(Outer, values, where="x.yaml")
    for part in parts:
        assert part in message(error)


def test_an_unknown_key_inside_does_not_list_the_outer_keys() -> None:
    with pytest.raises(InputError) as error:
        parse_settings(Outer, {"name": "a", "inner": {"sise": 1}}, where="x.yaml")
    assert "known are" not in message(error)


@pytest.mark.parametrize(
    "text", ["name: a\ninner:\n  size: 5\n", '{"name":"a","inner":{"size":5}}']
)
def test_yaml_and_json_are_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    assert load_yaml(Outer, path) == Outer(name="a", inner=Inner(size=5))


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"name: [a\n", "not valid YAML"),
        (b"name: a\n\tinner: 1\n", "not valid YAML"),
        (b"name: caf\xe9\n", "not UTF-8 at byte 9; save it as UTF-8"),
        (b"name: 2026-13-45\n", "not valid YAML: month must be in 1..12"),
        (b"", "holds NoneType: needs keys and values"),
        (b"name: a\nother: 1\n", "unknown key 'other'"),
        (b"name: a\ninner: {size: 5, size: 6}\n", "key 'size' stands twice in"),
        (b"name: a\n'name': b\n", "key 'name' stands twice in"),
        (b"x: {b: &m {<<: &k {y: 1}, y: 2}}\nc: {<<: *m, z: 3}\n", "key 'name' is missing"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes, part: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        load_yaml(Outer, path)
    assert message(error).startswith(f"{path}: ")
    assert part in message(error)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path / "none.yaml", "No such file or directory"),
        (tmp_path, "Is a directory"),
    ):
        with pytest.raises(InputError) as error:
            load_yaml(Outer, path)
        assert message(error) == f"{path}: cannot be read ({reason}); check the path"


def read_manifest(folder: Path) -> Manifest:
    """Read ``manifest.json`` as version 4."""
    return load_manifest(
        Manifest, folder / "manifest.json", format_version=4, what="a thing", remedy="make one"
    )


def test_a_manifest_is_read(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"format_version": 4, "n_rows": 2}')
    assert read_manifest(tmp_path).n_rows == 2


@pytest.mark.parametrize("version", [3, 5, "4", None, 4.5])
def test_another_version_is_refused_before_its_keys_are_looked_at(
    tmp_path: Path, version: object
) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"format_version": version, "rows_of_the_future": 2}))
    with pytest.raises(InputError) as error:
        read_manifest(tmp_path)
    assert message(error) == (f"{path}: format_version={version!r}: this release reads 4; make one")


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
def test_a_manifest_that_cannot_be_used_is_named(tmp_path: Path, content: bytes, part: str) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(InputError) as error:
        read_manifest(tmp_path)
    assert message(error).startswith(f"{tmp_path / 'manifest.json'}: ")
    assert part in message(error)


def test_a_folder_without_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        read_manifest(tmp_path)
    assert message(error) == f"{tmp_path}: not a thing (no readable manifest.json); make one"
