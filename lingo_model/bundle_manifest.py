"""The manifest and the training record of a model bundle. Reading them needs no torch."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from lingo_model.errors import InputError

FORMAT_VERSION = 1
ARCHITECTURE = "SimpleSeq2SeqLSTM"
MANIFEST_FILE = "bundle.json"
TRAINING_FILE = "training.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class BundleManifest:
    """The content of ``bundle.json``. Fingerprints are SHA-256 in hexadecimal.

    Attributes:
        format_version: version of the bundle format.
        architecture: class name of the model.
        config: settings of the model, see :class:`~lingo_model.network.config.ModelConfig`.
        src_vocab_size: number of source pieces.
        tgt_vocab_size: number of target pieces.
        source_lang: language tag of the source texts.
        target_lang: language tag of the translations.
        weights_sha256: fingerprint of ``weights.safetensors``.
        subwords_sha256: fingerprint of ``subwords.model``.
        dataset_fingerprint: fingerprint of the dataset that the model was trained on.
        recipe_fingerprint: fingerprint of the training settings.
    """

    format_version: int
    architecture: str
    config: dict[str, Any]
    src_vocab_size: int
    tgt_vocab_size: int
    source_lang: str
    target_lang: str
    weights_sha256: str
    subwords_sha256: str
    dataset_fingerprint: str
    recipe_fingerprint: str

    @property
    def model_id(self) -> str:
        """Sixteen hexadecimal digits that identify everything that can change a translation."""
        parts = [
            self.architecture,
            json.dumps(self.config, sort_keys=True),
            self.weights_sha256,
            self.subwords_sha256,
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


# A test holds this table to the fields of BundleManifest.
_TYPE_OF_KEY: dict[str, type] = {
    "format_version": int,
    "architecture": str,
    "config": dict,
    "src_vocab_size": int,
    "tgt_vocab_size": int,
    "source_lang": str,
    "target_lang": str,
    "weights_sha256": str,
    "subwords_sha256": str,
    "dataset_fingerprint": str,
    "recipe_fingerprint": str,
}


def read_bundle_manifest(path: str | os.PathLike[str]) -> BundleManifest:
    """Read and check ``bundle.json`` alone.

    Args:
        path: the folder of the bundle.

    Raises:
        InputError: the folder is not a bundle, the format version or architecture is unknown, or
            a key is unknown, missing or has a value of the wrong type.
    """
    file = Path(path) / MANIFEST_FILE
    try:
        values = json.loads(file.read_bytes())
    except OSError as error:
        raise InputError(
            f"{path}: not a model bundle (no readable {MANIFEST_FILE}); "
            "give a folder that `lingo train` wrote"
        ) from error
    except ValueError as error:
        raise InputError(f"{file}: not valid JSON ({error}); copy the bundle again") from error
    version = values.get("format_version") if isinstance(values, dict) else None
    if version != FORMAT_VERSION:
        raise InputError(
            f"{file}: format_version={version!r}: this release reads {FORMAT_VERSION}; "
            "use the release that wrote the bundle, or train again"
        )
    if unknown := sorted(values.keys() - _TYPE_OF_KEY.keys()):
        raise InputError(
            f"{file}: unknown key {unknown[0]!r}; use the release that wrote the bundle"
        )
    if missing := sorted(_TYPE_OF_KEY.keys() - values.keys()):
        raise InputError(f"{file}: key {missing[0]!r} is missing; copy the bundle again")
    for key, required_type in _TYPE_OF_KEY.items():
        if type(value := values[key]) is not required_type:
            raise InputError(
                f"{file}: {key}={value!r}: needs {required_type.__name__}; copy the bundle again"
            )
    manifest = BundleManifest(**values)
    if manifest.architecture != ARCHITECTURE:
        raise InputError(
            f"{file}: architecture={manifest.architecture!r}: this release reads {ARCHITECTURE}; "
            "use the release that wrote the bundle"
        )
    return manifest


def read_training(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the training record of a bundle, ``training.json``.

    Args:
        path: the folder of the bundle.

    Returns:
        history and settings of the training run; empty if the bundle has no such file.

    Raises:
        InputError: the file is damaged.
    """
    file = Path(path) / TRAINING_FILE
    try:
        values = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise InputError(f"{file}: not valid JSON ({error}); copy the bundle again") from error
    if not isinstance(values, dict):
        raise InputError(f"{file}: not a JSON object; copy the bundle again")
    return values
