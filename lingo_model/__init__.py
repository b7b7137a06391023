"""Models, search, subwords and the model bundle. Needs torch, safetensors, sentencepiece."""

from lingo_model.bundle import (
    Bundle,
    BundleManifest,
    load_bundle,
    read_bundle_manifest,
    read_training,
    save_bundle,
)
from lingo_model.decoding.engine import DecodeTier, Engine
from lingo_model.decoding.search_config import Hypothesis, SearchConfig, greedy_search
from lingo_model.decoding.translator import Translation, Translator
from lingo_model.errors import InputError
from lingo_model.network.config import Config
from lingo_model.network.loss import SummedLoss
from lingo_model.network.lstm import SimpleSeq2SeqLSTM
from lingo_model.subwords import Subwords

__all__ = [
    "Bundle",
    "BundleManifest",
    "Config",
    "DecodeTier",
    "Engine",
    "Hypothesis",
    "InputError",
    "SearchConfig",
    "SimpleSeq2SeqLSTM",
    "Subwords",
    "SummedLoss",
    "Translation",
    "Translator",
    "greedy_search",
    "load_bundle",
    "read_bundle_manifest",
    "read_training",
    "save_bundle",
]
