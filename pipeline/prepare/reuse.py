"""Decides whether an existing dataset can be used as it is, and says why not.

Reads: the manifest and the files of a dataset, and the files of a corpus.
Writes: nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lingo_model import InputError
from pipeline.dataset.dataset import open_dataset
from pipeline.dataset.manifest import MANIFEST, DatasetManifest
from pipeline.prepare.config import PrepareConfig
from pipeline.prepare.corpus import CorpusDescription
from pipeline.prepare.input_names import NamedInput
from pipeline.storage.hashing import fingerprint_of, sha256_of_file

_MAX_DIFFERENCES_SHOWN = 5
_FILES = {"source", "target", "path"}
_OLD_KEYS = {"source_column", "target_column", "split"}
"""The keys of an input that the datasets of the first release have, apart from its files."""
# Settings that datasets of earlier releases do not have, by group.
_NEW_SETTINGS = {
    "subwords": {
        *("algorithm", "character_coverage", "byte_fallback", "split_digits"),
        "max_training_sentences",
    },
}


def values_made_from(
    corpus: CorpusDescription, inputs: Sequence[NamedInput], config: PrepareConfig
) -> dict[str, Any]:
    """Everything that can change the dataset. The dataset's fingerprint is a hash of this.

    Raises:
        InputError: source and target of an input have the same content.
    """
    return {
        "format_version": DatasetManifest.FORMAT_VERSION,
        "source_lang": corpus.source_lang,
        "target_lang": corpus.target_lang,
        "inputs": [_input_values(named) for named in inputs],
        "config": _config_values(config),
    }


def _config_values(config: PrepareConfig) -> dict[str, Any]:
    """The settings. New ones only if they differ from their defaults, as with the inputs."""
    values = config.model_dump(mode="json")
    defaults = PrepareConfig().model_dump(mode="json")
    for group, keys in _NEW_SETTINGS.items():
        for key in keys:
            if values[group][key] == defaults[group][key]:
                del values[group][key]
    return values


def _input_values(named: NamedInput) -> dict[str, Any]:
    item = named.item
    names = [name for part in named.parts for name in part.file_names]
    digests = []
    for part in item.parts:
        part_digests = [sha256_of_file(file) for file in part.files]
        if len(set(part_digests)) < len(part_digests) and part.files[0].stat().st_size:
            raise InputError(
                f"{part.files[0]} and {part.files[1]} have the same content; give the translations "
                "of 'source' as 'target'"
            )
        digests += part_digests
    entry = item.model_dump(mode="json", include=_OLD_KEYS)
    # Only if they differ from their defaults, so that datasets of earlier releases are used.
    new_keys = type(item).model_fields.keys() - _OLD_KEYS - _FILES - {"clean"}
    entry |= item.model_dump(mode="json", include=new_keys, exclude_defaults=True)
    if item.clean is not None:  # a default that is given replaces another value of the settings
        entry["clean"] = item.clean.model_dump(mode="json", exclude_unset=True)
    # A list, because source and target may have the same name, and their order matters.
    return entry | {"files": [list(pair) for pair in zip(names, digests, strict=True)]}


def usable_dataset(
    output: Path, made_from: dict[str, Any], *, on_damage: Callable[[str], object]
) -> DatasetManifest | None:
    """The manifest of the dataset in ``output``, if it is whole and made from the given values.

    Args:
        output: a folder, a file, or nothing.
        made_from: the result of :func:`values_made_from`.
        on_damage: called with a description of the damage if a dataset of these values has one.

    Returns:
        the manifest; or None if there is no dataset, or a damaged one of these values.

    Raises:
        InputError: the dataset was made from other values, or its manifest cannot be read.
    """
    if not (output / MANIFEST).exists():
        return None
    try:
        dataset = open_dataset(output)
    except InputError as error:
        raise InputError(
            f"{output}: holds something else than a dataset of this release, or a damaged one "
            f"({error}); remove the folder, or name another output"
        ) from error
    if dataset.manifest.fingerprint != fingerprint_of(made_from):
        differing = list(differences(dataset.manifest.made_from, made_from))
        shown = "; ".join(differing[:_MAX_DIFFERENCES_SHOWN])
        n_more = len(differing) - _MAX_DIFFERENCES_SHOWN
        raise InputError(
            f"{output}: holds a dataset made from other inputs or settings: {shown}"
            + (f"; and {n_more} more" if n_more > 0 else "")
            + "; name another output, or remove the dataset"
        )
    try:
        dataset.check_files()
    except InputError as error:
        on_damage(str(error).removesuffix("; prepare the dataset again"))
        return None
    return dataset.manifest


def differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """What differs between the values that two datasets were made from, one clause each."""
    yield from _input_differences(old["inputs"], new["inputs"])
    yield from _changed_values(old | {"inputs": None}, new | {"inputs": None}, "")


def _input_differences(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[str]:
    """The inputs that differ, by position and name, and what differs in them."""
    old_names, new_names = [_name_of(item) for item in old], [_name_of(item) for item in new]
    for name in old_names:
        if name not in new_names:
            yield f"input {name} is missing"
    for number, (name, item) in enumerate(zip(new_names, new, strict=True)):
        key = f"inputs.{number} ({name})"
        if name not in old_names:
            yield f"{key} is new"
            continue
        has_its_place = old_names[number : number + 1] == [name]
        before = old[number] if has_its_place else old[old_names.index(name)]
        yield from (f"{key}: {change}" for change in _changes_of_input(before, item))
    if sorted(old_names) == sorted(new_names) and old_names != new_names:
        yield "the inputs are in another order"


def _name_of(item: dict[str, Any]) -> str:
    return "+".join(name for name, _ in item["files"])


def _changes_of_input(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """What differs between two inputs with the same names of files."""
    for (name, old_digest), (_, new_digest) in zip(old["files"], new["files"], strict=True):
        if old_digest != new_digest:
            yield f"the content of {name} changed"
    yield from _changed_values(old | {"files": None}, new | {"files": None}, "")


def _changed_values(old: Any, new: Any, key: str) -> Iterator[str]:
    """The values that differ, by dotted key, such as ``config.clean.max_characters``."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            inner = f"{key}.{name}" if key else name
            yield from _changed_values(old.get(name), new.get(name), inner)
    elif old != new:
        before = "was not set" if old is None else f"was {old!r}"
        after = "is not set" if new is None else f"is {new!r}"
        yield f"{key} {before} and {after}"
