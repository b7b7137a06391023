"""Reads what SentencePiece's Python package does not show of a model file.

The file is a protobuf message, see sentencepiece_model.proto of SentencePiece.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from typing import Literal

# Field numbers and values in sentencepiece_model.proto.
_PIECE_FIELD, _TRAINER_SPEC_FIELD, _NORMALIZER_SPEC_FIELD = 1, 2, 3
_PIECE_TEXT_FIELD, _PIECE_SCORE_FIELD, _PIECE_TYPE_FIELD = 1, 2, 3
_TRAINER_MODEL_TYPE_FIELD, _TRAINER_SPACE_SUFFIX_FIELD = 3, 24
_NORMALIZER_NAME_FIELD = 1
_NORMALIZER_SPACE_FIELDS = (3, 4, 5)  # dummy prefix, remove extra spaces, escape spaces
_ALGORITHMS: dict[int, Literal["unigram", "bpe"]] = {1: "unigram", 2: "bpe"}
_NORMAL, _USER_DEFINED, _UNUSED = 1, 4, 5

SPACE_MARK = "\u2581"
"""What SentencePiece writes for a space, also before the first word of a text."""


@dataclasses.dataclass(frozen=True)
class PieceTable:
    """The pieces of a model, and how it cuts a text into them.

    Args:
        algorithm: how the model chooses the pieces of a text; None for one that is not known here.
        encodes_words_apart: whether the ids of a text are those of its words, one after the other.
            It is so if no piece has a space within it, a run of spaces counts as one, and the space
            before each word is a piece of its own, so that unknown characters of two words are not
            joined to one ``<unk>``.
        texts: of the normal and the user-defined pieces.
        scores: of these pieces.
        user_defined: whether each of these pieces is user-defined.
    """

    algorithm: Literal["unigram", "bpe"] | None
    encodes_words_apart: bool
    texts: tuple[str, ...]
    scores: tuple[float, ...]
    user_defined: tuple[bool, ...]


def piece_table(serialized: bytes) -> PieceTable:
    """The pieces of a model file that SentencePiece can read."""
    pieces: list[tuple[str, float, bool]] = []
    algorithm = _ALGORITHMS.get(1)
    words_apart = True
    for number, value in _protobuf_fields(serialized):
        if not isinstance(value, bytes):
            continue
        if number == _PIECE_FIELD:
            fields = dict(_protobuf_fields(value))
            kind = fields.get(_PIECE_TYPE_FIELD, _NORMAL)
            text_field = fields.get(_PIECE_TEXT_FIELD)
            text = text_field.decode() if isinstance(text_field, bytes) else ""
            words_apart &= kind != _UNUSED
            if kind in (_NORMAL, _USER_DEFINED):
                words_apart &= " " not in text and SPACE_MARK not in text[1:]
                score = float(fields.get(_PIECE_SCORE_FIELD, 0.0))
                pieces.append((text, score, kind == _USER_DEFINED))
        elif number == _TRAINER_SPEC_FIELD:
            trainer = dict(_protobuf_fields(value))
            algorithm = _ALGORITHMS.get(int(trainer.get(_TRAINER_MODEL_TYPE_FIELD, 1)))
            words_apart &= not trainer.get(_TRAINER_SPACE_SUFFIX_FIELD, 0)
        elif number == _NORMALIZER_SPEC_FIELD:
            normalizer = dict(_protobuf_fields(value))
            words_apart &= all(normalizer.get(field, 1) for field in _NORMALIZER_SPACE_FIELDS)
    texts, scores, user_defined = zip(*pieces, strict=True) if pieces else ((), (), ())
    return PieceTable(algorithm, words_apart and SPACE_MARK in texts, texts, scores, user_defined)


def normalisation_rule(serialized: bytes) -> str:
    """The name of the rule by which a SentencePiece model normalises text.

    Args:
        serialized: content of a model file that SentencePiece can read.

    Returns:
        a name such as ``identity`` or ``nmt_nfkc``, or "" if the file has none.
    """
    name = ""
    for number, spec in _protobuf_fields(serialized):
        if number == _NORMALIZER_SPEC_FIELD and isinstance(spec, bytes):
            for inner_number, value in _protobuf_fields(spec):
                if inner_number == _NORMALIZER_NAME_FIELD and isinstance(value, bytes):
                    name = value.decode()
    return name


def _protobuf_fields(message: bytes) -> Iterator[tuple[int, bytes | int | float]]:
    """The number and value of each field of a protobuf message.

    Bytes, texts and messages are given as bytes, and 4 bytes as a float. Fields of 8 bytes are
    skipped, because SentencePiece has none. Reads the wire format, because the protobuf package is
    not a dependency. See "Encoding" in Google's documentation of protocol buffers.
    """
    position = 0
    while position < len(message):
        key, position = _protobuf_varint(message, position)
        match key & 7:
            case 0:  # a number of variable length
                number, position = _protobuf_varint(message, position)
                yield key >> 3, number
            case 1:  # 8 bytes
                position += 8
            case 2:  # bytes after their length
                length, position = _protobuf_varint(message, position)
                yield key >> 3, message[position : position + length]
                position += length
            case 5:  # 4 bytes
                yield key >> 3, struct.unpack_from("<f", message, position)[0]
                position += 4
            case wire_type:
                raise ValueError(f"protobuf wire type {wire_type}: needs one of 0, 1, 2, 5")


def _protobuf_varint(message: bytes, position: int) -> tuple[int, int]:
    """An integer of 7 bits a byte, least significant first, and the position after it."""
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, position
