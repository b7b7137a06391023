"""Settings: an error names the wrong setting in one line, and unknown keys are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest
from pydantic import Field, ValidationError, model_validator

from lingo_model import InputError
from pipeline.settings import Settings, load_yaml, parse_settings


class Inner(Settings):
    """One group of :class:`Outer`."""

    size: int = Field(default=3, ge=1)
    names: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _size_fits_names(self) -> Self:
        if len(self.names) > self.size:
            raise ValueError(f"size={self.size}: needs {len(self.names)} or more for these names")
        return self


class Outer(Settings):
    """Settings for these tests."""

    name: str
    inner: Inner = Field(default_factory=Inner)


def message_of(error: pytest.ExceptionInfo[InputError]) -> str:
    """The error message, which must be one line."""
    message = str(error.value)
    assert "\n" not in message
    return message


def test_values_are_read_and_defaults_filled_in() -> None:
    parsed = parse_settings(Outer, {"name": "a", "inner": {"size": 7}}, where="x.yaml")
    assert (parsed.name, parsed.inner.size) == ("a", 7)
    assert parse_settings(Outer, {"name": "a"}, where="x.yaml").inner.size == 3


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Outer(name="a").name = "b"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"name": "a", "nmae": "b"},
            "unknown key 'nmae'; did you mean 'name'? known keys: inner, name",
        ),
        # The misspelt key is named rather than the one that is missing because of it.
        ({"nmae": "b"}, "unknown key 'nmae'; did you mean 'name'? known keys: inner, name"),
        ({"name": "a", "xyz": 1}, "unknown key 'xyz'; known keys: inner, name"),
        (
            {"name": "a", "inner": {"sise": 1}},
            "unknown key 'inner.sise'; did you mean 'inner.size'? known keys: names, size",
        ),
        (
            {"name": "a", "size": 1},
            "unknown key 'size'; did you mean 'inner.size'? known keys: inner, name",
        ),
        ({}, "key 'name' is missing; add it"),
        ({"name": False}, "name=False: is a truth value, not a text; put it in quotes"),
        (
            {"name": "a", "inner": {"size": 0}},
            "inner.size=0: Input should be greater than or equal to 1",
        ),
        (
            {"name": "a", "inner": {"names": ["b", 5]}},
            "inner.names.1=5: is a number, not a text; put it in quotes",
        ),
        ({"name": None}, "name=None: is empty; needs one text"),
        ({"name": ["a"]}, "name=['a']: is a list; needs one text"),
        ({"name": "a", "inner": "b"}, "inner='b': is a text; needs keys and values"),
        ({"name": "a", "inner": {"names": "b"}}, "inner.names='b': is a text; needs a list"),
        (["name"], "holds a list; needs keys and values, such as name"),
        (None, "is empty; needs keys and values, such as name"),
    ],
)
def test_an_error_names_the_wrong_setting(values: object, expected: str) -> None:
    with pytest.raises(InputError) as error:
        parse_settings(Outer, values, where="x.yaml")
    assert message_of(error) == f"x.yaml: {expected}"


def test_a_long_value_is_shortened() -> None:
    nested = {f"key_{i}": list(range(10)) for i in range(50)}
    with pytest.raises(InputError) as error:
        parse_settings(Outer, {"name": "a", "inner": {"size": nested}}, where="x.yaml")

    shown = repr(nested)[:77]
    assert message_of(error) == f"x.yaml: inner.size={shown}...: Input should be a valid integer"


def test_a_rule_over_several_settings_names_them_and_does_not_print_their_group() -> None:
    with pytest.raises(InputError) as error:
        parse_settings(Outer, {"name": "a", "inner": {"size": 1, "names": "bc"}}, where="x.yaml")
    assert message_of(error).startswith("x.yaml: inner.names='bc': ")

    with pytest.raises(InputError) as error:
        parse_settings(Outer, {"name": "a", "inner": {"size": 1, "names": ["b", "c"]}}, where="x")
    assert message_of(error) == "x: inner: size=1: needs 2 or more for these names"

    with pytest.raises(InputError) as error:
        parse_settings(Inner, {"size": 1, "names": ["b", "c"]}, where="x")
    assert message_of(error) == "x: size=1: needs 2 or more for these names"


@pytest.mark.parametrize(
    "text", ["name: a\ninner:\n  size: 5\n", '{"name":"a","inner":{"size":5}}']
)
def test_yaml_and_json_are_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    assert load_yaml(Outer, path) == Outer(name="a", inner=Inner(size=5))


def test_overrides_replace_single_values_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("name: a\ninner: {size: 5, names: [b]}\n", encoding="utf-8")
    read = load_yaml(Outer, path, {"inner": {"size": 7}})
    assert read == Outer(name="a", inner=Inner(size=7, names=("b",)))


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"name: [a\n", "not valid YAML"),
        (b"name: a\n\tinner: 1\n", "not valid YAML"),
        (b"name: caf\xe9\n", "not UTF-8 at byte 9; save it as UTF-8"),
        (b"name: 2026-13-45\n", "not valid YAML: month must be in 1..12"),
        (b"", "is empty; needs keys and values"),
        (b"name: a\nother: 1\n", "unknown key 'other'"),
        (b"name: a\ninner: {size: 5, size: 6}\n", "key 'size' is given twice in"),
        (b"name: a\n'name': b\n", "key 'name' is given twice in"),
        (b"x: {b: &m {<<: &k {y: 1}, y: 2}}\nc: {<<: *m, z: 3}\n", "unknown key 'x'"),
    ],
)
def test_an_error_names_the_file(tmp_path: Path, content: bytes, part: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as error:
        load_yaml(Outer, path)
    assert message_of(error).startswith(f"{path}: ")
    assert part in message_of(error)


def test_an_unreadable_path_is_refused(tmp_path: Path) -> None:
    for path, reason in (
        (tmp_path / "none.yaml", "No such file or directory"),
        (tmp_path, "Is a directory"),
    ):
        with pytest.raises(InputError) as error:
            load_yaml(Outer, path)
        assert message_of(error) == f"{path}: cannot be read ({reason}); check the path"


def test_importing_settings_leaves_the_heavy_packages_out(
    imported_by: Callable[[str], set[str]],
) -> None:
    heavy = {"torch", "ray", "matplotlib", "sacrebleu", "prefect", "pyarrow"}
    assert imported_by("pipeline.settings") & heavy == set()
