"""Text to ids for whole corpora: each different word is encoded once.

:meth:`Subwords.encode` gives the same ids. It is the simpler choice where few texts are encoded.
The compiled part is ``native/words.cpp``. Without it, all texts take the way of
:meth:`Subwords.encode`.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import itertools
import weakref
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lingo_model.sentencepiece_file import (
    SPACE_MARK,
    PieceTable,
    normalisation_rule,
    piece_table,
)
from lingo_model.special_ids import UNK_ID
from lingo_model.subwords import Subwords

# The memory of known words is emptied before it has more words or bytes than this. They take some
# 80 MB, with their ids.
_MAX_WORDS = 1 << 20
_MAX_WORD_BYTES = 1 << 25
# Compatibility normalisation keeps printable ASCII. A model with a rule that is not here may change
# anything.
_RULES_THAT_KEEP_ASCII = ("identity", "nmt_nfkc", "nfkc")
_PRINTABLE_ASCII = range(0x20, 0x7F)

_SURE, _NOT_PLAIN, _UNSURE = 0, 1, 2  # RowStatus in native/words.cpp

_INT, _LONG, _POINTER = ctypes.c_int32, ctypes.c_int64, ctypes.c_void_p
# The type of the result, and those of the arguments.
_FUNCTIONS: dict[str, tuple[object, tuple[object, ...]]] = {
    "lingo_words_new": (_POINTER, (_LONG, *[_POINTER] * 5, _INT)),
    "lingo_words_free": (None, (_POINTER,)),
    "lingo_words_clear": (None, (_POINTER,)),
    "lingo_words_count": (_LONG, (_POINTER,)),
    "lingo_words_bytes": (_LONG, (_POINTER,)),
    "lingo_words_split": (_LONG, (_POINTER, _LONG, *[_POINTER] * 4)),
    "lingo_words_spell": (_POINTER, (_POINTER, _LONG, _POINTER)),
    "lingo_words_fill": (None, (_POINTER, _LONG, _POINTER, _POINTER)),
    "lingo_words_measure": (None, (_POINTER, _LONG, _POINTER, _POINTER, _INT, _POINTER, _POINTER)),
    "lingo_words_gather": (None, (_POINTER, _LONG, *[_POINTER] * 3, _INT, _POINTER)),
}


class EncodedTexts(NamedTuple):
    """The ids of some texts.

    Args:
        ids: int32, of all texts, one after the other.
        lengths: int32, the number of ids of each text.
        is_spelled: bool, whether the ids of each text surely spell it, so that decoding gives the
            text again, except for runs of spaces. :meth:`Subwords.changed` looks at the others.
    """

    ids: npt.NDArray[np.int32]
    lengths: npt.NDArray[np.int32]
    is_spelled: npt.NDArray[np.bool_]


class Utf8Texts(NamedTuple):
    """Some texts as Arrow holds them.

    Args:
        data: uint8, valid UTF-8.
        offsets: int64, where each text begins in ``data``, and where the last one ends.
    """

    data: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]

    @classmethod
    def of(cls, texts: Sequence[str]) -> Utf8Texts:
        """The texts in UTF-8."""
        encoded = [text.encode() for text in texts]
        return cls(np.frombuffer(b"".join(encoded), np.uint8), _offsets(map(len, encoded)))

    def strings(self, rows: npt.NDArray[np.int64]) -> list[str]:
        """Some of the texts."""
        data = np.ascontiguousarray(self.data).data
        starts, stops = self.offsets[rows].tolist(), self.offsets[rows + 1].tolist()
        return [str(data[start:stop], "utf-8") for start, stop in zip(starts, stops, strict=True)]


class WordEncoder:
    """Encodes many texts of a corpus. The ids are those of :meth:`Subwords.encode`.

    It keeps the words that it has met, in at most some 80 MB. It is for one thread.

    Args:
        subwords: the subword model.
    """

    def __init__(self, subwords: Subwords) -> None:
        self._subwords = subwords
        self._words = _new_words(subwords)

    @property
    def is_compiled(self) -> bool:
        """Whether words are looked up. If not, each text is encoded by SentencePiece."""
        return self._words is not None

    def encode(
        self, texts: Sequence[str] | Utf8Texts, *, end_id: int | None = None
    ) -> EncodedTexts:
        """Encode texts.

        Args:
            texts: the texts.
            end_id: an id that follows those of each text, such as eos.
        """
        utf8 = texts if isinstance(texts, Utf8Texts) else Utf8Texts.of(texts)
        n_texts = len(utf8.offsets) - 1
        if self._words is None:
            encoded = self._encode_apart(utf8.strings(np.arange(n_texts)), end_id)
        else:
            encoded, status = self._words.encode(utf8, is_read=False, end_id=end_id)
            rows = np.flatnonzero(status != _SURE)
            if len(rows):
                encoded = _merged(encoded, rows, self._encode_apart(utf8.strings(rows), end_id))
        ends = np.cumsum(encoded.lengths, dtype=np.int64)
        has_unknown = np.searchsorted(ends, np.flatnonzero(encoded.ids == UNK_ID), "right")
        encoded.is_spelled[has_unknown] = False
        return encoded

    def _encode_apart(self, texts: list[str], end_id: int | None) -> EncodedTexts:
        """Encode texts that are not plain, or not sure."""
        read = self._subwords.as_read(texts)
        if self._words is None or not self._subwords.normalises_nfc:
            encoded = self._by_sentencepiece(read, end_id)
        else:
            encoded, status = self._words.encode(Utf8Texts.of(read), is_read=True, end_id=end_id)
            rows = np.flatnonzero(status != _SURE)
            if len(rows):
                others = self._by_sentencepiece([read[row] for row in rows], end_id)
                encoded = _merged(encoded, rows, others)
        is_same = self._subwords.normalises_nfc
        encoded.is_spelled[:] = [
            is_same and text == as_read and SPACE_MARK not in text
            for text, as_read in zip(texts, read, strict=True)
        ]
        return encoded

    def _by_sentencepiece(self, read: list[str], end_id: int | None) -> EncodedTexts:
        rows = self._subwords.encode_read(read)
        if end_id is not None:
            for ids in rows:
                ids.append(end_id)
        return _flat(rows)


class _Words:
    """The words of native/words.cpp.

    Args:
        library: the compiled functions.
        subwords: encodes new words.
        table: its pieces.
    """

    def __init__(self, library: ctypes.CDLL, subwords: Subwords, table: PieceTable) -> None:
        self._library = library
        self._subwords = subwords
        pieces = Utf8Texts.of(table.texts)
        plain = np.zeros(0x110000, np.uint8)
        plain[_plain_codes(subwords)] = 1
        scores = np.array(table.scores, np.float32)
        user_defined = np.array(table.user_defined, np.uint8)
        plain_bits = np.packbits(plain, bitorder="little")
        self._handle = library.lingo_words_new(
            len(table.texts),
            *(_address(a) for a in (*pieces, scores, user_defined, plain_bits)),
            table.algorithm == "unigram",
        )
        self._free = weakref.finalize(self, library.lingo_words_free, self._handle)

    def encode(
        self, texts: Utf8Texts, *, is_read: bool, end_id: int | None
    ) -> tuple[EncodedTexts, npt.NDArray[np.uint8]]:
        """Encode texts by their words.

        Args:
            texts: the texts.
            is_read: whether they are already in the form of :meth:`Subwords.as_read`.
            end_id: an id that follows those of each text.

        Returns:
            the ids, and the status of each text. A text that is not sure has no ids.
        """
        data = np.ascontiguousarray(texts.data, np.uint8)
        offsets = np.ascontiguousarray(texts.offsets, np.int64)
        n_rows = len(offsets) - 1
        if not is_read:  # these follow others of the same batch
            self._forget_if_full()
        numbers = np.empty((int(offsets[-1] - offsets[0]) + n_rows) // 2 + 1, np.int32)
        n_words = np.empty(n_rows, np.int32)
        n_known = self.n_words
        self._call("split", n_rows, data, offsets, numbers, n_words)
        self._learn(n_known)
        lengths, status = np.empty(n_rows, np.int32), np.empty(n_rows, np.uint8)
        self._call("measure", n_rows, numbers, n_words, is_read, lengths, status)
        if end_id is not None:
            lengths += status == _SURE
        ids = np.empty(int(lengths.sum(dtype=np.int64)), np.int32)
        last = -1 if end_id is None else end_id
        self._call("gather", n_rows, numbers, n_words, status, last, ids)
        return EncodedTexts(ids, lengths, status == _SURE), status

    @property
    def n_words(self) -> int:
        """The number of known words."""
        return int(self._library.lingo_words_count(self._handle))

    def _forget_if_full(self) -> None:
        n_bytes = self._library.lingo_words_bytes(self._handle)
        if self.n_words > _MAX_WORDS or n_bytes > _MAX_WORD_BYTES:
            self._library.lingo_words_clear(self._handle)

    def _learn(self, first: int) -> None:
        """Encode the words from ``first`` on, which are new."""
        n_new = self.n_words - first
        if not n_new:
            return
        offsets = np.empty(n_new + 1, np.int64)
        start = self._library.lingo_words_spell(self._handle, first, _address(offsets))
        data = np.frombuffer(ctypes.string_at(start, int(offsets[-1])), np.uint8)
        words = Utf8Texts(data, offsets).strings(np.arange(n_new))
        is_filled = False
        try:
            encoded = _flat(self._subwords.encode_read(words))
            self._call("fill", first, encoded.ids, encoded.lengths)
            is_filled = True
        finally:
            if not is_filled:  # interrupted: no word may stay without its ids
                self._library.lingo_words_clear(self._handle)

    def _call(self, name: str, *arguments: int | npt.NDArray[np.generic]) -> None:
        function = getattr(self._library, f"lingo_words_{name}")
        values = (a if isinstance(a, int) else _address(a) for a in arguments)
        function(self._handle, *values)


def _new_words(subwords: Subwords) -> _Words | None:
    """The memory of words, or None if the model or this machine cannot have one."""
    library = _library()
    if library is None or normalisation_rule(subwords.to_bytes()) not in _RULES_THAT_KEEP_ASCII:
        return None
    table = piece_table(subwords.to_bytes())
    if table.algorithm is None or not table.encodes_words_apart:
        return None
    return _Words(library, subwords, table)


@functools.cache
def _library() -> ctypes.CDLL | None:
    spec = importlib.util.find_spec("lingo_model._words")
    if spec is None or spec.origin is None:
        return None
    library = ctypes.CDLL(spec.origin)
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name, None)
        if function is None:
            raise ImportError(
                f"{spec.origin}: the function {name} is missing, so the library was built from "
                "other sources; install the package again"
            )
        function.restype, function.argtypes = result, arguments
    return library


def _plain_codes(subwords: Subwords) -> list[int]:
    """The code points that the model reads as they are, wherever they stand in a text."""
    others = map(ord, subwords.plain_characters) if subwords.normalises_nfc else ()
    return [*_PRINTABLE_ASCII, *others]


def _merged(
    encoded: EncodedTexts, rows: npt.NDArray[np.int64], others: EncodedTexts
) -> EncodedTexts:
    """The ids of all texts, where some of them were encoded in another way.

    Args:
        encoded: of all texts, without ids in ``rows``.
        rows: numbers of the other texts, ascending.
        others: of the other texts.
    """
    is_other = np.zeros(len(encoded.lengths), np.bool_)
    is_other[rows] = True
    lengths = encoded.lengths.copy()
    lengths[rows] = others.lengths
    of_other = np.repeat(is_other, lengths)
    ids = np.empty(len(of_other), np.int32)
    ids[of_other] = others.ids
    ids[~of_other] = encoded.ids
    is_spelled = encoded.is_spelled.copy()
    is_spelled[rows] = others.is_spelled
    return EncodedTexts(ids, lengths, is_spelled)


def _flat(rows: list[list[int]]) -> EncodedTexts:
    return EncodedTexts(
        np.fromiter(itertools.chain.from_iterable(rows), np.int32),
        np.fromiter(map(len, rows), np.int32, len(rows)),
        np.zeros(len(rows), np.bool_),
    )


def _offsets(lengths: Iterable[int]) -> npt.NDArray[np.int64]:
    return np.fromiter(itertools.accumulate(lengths, initial=0), np.int64)


def _address(array: npt.NDArray[np.generic]) -> int:
    return array.ctypes.data
