"""Typed settings: one base class, one way to read them and one form of error message."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from lingo_model import InputError
from pipeline.errors import one_line

_MAX_VALUE_CHARACTERS = 80


class Settings(BaseModel):
    """Base class of settings: frozen, validated, and unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


S = TypeVar("S", bound=BaseModel)


def parse_settings(cls: type[S], values: Any, *, where: str) -> S:
    """Validate values from outside.

    Args:
        cls: the type of the settings.
        values: a mapping; anything else is refused.
        where: the source of the values, such as a file; the error message begins with it.

    Raises:
        InputError: names the first wrong setting by its dotted key, such as ``decode.beam_size``,
            its value, shortened to 80 characters, and what is allowed.
    """
    if not isinstance(values, dict):
        problem = "is empty" if values is None else f"is of type {type(values).__name__}"
        raise InputError(f"{where}: {problem}; needs keys and values")
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        raise InputError(f"{where}: {_first_problem(cls, error.errors()[0])}") from error


def load_yaml(cls: type[S], path: Path, overrides: Mapping[str, Any] | None = None) -> S:
    """Read settings from a YAML or JSON file.

    Args:
        cls: the type of the settings.
        path: the file.
        overrides: nested values that replace single values of the file.

    Raises:
        InputError: the file is missing, is not UTF-8, is not YAML, gives a key twice, or its
            values are not valid.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2026-13-01
        raise InputError(f"{path}: not valid YAML: {one_line(error)}") from error
    if isinstance(values, dict) and overrides:
        values = _merged(values, overrides)
    return parse_settings(cls, values, where=str(path))


class _UniqueKeyLoader(yaml.SafeLoader):
    """A YAML loader that refuses repeated keys. PyYAML would silently keep the last one."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in keys:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key {key.value!r} is given twice", key.start_mark
                    )
                keys.add(key.value)
        return node


def _merged(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nested ``values`` in which the overrides replace single values."""
    merged = dict(values)
    for key, override in overrides.items():
        value = merged.get(key)
        if isinstance(value, dict) and isinstance(override, Mapping):
            override = _merged(value, override)
        merged[key] = override
    return merged


def _first_problem(cls: type[BaseModel], details: ErrorDetails) -> str:
    key = ".".join(str(part) for part in details["loc"])
    value = details["input"]
    if details["type"] == "extra_forbidden":
        known = "" if "." in key else f"; known keys: {', '.join(sorted(cls.model_fields))}"
        return f"unknown key {key!r}{known}"
    if details["type"] == "missing":
        return f"key {key!r} is missing; add it"
    message = str(details["ctx"]["error"]) if details["type"] == "value_error" else details["msg"]
    if isinstance(value, dict) and details["type"] == "value_error":
        # A rule over a group of settings. Its message names them; all values of the group would
        # fill the screen.
        return f"{key}: {message}" if key else message
    return f"{key}={_shortened(value)}: {message}"


def _shortened(value: Any) -> str:
    text = repr(value)
    if len(text) <= _MAX_VALUE_CHARACTERS:
        return text
    return f"{text[: _MAX_VALUE_CHARACTERS - 3]}..."
