"""Rules of the user: functions that the settings name.

An own rule is Python code, which runs with the rights of the user. Use settings of others only
after you have read them and their modules.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa

from lingo_model import InputError
from pipeline.errors import one_line
from pipeline.prepare.config import CleanConfig
from pipeline.prepare.rules.rule import Rule
from pipeline.prepare.texts import Mask, PairTexts

OwnFunction = Callable[[pa.RecordBatch, Mapping[str, Any]], Any]
"""Takes a batch with the columns ``source`` and ``target``, and the settings of own rules. Returns
one truth value for each row: whether to reject it."""


def own_rules(config: CleanConfig, folder: Path | None) -> tuple[Rule, ...]:
    """The own rules that some settings name.

    Args:
        config: the settings.
        folder: the folder of the corpus description, in which modules are looked for first. After
            it come the installed packages.

    Raises:
        InputError: a module or a function is not found, cannot be imported, or is not callable.
    """
    return tuple(_rule(name, folder, _modified_ns(name, folder)) for name in config.own_rules)


def own_rule_files(config: CleanConfig, folder: Path | None) -> tuple[Path, ...]:
    """The files in ``folder`` with the code of the own rules. A dataset depends on their content.

    Modules that these files import are not among them.
    """
    modules = dict.fromkeys(name.partition(":")[0] for name in config.own_rules)
    files = (None if folder is None else _file_of(module, folder) for module in modules)
    return tuple(file for file in files if file is not None)


def reason_of(name: str) -> str:
    """The reason that an own rule gives: the name of its function."""
    return name.rpartition(":")[2]


def _modified_ns(name: str, folder: Path | None) -> int:
    """When the file of an own rule in the folder was written. 0 for an installed module."""
    file = None if folder is None else _file_of(name.partition(":")[0], folder)
    return 0 if file is None else file.stat().st_mtime_ns


@functools.cache
def _rule(name: str, folder: Path | None, modified_ns: int) -> Rule:
    """An own rule. A file that was changed since is imported again."""
    function = _function(name, folder)

    def rejects(texts: PairTexts, config: CleanConfig) -> Mask:
        return _mask(name, function, texts, config)

    return Rule(reason_of(name), rejects, lambda config: True, lambda *_: name)


def _function(name: str, folder: Path | None) -> OwnFunction:
    module_name, _, function_name = name.partition(":")
    module = _module(name, module_name, folder)
    function = getattr(module, function_name, None)
    if function is None:
        known = [
            key for key, value in inspect.getmembers(module, inspect.isfunction) if key[0] != "_"
        ]
        raise InputError(
            f"own rule {name!r}: {module.__file__} has no function {function_name!r}; it has "
            f"{', '.join(known) or 'none'}"
        )
    if not callable(function):
        raise InputError(f"own rule {name!r}: is {type(function).__name__}; needs a function")
    checked: OwnFunction = function
    return checked


def _file_of(module_name: str, folder: Path) -> Path | None:
    path = folder.joinpath(*module_name.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


def _module(name: str, module_name: str, folder: Path | None) -> ModuleType:
    file = None if folder is None else _file_of(module_name, folder)
    try:
        if file is None:
            return importlib.import_module(module_name)
        return _module_of_file(module_name, file)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{module_name}.".startswith(f"{error.name}."):
            place = "" if folder is None else f" in {folder}, and none is installed"
            raise InputError(
                f"own rule {name!r}: there is no module {module_name!r}{place}; put "
                f"{module_name.replace('.', '/')}.py beside the corpus description"
            ) from error
        raise _failed(name, "its module cannot be imported", error) from error
    except Exception as error:
        raise _failed(name, "its module cannot be imported", error) from error


def _module_of_file(module_name: str, file: Path) -> ModuleType:
    """Import a file under a name of its own, so that it hides no other module."""
    own_name = f"_lingo_own_rules_{module_name.replace('.', '_')}"
    spec = importlib.util.spec_from_file_location(own_name, file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} is not Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[own_name] = module
    spec.loader.exec_module(module)
    return module


def _mask(name: str, function: OwnFunction, texts: PairTexts, config: CleanConfig) -> Mask:
    batch = pa.record_batch({"source": texts.source.to_arrow(), "target": texts.target.to_arrow()})
    try:
        answer = function(batch, dict(config.own_rules_settings))
        if isinstance(answer, pa.Array | pa.ChunkedArray):
            answer = answer.to_numpy(zero_copy_only=False)
        mask = np.asarray(answer)
    except InputError:
        raise
    except Exception as error:
        raise _failed(name, "failed", error) from error
    if mask.dtype != np.bool_ or mask.shape != (len(texts),):
        raise InputError(
            f"own rule {name!r}: returned {mask.dtype} of shape {mask.shape}; needs "
            f"{len(texts)} truth values, one for each row: true to reject it"
        )
    return mask


def _failed(name: str, what: str, error: Exception) -> InputError:
    return InputError(f"own rule {name!r}: {what} ({type(error).__name__}: {one_line(error)})")
