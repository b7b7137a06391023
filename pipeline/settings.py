"""Typed settings and manifests: one base class, one way to read them, one form of error."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from lingo_model import InputError


class Settings(BaseModel):
    """Frozen, validated values; unknown keys are refused by name."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


S = TypeVar("S", bound=BaseModel)


def parse_settings(cls: type[S], values: Any, *, where: str) -> S:
    """Validate ``values``; ``where`` names their place (a file) in the message.

    Raises:
        InputError: the first thing that is wrong, with its key, value and what is allowed.
    """
    if not isinstance(values, dict):
        raise InputError(f"{where}: holds {type(values).__name__}: needs keys and values")
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "value"
        if first["type"] == "extra_forbidden":
            known = ", ".join(sorted(cls.model_fields))
            message = f"unknown key {key!r}" + (f": known are {known}" if "." not in key else "")
        elif first["type"] == "missing":
            message = f"key {key!r} is missing; add it"
        else:
            message = f"{key}={first['input']!r}: {first['msg']}"
        raise InputError(f"{where}: {message}") from error


class _Loader(yaml.SafeLoader):
    """YAML's own loader would take the last of two equal keys, and say nothing."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        keys = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in keys:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key {key.value!r} stands twice", key.start_mark
                    )
                keys.add(key.value)
        return node


def load_yaml(cls: type[S], path: Path, overrides: Mapping[str, Any] | None = None) -> S:
    """Read settings from a YAML (or JSON) file.

    Args:
        cls: the settings.
        path: the file.
        overrides: values that win over the file's, nested like the settings.

    Raises:
        InputError: the file is missing, is not UTF-8 or not YAML, has a key twice, or does not
            validate.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2026-13-01
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if isinstance(values, dict) and overrides:
        values = _merged(values, overrides)
    return parse_settings(cls, values, where=str(path))


def _merged(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` with the overrides in place, mapping by mapping."""
    merged = dict(values)
    for key, override in overrides.items():
        value = merged.get(key)
        if isinstance(value, dict) and isinstance(override, Mapping):
            override = _merged(value, override)
        merged[key] = override
    return merged
