"""SentencePiece subwords (Kudo and Richardson 2018) with this project's special ids.

Ids of every model: pad 0, unk 1, sos 2, eos 3, then ten placeholder symbols ``<ph0>`` to
``<ph9>`` (ids 4 to 13) that stand for markup and variables and are never split.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
from collections.abc import Iterable, Sequence
from pathlib import Path

import sentencepiece

from lingo_model.errors import InputError

PAD_ID, UNK_ID, SOS_ID, EOS_ID = 0, 1, 2, 3
PLACEHOLDERS = tuple(f"<ph{i}>" for i in range(10))
N_SPECIAL = 4 + len(PLACEHOLDERS)

# SentencePiece keeps its training sentences in memory; unigram models do not gain from more.
_MAX_TRAINING_SENTENCES = 2_000_000
# The count of threads changes the order of float sums, hence the pieces: fixed, not the machine's.
_TRAINING_THREADS = 2


class Subwords:
    """A joint subword model of both languages: text to ids and back, in batches.

    Raises:
        InputError: ``serialized`` is no SentencePiece model, or its special ids differ.
    """

    def __init__(self, serialized: bytes, *, name: str = "subwords.model") -> None:
        self._serialized = serialized
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(serialized)
        except RuntimeError as error:
            raise InputError(f"{name}: not a SentencePiece model; prepare the dataset again") from (
                error
            )
        found = [self._processor.IdToPiece(i) for i in range(4, min(N_SPECIAL, self.vocab_size))]
        ids = (
            self._processor.pad_id(),
            self._processor.unk_id(),
            self._processor.bos_id(),
            self._processor.eos_id(),
        )
        if ids != (PAD_ID, UNK_ID, SOS_ID, EOS_ID) or tuple(found) != PLACEHOLDERS:
            raise InputError(
                f"{name}: pad, unk, sos, eos are {ids} and the next pieces {found}: needs "
                f"(0, 1, 2, 3) and {PLACEHOLDERS[0]} to {PLACEHOLDERS[-1]}; "
                "train it with `lingo prepare`"
            )

    @classmethod
    def train(cls, sentences: Iterable[str], *, vocab_size: int, seed: int = 0) -> Subwords:
        """Train a unigram model on ``sentences`` of both languages.

        Args:
            vocab_size: pieces at most, special ones included; a small corpus gives fewer.
            seed: which sentences are drawn where there are over two million.

        Raises:
            InputError: the sentences have more different characters than ``vocab_size``.
        """
        if vocab_size <= N_SPECIAL:
            raise InputError(
                f"vocab_size={vocab_size}: needs more than the {N_SPECIAL} special ids"
            )
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.Train(
                sentence_iterator=iter(_sample(sentences, seed=seed)),
                model_writer=model,
                model_type="unigram",
                vocab_size=vocab_size,
                hard_vocab_limit=False,
                character_coverage=0.9999,
                pad_id=PAD_ID,
                unk_id=UNK_ID,
                bos_id=SOS_ID,
                eos_id=EOS_ID,
                pad_piece="<pad>",
                unk_piece="<unk>",
                bos_piece="<sos>",
                eos_piece="<eos>",
                user_defined_symbols=list(PLACEHOLDERS),
                num_threads=_TRAINING_THREADS,
                minloglevel=2,
            )
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"subwords could not be trained with vocab_size={vocab_size}: {reason}; "
                "set another subwords.vocab_size"
            ) from error
        return cls(model.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Subwords:
        """Read a model file.

        Raises:
            InputError: no such file, or not a model of this project.
        """
        try:
            serialized = Path(path).read_bytes()
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        return cls(serialized, name=str(path))

    def to_bytes(self) -> bytes:
        """The model file's content."""
        return self._serialized

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the model file, hexadecimal."""
        return hashlib.sha256(self._serialized).hexdigest()

    @property
    def vocab_size(self) -> int:
        """Number of pieces, special ones included."""
        return int(self._processor.GetPieceSize())

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Piece ids of each text, without sos and eos."""
        return self._processor.Encode(list(texts), out_type=int, num_threads=1)  # type: ignore[no-any-return]

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Text of each row of ids; pad, sos and eos give nothing."""
        rows = [list(row) for row in ids]
        # SentencePiece takes no rows for one row without ids, and gives a text for it.
        return self._processor.Decode(rows, num_threads=1) if rows else []


def _sample(sentences: Iterable[str], *, seed: int) -> list[str]:
    """As many sentences as training takes, drawn evenly (Vitter 1985, algorithm R).

    SentencePiece's own drawing follows no seed.
    """
    rng = random.Random(seed)
    sample: list[str] = []
    for n_seen, sentence in enumerate(sentences, start=1):
        if n_seen <= _MAX_TRAINING_SENTENCES:
            sample.append(sentence)
        elif (slot := rng.randrange(n_seen)) < _MAX_TRAINING_SENTENCES:
            sample[slot] = sentence
    return sample
