"""SentencePiece subwords (Kudo and Richardson 2018) with this project's special ids.

The special ids are defined in ``lingo_model/special_ids.py``.
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
from lingo_model.special_ids import EOS_ID, N_SPECIAL, PAD_ID, PLACEHOLDERS, SOS_ID, UNK_ID

# SentencePiece keeps its training sentences in memory, and unigram models do not gain from more.
_MAX_TRAINING_SENTENCES = 2_000_000
# The number of threads changes the order of float sums and with it the pieces. It is fixed so that
# every machine trains the same model.
_TRAINING_THREADS = 2


class Subwords:
    """A joint subword model of both languages: text to ids and back, in batches.

    Args:
        serialized: content of a SentencePiece model file.
        name: name of the file, for error messages.

    Raises:
        InputError: ``serialized`` is not a SentencePiece model, or its special ids differ.
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
        placeholders = [
            self._processor.IdToPiece(i) for i in range(4, min(N_SPECIAL, self.vocab_size))
        ]
        ids = (
            self._processor.pad_id(),
            self._processor.unk_id(),
            self._processor.bos_id(),
            self._processor.eos_id(),
        )
        if ids != (PAD_ID, UNK_ID, SOS_ID, EOS_ID) or tuple(placeholders) != PLACEHOLDERS:
            raise InputError(
                f"{name}: ids of pad, unk, sos and eos are {ids} and the next pieces are "
                f"{placeholders}; needs (0, 1, 2, 3) and {PLACEHOLDERS[0]} to "
                f"{PLACEHOLDERS[-1]}; train the subwords with `lingo prepare`"
            )

    @classmethod
    def train(cls, sentences: Iterable[str], *, vocab_size: int, seed: int = 0) -> Subwords:
        """Train a unigram model.

        Args:
            sentences: sentences of both languages.
            vocab_size: maximum number of pieces, special ids included; a small corpus gives fewer.
            seed: decides which sentences are sampled if there are more than two million.

        Raises:
            InputError: ``vocab_size`` is too small for the special ids or for the characters of
                the sentences, or there are no sentences.
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
                f"vocab_size={vocab_size}: training the subwords failed ({reason}); "
                "change subwords.vocab_size"
            ) from error
        return cls(model.getvalue())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Subwords:
        """Read a model file.

        Raises:
            InputError: the file cannot be read, or is not a model of this project.
        """
        try:
            serialized = Path(path).read_bytes()
        except OSError as error:
            raise InputError(
                f"{path}: cannot be read ({error.strerror}); check the path"
            ) from error
        return cls(serialized, name=str(path))

    def to_bytes(self) -> bytes:
        """Content of the model file."""
        return self._serialized

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the model file, hexadecimal."""
        return hashlib.sha256(self._serialized).hexdigest()

    @property
    def vocab_size(self) -> int:
        """Number of pieces, special ids included."""
        return int(self._processor.GetPieceSize())

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Encode each text as piece ids, without sos and eos."""
        return self._processor.Encode(list(texts), out_type=int, num_threads=1)  # type: ignore[no-any-return]

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Decode each row of ids as text; pad, sos and eos are skipped."""
        rows = [list(row) for row in ids]
        # SentencePiece reads an empty list as one empty row and would return one text.
        return self._processor.Decode(rows, num_threads=1) if rows else []


def _sample(sentences: Iterable[str], *, seed: int) -> list[str]:
    """Sample the sentences to train on uniformly (Vitter 1985, algorithm R).

    SentencePiece's own sampling has no seed.
    """
    rng = random.Random(seed)
    sample: list[str] = []
    for n_seen, sentence in enumerate(sentences, start=1):
        if n_seen <= _MAX_TRAINING_SENTENCES:
            sample.append(sentence)
        elif (slot := rng.randrange(n_seen)) < _MAX_TRAINING_SENTENCES:
            sample[slot] = sentence
    return sample
