"""The model bundle: a folder that holds all that translating needs, and no pickle.

BUNDLE/
  bundle.json          format version, architecture, languages, fingerprints
  weights.safetensors
  subwords.model
  training.json        history and settings of the training run
  ...                  what else the trainer attached, such as history.parquet
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors

from lingo_model.errors import InputError
from lingo_model.network.config import Config
from lingo_model.network.lstm import SimpleSeq2SeqLSTM
from lingo_model.subwords import Subwords

FORMAT_VERSION = 1
ARCHITECTURE = "SimpleSeq2SeqLSTM"
_TIED = "output.weight"


@dataclasses.dataclass(frozen=True, kw_only=True)
class BundleManifest:
    """What ``bundle.json`` says. Fingerprints are SHA-256, hexadecimal."""

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
        """Sixteen hexadecimal digits that change with anything that changes a translation."""
        parts = [
            self.architecture,
            json.dumps(self.config, sort_keys=True),
            self.weights_sha256,
            self.subwords_sha256,
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class Bundle:
    """A model in memory with its subwords and manifest."""

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
    """Write a bundle; it appears under ``path`` by one rename, whole or not at all.

    Args:
        training: history and settings, plain JSON values.
        attachments: further files by name, which loading a bundle does not read.

    Raises:
        InputError: ``path`` exists already.
    """
    final = Path(path)
    if not model.src_vocab_size == model.tgt_vocab_size == subwords.vocab_size:
        raise InputError(
            f"{final}: the model has {model.src_vocab_size} source and {model.tgt_vocab_size} "
            f"target pieces, its subwords {subwords.vocab_size}; give the subwords it learnt with"
        )
    if final.exists():
        raise InputError(f"{final}: exists already; name another output")
    state = model.state_dict()
    if model.config.lstm_tied_embeddings:
        del state[_TIED]  # the target embedding is its weight
    weights = save_safetensors({k: v.contiguous() for k, v in state.items()})
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
        "weights.safetensors": weights,
        "subwords.model": subwords.to_bytes(),
        "training.json": _json(training),
        "bundle.json": _json(dataclasses.asdict(manifest)),
    }
    final.parent.mkdir(parents=True, exist_ok=True)
    staging = final.with_name(f".{final.name}.{os.getpid()}.tmp")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir()
    try:
        for name, content in files.items():
            with (staging / name).open("wb") as file:
                file.write(content)
                os.fsync(file.fileno())
        _sync_folder(staging)
        staging.rename(final)
    except BaseException:
        shutil.rmtree(staging)
        raise
    _sync_folder(final.parent)
    return manifest


def read_bundle_manifest(path: str | os.PathLike[str]) -> BundleManifest:
    """Read and check ``bundle.json`` alone.

    Raises:
        InputError: no bundle there, an unknown format version, an unknown or missing key, or a
            value of another type.
    """
    file = Path(path) / "bundle.json"
    try:
        values = json.loads(file.read_bytes())
    except OSError as error:
        raise InputError(
            f"{path}: not a model bundle (no readable bundle.json); "
            "give the folder that `lingo train` wrote"
        ) from error
    except ValueError as error:
        raise InputError(f"{file}: not valid JSON ({error}); copy the bundle again") from error
    version = values.get("format_version") if isinstance(values, dict) else None
    if version != FORMAT_VERSION:
        raise InputError(
            f"{file}: format_version={version!r}: this release reads {FORMAT_VERSION}; "
            "use the release that wrote it, or train again"
        )
    known = {field.name for field in dataclasses.fields(BundleManifest)}
    if unknown := sorted(set(values) - known):
        raise InputError(f"{file}: unknown key {unknown[0]!r}; use the release that wrote it")
    if missing := sorted(known - set(values)):
        raise InputError(f"{file}: key {missing[0]!r} is missing; copy the bundle again")
    for field in dataclasses.fields(BundleManifest):
        kind = {"int": int, "str": str}.get(str(field.type), dict)
        if type(value := values[field.name]) is not kind:
            raise InputError(
                f"{file}: {field.name}={value!r}: needs {kind.__name__}; copy the bundle again"
            )
    manifest = BundleManifest(**values)
    if manifest.architecture != ARCHITECTURE:
        raise InputError(
            f"{file}: architecture={manifest.architecture!r}: this release knows {ARCHITECTURE}"
        )
    return manifest


def read_training(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a bundle's ``training.json`` says of how the model came to be; empty without one.

    Raises:
        InputError: it is damaged.
    """
    file = Path(path) / "training.json"
    try:
        values = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise InputError(f"{file}: not valid JSON ({error}); copy the bundle again") from error
    if not isinstance(values, dict):
        raise InputError(f"{file}: not a JSON object; copy the bundle again")
    return values


def load_bundle(path: str | os.PathLike[str], *, device: str | torch.device = "cpu") -> Bundle:
    """Load a bundle for inference, with every fingerprint checked.

    Raises:
        InputError: see :func:`read_bundle_manifest`; also a file that is missing or does not
            match its fingerprint, or weights that do not fit the architecture.
    """
    folder = Path(path)
    manifest = read_bundle_manifest(folder)
    content = {}
    for name, expected in (
        ("weights.safetensors", manifest.weights_sha256),
        ("subwords.model", manifest.subwords_sha256),
    ):
        try:
            content[name] = (folder / name).read_bytes()
        except OSError as error:
            raise InputError(
                f"{folder / name}: cannot be read ({error.strerror}); copy the bundle again"
            ) from error
        found = hashlib.sha256(content[name]).hexdigest()
        if found != expected:
            raise InputError(
                f"{folder / name}: fingerprint {found[:12]} but bundle.json says {expected[:12]}; "
                "the file was changed or damaged: copy the bundle again"
            )
    subwords = Subwords(content["subwords.model"], name=str(folder / "subwords.model"))
    model = SimpleSeq2SeqLSTM(
        manifest.src_vocab_size,
        manifest.tgt_vocab_size,
        config=Config.from_dict(manifest.config),
    )
    try:
        # Each copy of the weights goes when the next is made: nothing here is larger.
        state = load_safetensors(content.pop("weights.safetensors"))
        if model.config.lstm_tied_embeddings:
            state[_TIED] = model.output.weight
        model.load_state_dict(state, assign=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{folder}: weights do not fit the architecture: {reason}") from error
    return Bundle(model.to(device).eval(), subwords, manifest)


def _sync_folder(path: Path) -> None:
    """Have the disk confirm a folder's list of names: the trainer removes its checkpoints next."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
