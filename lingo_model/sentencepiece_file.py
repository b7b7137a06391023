"""Reads what SentencePiece's Python package does not show of a model file.

The file is a protobuf message, see sentencepiece_model.proto of SentencePiece.
"""

from __future__ import annotations

from collections.abc import Iterator

# Field numbers in sentencepiece_model.proto.
_NORMALIZER_SPEC_FIELD = 3
_NORMALIZER_NAME_FIELD = 1


def normalisation_rule(serialized: bytes) -> str:
    """The name of the rule by which a SentencePiece model normalises text.

    Args:
        serialized: content of a model file that SentencePiece can read.

    Returns:
        a name such as ``identity`` or ``nmt_nfkc``, or "" if the file has none.
    """
    name = ""
    for number, spec in _protobuf_bytes_fields(serialized):
        if number == _NORMALIZER_SPEC_FIELD:
            for inner_number, value in _protobuf_bytes_fields(spec):
                if inner_number == _NORMALIZER_NAME_FIELD:
                    name = value.decode()
    return name


def _protobuf_bytes_fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The number and value of each field of bytes, text or messages in a protobuf message.

    Reads the wire format, because the protobuf package is not a dependency. See "Encoding" in
    Google's documentation of protocol buffers.
    """
    position = 0
    while position < len(message):
        key, position = _protobuf_varint(message, position)
        match key & 7:
            case 0:  # a number of variable length
                _, position = _protobuf_varint(message, position)
            case 1:  # 8 bytes
                position += 8
            case 2:  # bytes after their length
                length, position = _protobuf_varint(message, position)
                yield key >> 3, message[position : position + length]
                position += length
            case 5:  # 4 bytes
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
