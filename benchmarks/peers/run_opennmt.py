"""OpenNMT-py in its own environment: training, copying a bundle's weights, and conversion.

python run_opennmt.py FOLDER train CONFIG | copy-weights BUNDLE | to-ctranslate2
"""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

# Transforms that are not used here import these packages.
for name in ("spacy", "fasttext"):
    sys.modules[name] = types.ModuleType(name)

import torch  # noqa: E402


def main() -> None:
    folder, command, arguments = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
    if command == "train":
        from onmt.bin.train import main as train

        sys.argv = ["onmt_train", "-config", arguments[0]]
        train()
    elif command == "copy-weights":
        copy_weights(folder, Path(arguments[0]))
    elif command == "to-ctranslate2":
        from ctranslate2.converters import OpenNMTPyConverter

        newest = max(folder.glob("model_step_*.pt"), key=lambda path: path.stat().st_mtime)
        trust_own_checkpoints()
        OpenNMTPyConverter(str(newest)).convert(
            str(folder / "ct2"), quantization="int8", force=True
        )


def trust_own_checkpoints() -> None:
    """Let torch.load unpickle the settings in OpenNMT-py's checkpoints, which are written here."""
    load = torch.load
    torch.load = lambda *a, **k: load(*a, **{**k, "weights_only": False})


def copy_weights(folder: Path, bundle: Path) -> None:
    """Put a bundle's weights into an untrained checkpoint, in its names and order of tokens."""
    import sentencepiece
    from safetensors.torch import load_file

    trust_own_checkpoints()
    checkpoint: dict[str, Any] = torch.load(folder / "untrained_step_1.pt", map_location="cpu")
    weights = load_file(bundle / "weights.safetensors")
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(bundle / "subwords.model"))
    special = {"<unk>": 1, "<blank>": 0, "<s>": 2, "</s>": 3}
    rows = {
        side: torch.tensor([special.get(t, pieces.piece_to_id(t)) for t in tokens])
        for side, tokens in checkpoint["vocab"].items()
        if side in ("src", "tgt")
    }
    table = "embeddings.make_embedding.emb_luts.0.weight"
    renamed = {
        f"encoder.{table}": weights["src_embed.weight"][rows["src"]],
        f"decoder.{table}": weights["tgt_embed.weight"][rows["tgt"]],
    }
    for part in ("encoder", "decoder"):
        for key, value in weights.items():
            if key.startswith(f"{part}."):
                renamed[f"{part}.rnn.{key.removeprefix(part + '.')}"] = value
    if "attn_combine.weight" in weights:
        renamed["decoder.attn.linear_out.weight"] = weights["attn_combine.weight"]
    model, generator = checkpoint["model"], checkpoint["generator"]
    assert renamed.keys() == model.keys(), renamed.keys() ^ model.keys()
    for key, value in renamed.items():
        assert model[key].shape == value.shape, key
        model[key] = value
    generator["weight"], generator["bias"] = (
        weights["output.weight"][rows["tgt"]],
        weights["output.bias"][rows["tgt"]],
    )
    torch.save(checkpoint, folder / "model.pt")


if __name__ == "__main__":
    main()
