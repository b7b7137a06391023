"""Import of TorchLingo's models: their state dicts use the same weight names as this project."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lingo_model.bundle import save_bundle
from lingo_model.bundle_manifest import BundleManifest
from lingo_model.errors import InputError
from lingo_model.network.config import ModelConfig
from lingo_model.network.lstm import SimpleSeq2SeqLSTM
from lingo_model.subwords import Subwords

# Keys under which training loops save the weights when they save other values beside them.
_WEIGHT_KEYS = ("model_state_dict", "state_dict", "model")


def import_state_dict(
    weights: str | os.PathLike[str],
    subwords: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    source_lang: str,
    target_lang: str,
) -> BundleManifest:
    """Make a bundle from a saved state dict and the subword model that it was trained with.

    The file is read with ``weights_only=True``, so code in it is never executed.

    Args:
        weights: file that ``torch.save`` wrote: a state dict, or a mapping that contains one.
        subwords: SentencePiece model file.
        output: folder of the new bundle.
        source_lang: language tag of the source texts.
        target_lang: language tag of the translations.

    Returns:
        the manifest of the bundle.

    Raises:
        InputError: a file cannot be read, ``output`` exists, or a weight is missing, unexpected or
            has the wrong shape.
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
    """Build the model of a state dict, with its weights, in ``eval`` mode.

    The names and shapes of the weights determine sizes, layers, attention and directions.

    Args:
        state: the state dict.
        name: name of the file, for error messages.

    Raises:
        InputError: a weight is missing, unexpected or has the wrong shape.
    """
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    n_layers = sum(key.startswith("decoder.weight_hh_l") for key in state)
    needed = ("src_embed.weight", "tgt_embed.weight", "decoder.weight_hh_l0", "output.weight")
    for key in needed:
        if len(shapes.get(key, ())) != 2:
            raise InputError(
                f"{name}: weight {key!r} is missing or not a matrix; needs the state dict of a "
                "SimpleSeq2SeqLSTM"
            )
    config = ModelConfig(
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
            raise InputError(f"{name}: weight {key!r} is missing; needs shape {expected[key]}")
        if key not in expected:
            raise InputError(f"{name}: weight {key!r} is unexpected; this architecture has none")
        if shapes[key] != expected[key]:
            raise InputError(
                f"{name}: weight {key!r} has shape {shapes[key]}; the other weights need "
                f"{expected[key]}"
            )
    model.load_state_dict(dict(state))
    return model.eval()


def _read_state_dict(path: Path) -> Mapping[str, Tensor]:
    try:
        values: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except Exception as error:  # the type depends on where the file is damaged
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(
            f"{path}: not a file of weights only ({reason}); "
            "save model.state_dict() with torch.save"
        ) from error
    for key in _WEIGHT_KEYS:
        if isinstance(values, Mapping) and isinstance(values.get(key), Mapping):
            values = values[key]
            break
    if not (
        isinstance(values, Mapping)
        and values
        and all(isinstance(v, Tensor) and isinstance(k, str) for k, v in values.items())
    ):
        raise InputError(f"{path}: contains no state dict; save model.state_dict() with torch.save")
    return values
