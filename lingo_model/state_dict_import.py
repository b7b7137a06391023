"""Models that TorchLingo trained: its state dicts have the weight names of this project."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lingo_model.bundle import BundleManifest, save_bundle
from lingo_model.errors import InputError
from lingo_model.network.config import Config
from lingo_model.network.lstm import SimpleSeq2SeqLSTM
from lingo_model.subwords import Subwords

# Where training loops put the weights when they save more than those.
_WRAPPERS = ("model_state_dict", "state_dict", "model")


def import_state_dict(
    weights: str | os.PathLike[str],
    subwords: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    source_lang: str,
    target_lang: str,
) -> BundleManifest:
    """Make a bundle of a saved state dict and the subword model that it learnt with.

    The file is read with ``weights_only=True``: nothing in it is executed.

    Raises:
        InputError: a file cannot be read, or the weights are not those of this architecture, with
            the name of one that is missing, extra or of another shape.
    """
    model = model_of_state_dict(_read_state_dict(Path(weights)), name=str(weights))
    return save_bundle(
        output,
        model,
        Subwords.load(subwords),
        source_lang=source_lang,
        target_lang=target_lang,
        dataset_fingerprint="imported",
        recipe_fingerprint="imported",
        training={"imported_from": Path(weights).name},
    )


def model_of_state_dict(state: Mapping[str, Tensor], *, name: str) -> SimpleSeq2SeqLSTM:
    """The model that a state dict belongs to, with its weights, in ``eval`` mode.

    Sizes, layers, attention and directions are read off the weights' names and shapes.

    Raises:
        InputError: a weight is missing, extra or of another shape; ``name`` stands in the message.
    """
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    n_layers = sum(key.startswith("decoder.weight_hh_l") for key in state)
    needed = ("src_embed.weight", "tgt_embed.weight", "decoder.weight_hh_l0", "output.weight")
    for key in needed:
        if len(shapes.get(key, ())) != 2:
            raise InputError(
                f"{name}: weight {key!r} is missing or no matrix; needs the state dict of a "
                "SimpleSeq2SeqLSTM"
            )
    config = Config(
        lstm_emb_dim=shapes["tgt_embed.weight"][1],
        lstm_hidden_dim=shapes["decoder.weight_hh_l0"][1],
        lstm_num_layers=n_layers,
        lstm_attention="attn_combine.weight" in state,
        lstm_attn_type="additive" if "attention.v.weight" in state else "dot",
        lstm_bidirectional="encoder.weight_hh_l0_reverse" in state,
    )
    model = SimpleSeq2SeqLSTM(
        shapes["src_embed.weight"][0], shapes["tgt_embed.weight"][0], config=config
    )
    expected = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    for key in sorted(expected.keys() | shapes.keys()):
        if key not in shapes:
            raise InputError(f"{name}: weight {key!r} is missing; needs {expected[key]}")
        if key not in expected:
            raise InputError(f"{name}: weight {key!r} is extra; this architecture has none")
        if shapes[key] != expected[key]:
            raise InputError(
                f"{name}: weight {key!r} is {shapes[key]}: the others ask for {expected[key]}"
            )
    model.load_state_dict(dict(state))
    return model.eval()


def _read_state_dict(path: Path) -> Mapping[str, Tensor]:
    try:
        values: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except Exception as error:  # by the place of the damage, nearly any
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(
            f"{path}: not a file of weights alone ({reason}); "
            "save model.state_dict() with torch.save"
        ) from error
    for key in _WRAPPERS:
        if isinstance(values, Mapping) and isinstance(values.get(key), Mapping):
            values = values[key]
            break
    if not (
        isinstance(values, Mapping)
        and values
        and all(isinstance(v, Tensor) and isinstance(k, str) for k, v in values.items())
    ):
        raise InputError(f"{path}: holds no state dict; save model.state_dict() with torch.save")
    return values
