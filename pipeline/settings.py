"""Typed settings: one base class, one way to read them and one form of error message."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from lingo_model import InputError
from pipeline.errors import one_line

_MAX_VALUE_CHARACTERS = 80


class Settings(BaseModel):
    """Base class of settings: frozen, validated, and unknown keys are refused.

    Attributes:
        MISPLACED: keys that belong into another file, and the place where they belong. The error
            message for an unknown key says so.
    """

    MISPLACED: ClassVar[Mapping[str, str]] = {}

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
        problem = "is empty" if values is None else f"holds {_kind_of(values)}"
        raise InputError(f"{where}: {problem}; needs keys and values, such as {_example(cls)}")
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        problems = error.errors()
        # A misspelt key is often missing under its right name, too. The misspelt one says more.
        unknown = [details for details in problems if details["type"] == "extra_forbidden"]
        raise InputError(f"{where}: {_problem(cls, (unknown or problems)[0])}") from error


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
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=_SettingsLoader)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}; save it as UTF-8") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date such as 2026-13-01
        raise InputError(f"{path}: not valid YAML: {one_line(error)}") from error
    if isinstance(values, dict) and overrides:
        values = merged(values, overrides)
    return parse_settings(cls, values, where=str(path))


class _SettingsLoader(yaml.SafeLoader):
    """A YAML loader that refuses repeated keys. PyYAML would silently keep the last one.

    As in YAML 1.2, only ``true`` and ``false`` are truth values. In YAML 1.1, so are ``no``, the
    language tag of Norwegian, and ``yes``, ``on`` and ``off``. Settings that are truth values
    accept these words as text.
    """

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


_TRUTH_VALUE = "tag:yaml.org,2002:bool"

_SettingsLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _TRUTH_VALUE]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_SettingsLoader.add_implicit_resolver(
    _TRUTH_VALUE, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


def merged(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nested ``values`` in which the overrides replace single values."""
    result = dict(values)
    for key, override in overrides.items():
        value = result.get(key)
        if isinstance(value, dict) and isinstance(override, Mapping):
            override = merged(value, override)
        result[key] = override
    return result


def _problem(cls: type[BaseModel], details: ErrorDetails) -> str:
    key = ".".join(str(part) for part in details["loc"])
    value = details["input"]
    if details["type"] == "extra_forbidden":
        return _unknown_key(cls, details["loc"])
    if details["type"] == "missing":
        return f"key {key!r} is missing; add it"
    message = _message(details)
    if isinstance(value, dict) and details["type"] == "value_error":
        # A rule over a group of settings. Its message names them; all values of the group would
        # fill the screen.
        return f"{key}: {message}" if key else message
    return f"{key}={_shortened(value)}: {message}"


def _message(details: ErrorDetails) -> str:
    """What is wrong with a value, and what to do."""
    value, kind = details["input"], details["type"]
    if kind == "value_error":
        return str(details["ctx"]["error"])
    if kind in ("string_type", "path_type"):
        needed = "text" if kind == "string_type" else "path"
        if value is None or isinstance(value, list | tuple | dict):
            return f"is {_kind_of(value)}; needs one {needed}"
        return f"is {_kind_of(value)}, not a {needed}; put it in quotes"
    if kind in ("tuple_type", "list_type"):
        return f"is {_kind_of(value)}; needs a list"
    if kind in ("model_type", "model_attributes_type", "dict_type"):
        return f"is {_kind_of(value)}; needs keys and values"
    if kind == "too_short":
        return f"needs {details['ctx']['min_length']} or more entries"
    return details["msg"]


def _kind_of(value: Any) -> str:
    """The kind of a value of a YAML file, in words."""
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (type(None), "empty"),
        (bool, "a truth value"),
        ((int, float), "a number"),
        (str, "a text"),
        ((list, tuple), "a list"),
        (dict, "a group of keys and values"),
    )
    names = (name for types, name in kinds if isinstance(value, types))
    return next(names, f"a {type(value).__name__}")


def _example(cls: type[BaseModel]) -> str:
    """The keys that a file of settings must have, or all its keys if none is required."""
    required = [name for name, field in cls.model_fields.items() if field.is_required()]
    return ", ".join(required or sorted(cls.model_fields))


def _unknown_key(cls: type[BaseModel], location: Sequence[int | str]) -> str:
    """The message about an unknown key: a likely meaning, and the keys that its level knows."""
    key, name = ".".join(str(part) for part in location), str(location[-1])
    group = _group_at(cls, location[:-1])
    if group is None:
        return f"unknown key {key!r}"
    known = sorted(group.model_fields)
    hint = _meaning_of(name, group, key.removesuffix(name))
    return f"unknown key {key!r}{hint or ';'} known keys: {', '.join(known)}"


def _meaning_of(name: str, group: type[BaseModel], prefix: str) -> str:
    """What a user may have meant by an unknown key, as a part of the message, or nothing."""
    misplaced = group.MISPLACED if issubclass(group, Settings) else {}
    if name in misplaced:
        return f": it belongs in {misplaced[name]};"
    deeper = [
        f"{prefix}{field}.{name}"
        for field, info in group.model_fields.items()
        for inner in _groups_in(info.annotation)
        if name in inner.model_fields
    ]
    similar = difflib.get_close_matches(name, group.model_fields, n=1)
    meant = deeper or [prefix + other for other in similar]
    return f"; did you mean {meant[0]!r}?" if meant else ""


def _group_at(cls: type[BaseModel], location: Sequence[int | str]) -> type[BaseModel] | None:
    """The class of the settings below a key, or None if the key leads to no single class."""
    group: type[BaseModel] | None = cls
    for part in location:
        if group is None:
            return None
        if isinstance(part, str) and part in group.model_fields:
            inner = list(_groups_in(group.model_fields[part].annotation))
            group = inner[0] if len(inner) == 1 else None
    return group


def _groups_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The classes of settings in the type of a field, such as ``tuple[CorpusInput, ...]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _groups_in(argument)


def _shortened(value: Any) -> str:
    text = repr(value)
    if len(text) <= _MAX_VALUE_CHARACTERS:
        return text
    return f"{text[: _MAX_VALUE_CHARACTERS - 3]}..."
