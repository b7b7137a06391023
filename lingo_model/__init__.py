"""The translation model: network, subwords, decoding and the model bundle.

Every public name is imported on first use. Settings, manifests and errors therefore cost nothing:
``from lingo_model import InputError, SearchConfig`` imports neither torch nor sentencepiece.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lingo_model.bundle import Bundle, load_bundle, save_bundle
    from lingo_model.bundle_manifest import BundleManifest, read_bundle_manifest, read_training
    from lingo_model.decoding.engine import Engine
    from lingo_model.decoding.precision import (
        DECODE_PRECISIONS,
        DecodePrecision,
        check_precision,
    )
    from lingo_model.decoding.search_config import ENGINE_VERSION, Hypothesis, SearchConfig
    from lingo_model.decoding.translator import Translation, Translator
    from lingo_model.errors import InputError
    from lingo_model.kernels.training_layers import accelerate_training
    from lingo_model.network.config import ModelConfig
    from lingo_model.network.loss import SummedLoss
    from lingo_model.network.lstm import SimpleSeq2SeqLSTM
    from lingo_model.scorer import Scorer
    from lingo_model.subwords import Subwords

__all__ = [
    "DECODE_PRECISIONS",
    "ENGINE_VERSION",
    "Bundle",
    "BundleManifest",
    "DecodePrecision",
    "Engine",
    "Hypothesis",
    "InputError",
    "ModelConfig",
    "Scorer",
    "SearchConfig",
    "SimpleSeq2SeqLSTM",
    "Subwords",
    "SummedLoss",
    "Translation",
    "Translator",
    "accelerate_training",
    "check_precision",
    "load_bundle",
    "read_bundle_manifest",
    "read_training",
    "save_bundle",
]

_NAMES_OF_MODULE = {
    "bundle": ("Bundle", "load_bundle", "save_bundle"),
    "bundle_manifest": ("BundleManifest", "read_bundle_manifest", "read_training"),
    "decoding.engine": ("Engine",),
    "decoding.precision": ("DECODE_PRECISIONS", "DecodePrecision", "check_precision"),
    "decoding.search_config": ("ENGINE_VERSION", "Hypothesis", "SearchConfig"),
    "decoding.translator": ("Translation", "Translator"),
    "errors": ("InputError",),
    "kernels.training_layers": ("accelerate_training",),
    "network.config": ("ModelConfig",),
    "network.loss": ("SummedLoss",),
    "network.lstm": ("SimpleSeq2SeqLSTM",),
    "scorer": ("Scorer",),
    "subwords": ("Subwords",),
}
_MODULE_OF_NAME = {name: module for module, names in _NAMES_OF_MODULE.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name not in _MODULE_OF_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF_NAME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
