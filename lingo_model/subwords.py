"""SentencePiece subwords (Kudo and Richardson 2018) with this project's special ids.

The special ids are defined in ``lingo_model/special_ids.py``, and the form of text that a model
reads in ``lingo_model/unicode_text.py``.
"""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import sentencepiece

from lingo_model.errors import InputError
from lingo_model.sentencepiece_file import normalisation_rule
from lingo_model.special_ids import EOS_ID, N_SPECIAL, PAD_ID, PLACEHOLDERS, SOS_ID, UNK_ID
from lingo_model.unicode_text import (
    DEFAULT_NORMALISATION,
    KnownCharacters,
    Normalisation,
    one_line_nfc,
    with_single_spaces,
)

# SentencePiece's rules for training. With "identity" this module normalises the text itself.
_RULE_OF_NORMALISATION: dict[Normalisation, str] = {"nfc": "identity", "nmt_nfkc": "nmt_nfkc"}

Algorithm = Literal["unigram", "bpe"]
"""How pieces are chosen. ``unigram`` takes the most probable segmentation of a text (Kudo 2018,
"Subword Regularization"). ``bpe`` joins frequent neighbours (Sennrich, Haddow and Birch 2016,
"Neural Machine Translation of Rare Words with Subword Units")."""

DEFAULT_ALGORITHM: Algorithm = "unigram"

MIN_CHARACTER_COVERAGE = 0.98
"""The smallest share of the text that SentencePiece's trainer accepts as character coverage."""

# The number of threads changes the order of float sums and with it the pieces. It is fixed so that
# every machine trains the same model.
_TRAINING_THREADS = 2
# SentencePiece skips sentences of more than 4,192 bytes, and its sums overflow if that limit is
# raised. Longer sentences are therefore cut. A character has at most 4 bytes.
_MAX_TRAINING_CHARACTERS = 1000
# Nothing is learned from a few examples. So the characters of the last ten-thousandth of the text
# get no piece, unless all characters together take few of the pieces.
_CHARACTER_COVERAGE = 0.9999
_MAX_SHARE_FOR_ALL_CHARACTERS = 1 / 4
# A character that is rarer than this is read as a related one, such as a no-break space as a space.
_MIN_SHARE_OF_RELATED_CHARACTERS = 1e-5
# The pieces of byte fallback.
_N_BYTES = 256
# SentencePiece skips sentences with this character, which it uses to mark unknown ones.
_RESERVED_CHARACTER = "\u2585"


class Subwords:
    """A joint subword model of both languages: text to ids and back, in batches.

    The model file holds the rule by which texts are normalised, so that a model always encodes as
    it was trained. ``normalises_nfc`` tells whether the rule is ``nfc`` of
    :data:`~lingo_model.unicode_text.Normalisation`. SentencePiece itself applies any other rule.

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
        self.normalises_nfc = normalisation_rule(serialized) == _RULE_OF_NORMALISATION["nfc"]
        self._known_characters = KnownCharacters(
            piece
            for piece in map(self._processor.IdToPiece, range(self.vocab_size))
            if len(piece) == 1
        )

    @classmethod
    def train(
        cls,
        sentences: Iterable[str],
        *,
        vocab_size: int,
        normalisation: Normalisation = DEFAULT_NORMALISATION,
        algorithm: Algorithm = DEFAULT_ALGORITHM,
        character_coverage: float | None = None,
        byte_fallback: bool = False,
        split_digits: bool = False,
    ) -> Subwords:
        """Train a model.

        Args:
            sentences: sentences of both languages, of any length. They are held in memory, and
                models do not gain from more than a few millions.
            vocab_size: maximum number of pieces, special ids included; a small corpus gives fewer.
            normalisation: what happens to a text before it is encoded.
            algorithm: how pieces are chosen.
            character_coverage: the share of the text whose characters get a piece each, from 0.98
                to 1. None: 1 if the characters are at most a quarter of ``vocab_size``, else
                0.9999.
            byte_fallback: whether a character without a piece is spelled by its bytes, which take
                256 of the pieces, and not read as ``<unk>``.
            split_digits: whether each digit is a piece of its own.

        Raises:
            InputError: ``vocab_size`` is too small for the special ids or for the characters of
                the sentences, there is no sentence with text, or another argument is not allowed.
        """
        if vocab_size <= N_SPECIAL:
            raise InputError(
                f"vocab_size={vocab_size}: needs more than the {N_SPECIAL} special ids"
            )
        _check_is_one_of("normalisation", normalisation, get_args(Normalisation))
        _check_is_one_of("algorithm", algorithm, get_args(Algorithm))
        if character_coverage is not None and not MIN_CHARACTER_COVERAGE <= character_coverage <= 1:
            raise InputError(
                f"character_coverage={character_coverage}: needs {MIN_CHARACTER_COVERAGE} to 1"
            )
        texts = list(_training_texts(sentences, normalisation))
        if normalisation == "nfc":
            texts = _without_rare_relatives(texts)
        if not texts:
            raise InputError(
                "there is no sentence with text to train the subword model on; check the corpus"
            )
        coverage = character_coverage or _character_coverage(texts, vocab_size, normalisation)
        # The model file holds the options that are given, also those of the trainer's defaults.
        # Without them, equal settings give the same file as in earlier releases.
        switches = {"byte_fallback": byte_fallback, "split_digits": split_digits}
        switched_on: dict[str, Any] = {name: True for name, is_on in switches.items() if is_on}
        model = io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.Train(
                sentence_iterator=iter(texts),
                model_writer=model,
                model_type=algorithm,
                normalization_rule_name=_RULE_OF_NORMALISATION[normalisation],
                vocab_size=vocab_size,
                hard_vocab_limit=False,
                character_coverage=coverage,
                **switched_on,
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
            n_reserved = N_SPECIAL + (_N_BYTES if byte_fallback else 0)
            remedies = _remedies(texts, vocab_size - n_reserved, coverage, byte_fallback)
            raise InputError(_training_failure(error, vocab_size, remedies)) from error
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
        """Encode each text as piece ids, without sos and eos.

        Runs of spaces count as one. With the normalisation ``nfc``, a character that the model does
        not know is read as a related one that it knows, if there is one; see
        :class:`~lingo_model.unicode_text.KnownCharacters`.
        """
        return self.encode_read(self.as_read(texts))

    def as_read(self, texts: Sequence[str]) -> list[str]:
        """The form in which the model reads each text. Spaces stay as they are."""
        return self._known_characters.as_read(texts) if self.normalises_nfc else list(texts)

    def encode_read(self, texts: list[str]) -> list[list[int]]:
        """Encode texts in the form of :meth:`as_read` as piece ids, without sos and eos."""
        return self._processor.Encode(texts, out_type=int, num_threads=1)  # type: ignore[no-any-return]

    @property
    def plain_characters(self) -> str:
        """The characters beyond ASCII that ``nfc`` leaves as they are in any text."""
        return self._known_characters.plain

    def changed(self, texts: Sequence[str]) -> list[tuple[str, str]]:
        """The texts that encoding and decoding change, each with what it becomes.

        A model can write none of them. Normal forms, runs of spaces and line breaks do not count,
        because no score counts them.
        """
        return [
            (text, decoded)
            for text, decoded in zip(texts, self.decode(self.encode(texts)), strict=True)
            if decoded != text and decoded != with_single_spaces(text)
        ]

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Decode each row of ids as text; pad, sos and eos are skipped."""
        rows = [list(row) for row in ids]
        # SentencePiece reads an empty list as one empty row and would return one text.
        return self._processor.Decode(rows, num_threads=1) if rows else []


def _training_texts(sentences: Iterable[str], normalisation: Normalisation) -> Iterator[str]:
    """The sentences as the trainer reads them: long ones in parts, and no empty ones."""
    for sentence in sentences:
        text = one_line_nfc(sentence) if normalisation == "nfc" else sentence
        text = text.replace(_RESERVED_CHARACTER, " ")
        while len(text) > _MAX_TRAINING_CHARACTERS:
            end = text.rfind(" ", 1, _MAX_TRAINING_CHARACTERS)
            end = end if end > 0 else _MAX_TRAINING_CHARACTERS
            yield text[:end]
            text = text[end:]
        if text.strip():
            yield text


def _without_rare_relatives(texts: list[str]) -> list[str]:
    """The texts with each rare character replaced by a related one that is frequent."""
    counts: Counter[str] = Counter()
    for text in texts:
        if not text.isascii():
            counts.update(text)
    min_count = _MIN_SHARE_OF_RELATED_CHARACTERS * sum(map(len, texts))
    frequent = (character for character, n in counts.items() if n >= min_count)
    return KnownCharacters([*map(chr, range(0x7F)), *frequent]).as_read(texts)


def _character_coverage(texts: list[str], vocab_size: int, normalisation: Normalisation) -> float:
    """The share of the text whose characters get a piece each, if the caller does not give one."""
    if normalisation != "nfc":
        return _CHARACTER_COVERAGE
    n_characters = len(set().union(*texts))
    has_room = n_characters <= _MAX_SHARE_FOR_ALL_CHARACTERS * vocab_size
    return 1.0 if has_room else _CHARACTER_COVERAGE


def _check_is_one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise InputError(f"{name}={value!r}: needs one of {', '.join(allowed)}")


def _remedies(texts: list[str], n_places: int, coverage: float, byte_fallback: bool) -> str:
    """What helps if the text has more characters than there are places for pieces."""
    counts = Counter(character for text in texts for character in text if character != " ")
    n_covered = sum(n for _, n in counts.most_common(max(0, n_places - 1)))  # 1 for the space
    # Rounded down, because a coverage that is too large asks for one more character.
    fitting = math.floor(n_covered / max(1, counts.total()) * 10_000 - 1) / 10_000
    if not MIN_CHARACTER_COVERAGE <= fitting < coverage:
        return "increase subwords.vocab_size"
    remedy = (
        "increase subwords.vocab_size, or set "
        f"subwords.character_coverage={fitting}, which leaves out the rarest characters"
    )
    return remedy if byte_fallback else f"{remedy} (subwords.byte_fallback can still spell them)"


def _training_failure(error: RuntimeError, vocab_size: int, remedies: str) -> str:
    """A message for an error of the trainer, whose own words name options that we do not have."""
    reason = " ".join(str(error).split())
    if sizes := re.search(r"smaller than required_chars\W+(\d+) vs (\d+)", reason):
        return (
            f"vocab_size={vocab_size}: the text needs {int(sizes[2]):,} or more, for its "
            f"characters and the special ids; {remedies}"
        )
    return (
        f"vocab_size={vocab_size}: training the subwords failed ({reason}); "
        "change subwords.vocab_size"
    )
