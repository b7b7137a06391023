"""Decides whether an existing dataset can be used as it is, and says why not.

Reads: the manifest and the files of a dataset, and the files of a corpus.
Writes: nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lingo_model import InputError
from pipeline.dataset.dataset import check_files
from pipeline.dataset.manifest import MANIFEST, DatasetManifest
from pipeline.prepare.config import PrepareConfig
from pipeline.prepare.corpus import CorpusDescription, effective_clean
from pipeline.prepare.input_names import NamedInput
from pipeline.prepare.rules.cross_entropy import model_ids
from pipeline.prepare.rules.own import own_rule_files
from pipeline.storage.hashing import fingerprint_of, sha256_of_file
from pipeline.storage.location import Location

_MAX_DIFFERENCES_SHOWN = 5
_MAX_FILES_SHOWN = 2
_FILES = {"source", "target", "path"}
_OLD_KEYS = {"source_column", "target_column", "split"}
"""The keys of an input that the datasets of the first release have, apart from its files."""
_OLD_SUBWORDS_KEYS = {"vocab_size", "normalisation"}
"""The settings of the subword model that these datasets have."""


def values_made_from(
    corpus: CorpusDescription, inputs: Sequence[NamedInput], config: PrepareConfig
) -> dict[str, Any]:
    """Everything that can change the dataset. The dataset's fingerprint is a hash of this.

    Raises:
        InputError: source and target of an input have the same content, or a model cannot be read.
    """
    return {
        "format_version": DatasetManifest.FORMAT_VERSION,
        "source_lang": corpus.source_lang,
        "target_lang": corpus.target_lang,
        "inputs": [_input_values(named, corpus.folder) for named in inputs],
        "config": _config_values(config, corpus.folder),
        **_own_rules_values(corpus, config),
    }


def _own_rules_values(corpus: CorpusDescription, config: PrepareConfig) -> dict[str, Any]:
    """The digests of the modules of own rules, if there are any."""
    folder = corpus.folder
    if folder is None:
        return {}
    files: set[Path] = set()
    for item in corpus.inputs:
        files.update(own_rule_files(effective_clean(item, config), folder))
    digests = {str(file.relative_to(folder)): sha256_of_file(file) for file in sorted(files)}
    return {"own_rules": digests} if digests else {}


def _config_values(config: PrepareConfig, folder: Path | None) -> dict[str, Any]:
    """The settings. New ones only if they differ from their defaults, as with the inputs."""
    subwords = config.subwords.model_dump(mode="json", include=_OLD_SUBWORDS_KEYS)
    subwords |= config.subwords.model_dump(mode="json", exclude_defaults=True)
    clean = config.clean.model_dump(mode="json", exclude={"cross_entropy"})
    rule = config.clean.cross_entropy
    # Defaults are left out while the rule is off, so that datasets of earlier releases are used.
    values = rule.model_dump(mode="json", exclude_defaults=not rule.is_on) | model_ids(rule, folder)
    clean |= {"cross_entropy": values} if values else {}
    return config.model_dump(mode="json") | {"subwords": subwords, "clean": clean}


def _input_values(named: NamedInput, folder: Path | None) -> dict[str, Any]:
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
        if ids := model_ids(item.clean.cross_entropy, folder):
            entry["clean"]["cross_entropy"] |= ids
    # A list, because source and target may have the same name, and their order matters.
    return entry | {"files": [list(pair) for pair in zip(names, digests, strict=True)]}


def usable_dataset(
    output: Location, made_from: dict[str, Any], *, on_damage: Callable[[str], object]
) -> DatasetManifest | None:
    """The manifest of the dataset in ``output``, if it is whole and made from the given values.

    Args:
        output: a folder, here or on S3; a file, or nothing.
        made_from: the result of :func:`values_made_from`.
        on_damage: called with a description of the damage if a dataset of these values has one.

    Returns:
        the manifest; or None if there is no dataset, or a damaged one of these values.

    Raises:
        InputError: the dataset was made from other values, or its manifest cannot be read.
        OSError: S3 refuses or does not answer.
    """
    if not (output / MANIFEST).exists():
        return None
    try:
        manifest = DatasetManifest.load(output / MANIFEST)
    except InputError as error:
        raise InputError(
            f"{output}: holds something else than a dataset of this release, or a damaged one "
            f"({error}); remove the folder, or name another output"
        ) from error
    if manifest.fingerprint != fingerprint_of(made_from):
        differing = list(differences(manifest.made_from, made_from))
        shown = "; ".join(differing[:_MAX_DIFFERENCES_SHOWN])
        n_more = len(differing) - _MAX_DIFFERENCES_SHOWN
        raise InputError(
            f"{output}: holds a dataset made from other inputs or settings: {shown}"
            + (f"; and {n_more} more" if n_more > 0 else "")
            + "; name another output, or remove the dataset"
        )
    try:
        check_files(output, manifest)
    except InputError as error:
        on_damage(str(error).removesuffix("; prepare the dataset again"))
        return None
    return manifest


def differences(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """What differs between the values that two datasets were made from, one clause each."""
    yield from _input_differences(old["inputs"], new["inputs"])
    yield from _changed_values(old | {"inputs": None}, new | {"inputs": None}, "")


def _input_differences(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> Iterator[str]:
    """The inputs that differ, by position and name, and what differs in them."""
    before_of = [_earlier_input(old, number, item) for number, item in enumerate(new)]
    for item in old:
        if not any(before is item for before in before_of):
            yield f"input {_name_of(item)} is missing"
    for number, (before, item) in enumerate(zip(before_of, new, strict=True)):
        key = f"inputs.{number} ({_name_of(item)})"
        if before is None:
            yield f"{key} is new"
        else:
            yield from (f"{key}: {change}" for change in _changes_of_input(before, item))
    old_files, new_files = list(map(_file_names, old)), list(map(_file_names, new))
    if sorted(old_files) == sorted(new_files) and old_files != new_files:
        yield "the inputs are in another order"


def _earlier_input(
    old: list[dict[str, Any]], number: int, item: dict[str, Any]
) -> dict[str, Any] | None:
    """The input with the same files; or that at the same position, if it shares a file."""
    in_place = old[number : number + 1]
    for before in (*in_place, *old):
        if _file_names(before) == _file_names(item):
            return before
    shared = [before for before in in_place if {*_file_names(before)} & {*_file_names(item)}]
    return shared[0] if shared else None


def _file_names(item: dict[str, Any]) -> list[str]:
    return [name for name, _ in item["files"]]


def _name_of(item: dict[str, Any]) -> str:
    names = _file_names(item)
    n_more = len(names) - _MAX_FILES_SHOWN
    return "+".join(names[:_MAX_FILES_SHOWN]) + (f" and {n_more} more" if n_more > 0 else "")


def _changes_of_input(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """What differs between two inputs that have a file in common."""
    names = _file_names(new)
    if _file_names(old) == names:  # both sides of aligned text may have one name
        pairs = zip(old["files"], new["files"], strict=True)
        yield from (f"the content of {left[0]} changed" for left, right in pairs if left != right)
    else:
        if sorted(_file_names(old)) == sorted(names):  # source and target changed places
            yield "its files are in another order"
        yield from (f"file {name} is missing" for name in _file_names(old) if name not in names)
        before = dict(old["files"])
        for name, digest in new["files"]:
            if before.get(name) != digest:
                yield f"the content of {name} changed" if name in before else f"file {name} is new"
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
