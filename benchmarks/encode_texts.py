"""How many sentences a second become subword ids, on one core.

Compares SentencePiece, text by text, with the encoder of ``lingo prepare``, which encodes each
different word once. The encoder runs twice: the second time, it knows all words, as it does after
the first million sentences of a corpus. All ids are compared.

Run: ``python benchmarks/encode_texts.py train.en.gz train.de.gz``
"""

from __future__ import annotations

import argparse
import gzip
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from lingo_model import Subwords
from lingo_model.word_encoder import EncodedTexts, Utf8Texts, WordEncoder

T = TypeVar("T")
_BATCH_SIZE = 8192
_TRAINING_TEXTS = 50_000


def main() -> None:
    """Read the files, encode their lines and print the rates."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("files", nargs="+", type=Path, help="texts, one on each line")
    parser.add_argument("--vocab-size", type=int, default=8000)
    options = parser.parse_args()
    texts = [line for file in options.files for line in _lines(file)]
    step = max(1, len(texts) // _TRAINING_TEXTS)
    subwords = Subwords.train(texts[::step], vocab_size=options.vocab_size)
    encoder = WordEncoder(subwords)
    if not encoder.is_compiled:
        raise SystemExit("lingo_model/native/words.cpp is not built; install the package again")
    batches = [
        Utf8Texts.of(texts[start : start + _BATCH_SIZE])
        for start in range(0, len(texts), _BATCH_SIZE)
    ]
    print(f"{len(texts):,} texts, {subwords.vocab_size:,} pieces")
    rows = _timed("SentencePiece", len(texts), lambda: subwords.encode(texts))
    expected = np.concatenate([np.array(ids, np.int32) for ids in rows])
    for name in ("by words, none known", "by words, all known"):
        encoded: list[EncodedTexts] = _timed(
            name, len(texts), lambda: [encoder.encode(batch) for batch in batches]
        )
        n_differing = int((np.concatenate([batch.ids for batch in encoded]) != expected).sum())
        print(f"{'':24}{n_differing} ids differ")


def _timed(name: str, n_texts: int, encode: Callable[[], T]) -> T:
    started = time.process_time()
    result = encode()
    print(f"{name:24}{n_texts / (time.process_time() - started):>12,.0f} sentences/s")
    return result


def _lines(file: Path) -> list[str]:
    content = file.read_bytes()
    content = gzip.decompress(content) if file.suffix == ".gz" else content
    return content.decode(errors="replace").splitlines()


if __name__ == "__main__":
    main()
