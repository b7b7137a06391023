"""The model bundle: a folder with everything that translation needs, and without pickles.

BUNDLE/
  bundle.json          format version, architecture, languages, fingerprints
  weights.safetensors
  subwords.model
  training.json        history and settings of the training run
  ...                  further files of the trainer, such as history.parquet
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from lingo_model.atomic_files import new_folder
from lingo_model.bundle_manifest import (
    ARCHITECTURE,
    FORMAT_VERSION,
    MANIFEST_FILE,
    TRAINING_FILE,
    BundleManifest,
    read_bundle_manifest,
)
from lingo_model.errors import InputError
from lingo_model.network.config import ModelConfig
from lingo_model.network.lstm import SimpleSeq2SeqLSTM
from lingo_model.subwords import Subwords

_WEIGHTS_FILE = "weights.safetensors"
_SUBWORDS_FILE = "subwords.model"
_TIED_WEIGHT = "output.weight"


@dataclasses.dataclass(frozen=True)
class Bundle:
    """A model in memory, with its subwords and its manifest."""

    model: SimpleSeq2SeqLSTM
    subwords: Subwords
    manifest: BundleManifest


def save_bundle(
    path: str | os.PathLike[str],
    model: SimpleSeq2SeqLSTM,
    subwords: Subwords,
    *,
    source_lang: str,
    target_lang: str,
    dataset_fingerprint: str,
    recipe_fingerprint: str,
    training: dict[str, Any],
    attachments: Mapping[str, bytes] | None = None,
) -> BundleManifest:
    """Write a bundle. The folder appears under ``path`` by one rename, complete or not at all.

    Args:
        path: the new folder.
        model: its weights and configuration are saved.
        subwords: the subword model that ``model`` was trained with.
        source_lang: language tag of the source texts.
        target_lang: language tag of the translations.
        dataset_fingerprint: fingerprint of the training data.
        recipe_fingerprint: fingerprint of the training settings.
        training: history and settings, as plain JSON values.
        attachments: further files by name; loading a bundle ignores them.

    Returns:
        the manifest that was written.

    Raises:
        InputError: ``path`` exists, or model and subwords have different vocabulary sizes.
        OSError: a file cannot be written.
    """
    final = Path(path)
    if not model.src_vocab_size == model.tgt_vocab_size == subwords.vocab_size:
        raise InputError(
            f"{final}: the model has {model.src_vocab_size} source and {model.tgt_vocab_size} "
            f"target pieces, but the subwords have {subwords.vocab_size}; "
            "give the subwords that the model was trained with"
        )
    if final.exists():
        raise InputError(f"{final}: already exists; choose another output")
    state = model.state_dict()
    if model.config.lstm_tied_embeddings:
        del state[_TIED_WEIGHT]  # the same tensor as the target embedding
    weights = save_safetensors({name: value.contiguous() for name, value in state.items()})
    manifest = BundleManifest(
        format_version=FORMAT_VERSION,
        architecture=ARCHITECTURE,
        config=model.config.to_dict(),
        src_vocab_size=model.src_vocab_size,
        tgt_vocab_size=model.tgt_vocab_size,
        source_lang=source_lang,
        target_lang=target_lang,
        weights_sha256=hashlib.sha256(weights).hexdigest(),
        subwords_sha256=subwords.fingerprint,
        dataset_fingerprint=dataset_fingerprint,
        recipe_fingerprint=recipe_fingerprint,
    )
    files = {
        **(attachments or {}),
        _WEIGHTS_FILE: weights,
        _SUBWORDS_FILE: subwords.to_bytes(),
        TRAINING_FILE: _json_bytes(training),
        MANIFEST_FILE: _json_bytes(dataclasses.asdict(manifest)),
    }
    with new_folder(final) as staging:
        for name, content in files.items():
            (staging / name).write_bytes(content)
    return manifest


def load_bundle(path: str | os.PathLike[str], *, device: str | torch.device = "cpu") -> Bundle:
    """Load a bundle for inference and check every fingerprint.

    Args:
        path: the folder of the bundle.
        device: where the weights go.

    Returns:
        the bundle; its model is in ``eval`` mode.

    Raises:
        InputError: the manifest is refused (see
            :func:`~lingo_model.bundle_manifest.read_bundle_manifest`), a file is missing or does
            not match its fingerprint, or the weights do not fit the architecture.
    """
    folder = Path(path)
    manifest = read_bundle_manifest(folder)
    contents = {}
    for name, expected in (
        (_WEIGHTS_FILE, manifest.weights_sha256),
        (_SUBWORDS_FILE, manifest.subwords_sha256),
    ):
        try:
            contents[name] = (folder / name).read_bytes()
        except OSError as error:
            raise InputError(
                f"{folder / name}: cannot be read ({error.strerror}); copy the bundle again"
            ) from error
        actual = hashlib.sha256(contents[name]).hexdigest()
        if actual != expected:
            raise InputError(
                f"{folder / name}: its fingerprint is {actual[:12]}, but {MANIFEST_FILE} says "
                f"{expected[:12]}; the file was changed or damaged, copy the bundle again"
            )
    subwords = Subwords(contents[_SUBWORDS_FILE], name=str(folder / _SUBWORDS_FILE))
    model = SimpleSeq2SeqLSTM(
        manifest.src_vocab_size,
        manifest.tgt_vocab_size,
        config=ModelConfig.from_dict(manifest.config),
    )
    try:
        # `pop` and `assign` free each copy of the weights early, which bounds peak memory.
        state = load_safetensors(contents.pop(_WEIGHTS_FILE))
        if model.config.lstm_tied_embeddings:
            state[_TIED_WEIGHT] = model.output.weight
        model.load_state_dict(state, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{folder}: weights do not fit the architecture ({reason}); copy the bundle again"
        ) from error
    return Bundle(model.to(device).eval(), subwords, manifest)


def _json_bytes(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
