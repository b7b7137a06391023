"""TorchLingo's translate_batch on a bundle's weights: one contestant of benchmarks/decode.py.

    python decode_torchlingo.py BUNDLE TEXTS OUTPUT BATCH_SIZE

Prints one line of JSON. The package has the licence AGPL: it runs in this process only, and no part
of it belongs to this project.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import sentencepiece
import torch
from safetensors.torch import load_file
from torchlingo.config import Config
from torchlingo.inference import translate_batch
from torchlingo.models import SimpleSeq2SeqLSTM


class PieceVocab:
    """The methods of a vocabulary that translate_batch calls, on a bundle's SentencePiece model."""

    pad_idx, unk_idx, sos_idx, eos_idx = 0, 1, 2, 3

    def __init__(self, path: Path) -> None:
        self._pieces = sentencepiece.SentencePieceProcessor(model_file=str(path))

    def __len__(self) -> int:
        return int(self._pieces.get_piece_size())

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]:
        return [*self._pieces.encode(text), self.eos_idx]

    def decode(self, ids: list[int], skip_special_tokens: bool = True) -> str:
        ids = ids[: ids.index(self.eos_idx)] if self.eos_idx in ids else ids
        return str(self._pieces.decode([i for i in ids if i > self.eos_idx]))


def main() -> None:
    bundle, texts, output = map(Path, sys.argv[1:4])
    torch.set_num_threads(1)
    manifest = json.loads((bundle / "bundle.json").read_text())
    settings = manifest["config"]
    vocab = PieceVocab(bundle / "subwords.model")
    attention = settings["lstm_attention"]
    options = {"attention": True, "attn_type": settings["lstm_attn_type"]} if attention else {}
    model = SimpleSeq2SeqLSTM(
        len(vocab),
        len(vocab),
        emb_dim=settings["lstm_emb_dim"],
        hidden_dim=settings["lstm_hidden_dim"],
        num_layers=settings["lstm_num_layers"],
        **options,
    )
    model.load_state_dict(load_file(bundle / "weights.safetensors"))
    model.eval()
    lines = texts.read_text(encoding="utf-8").splitlines()
    config = Config(batch_size=int(sys.argv[4]))
    translate = lambda part: translate_batch(model, part, vocab, vocab, max_len=60, config=config)  # noqa: E731
    translate(lines[:64])
    started = time.perf_counter()
    translations = translate(lines)
    seconds = time.perf_counter() - started
    output.write_text("\n".join(translations) + "\n", encoding="utf-8")
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "peak_mb": peak_mb}))


if __name__ == "__main__":
    main()
