"""Counts the pieces of texts, and the texts that the subword model changes, while it encodes them.

A model can only write what its subwords can spell. If encoding and decoding change a target, no
translation can equal it, and scores have a ceiling.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from lingo_model import Subwords
from lingo_model.special_ids import EOS_ID, N_SPECIAL, UNK_ID
from lingo_model.word_encoder import EncodedTexts, Utf8Texts
from pipeline.dataset.manifest import (
    ChangedText,
    RoundTripCounts,
    SubwordStatistics,
    TextStatistics,
)
from pipeline.dataset.splits import Split

_SPACE = ord(" ")


class SideCounts:
    """The counts of one side of a split.

    Args:
        vocab_size: number of pieces of the subword model.

    Attributes:
        pieces: int64 ``[vocab_size]``, how often each piece occurs, without eos.
        n_changed: texts that change when they are encoded and decoded. Normal forms, runs of spaces
            and line breaks do not count, because no score counts them.
        example: the shortest of these texts, or None.
    """

    _NUMBERS = ("n_texts", "n_words", "n_characters", "n_changed")

    def __init__(self, vocab_size: int) -> None:
        self.n_texts = self.n_words = self.n_characters = self.n_changed = 0
        self.example: ChangedText | None = None
        self.pieces = np.zeros(vocab_size, np.int64)

    def add(self, texts: Utf8Texts, encoded: EncodedTexts, subwords: Subwords) -> None:
        """Count some texts.

        Args:
            texts: the texts.
            encoded: their ids, with or without eos.
            subwords: the subword model.
        """
        self.n_texts += len(encoded.lengths)
        self.n_words += _n_words(texts)
        self.n_characters += int(np.count_nonzero((texts.data & 0xC0) != 0x80))
        self.pieces += np.bincount(encoded.ids, minlength=len(self.pieces))
        self.pieces[EOS_ID] = 0
        changed = subwords.changed(texts.strings(np.flatnonzero(~encoded.is_spelled)))
        self.n_changed += len(changed)
        self._keep_shortest(ChangedText(text=text, decoded=decoded) for text, decoded in changed)

    def to_json(self) -> dict[str, Any]:
        """The counts as JSON values, for :meth:`add_json`."""
        example = None if self.example is None else self.example.model_dump()
        numbers = {name: getattr(self, name) for name in self._NUMBERS}
        return numbers | {"example": example, "pieces": self.pieces.tolist()}

    def add_json(self, values: dict[str, Any]) -> None:
        """Add the counts of other texts, from :meth:`to_json`."""
        for name in self._NUMBERS:
            setattr(self, name, getattr(self, name) + values[name])
        self.pieces += np.array(values["pieces"], np.int64)
        if values["example"] is not None:
            self._keep_shortest([ChangedText.model_validate(values["example"])])

    def _keep_shortest(self, changed: Iterable[ChangedText]) -> None:
        candidates = [*changed, *([] if self.example is None else [self.example])]
        if candidates:
            self.example = min(candidates, key=lambda item: (len(item.text), item.text))

    def statistics(self) -> TextStatistics:
        """The counts, for the manifest."""
        return TextStatistics(
            n_texts=self.n_texts,
            n_words=self.n_words,
            n_characters=self.n_characters,
            n_pieces=int(self.pieces.sum()),
            n_unknown=int(self.pieces[UNK_ID]),
        )


class PieceCounts:
    """The counts of both sides of a split. The order in which texts are added does not matter.

    Args:
        vocab_size: number of pieces of the subword model.
    """

    def __init__(self, vocab_size: int) -> None:
        self.source, self.target = SideCounts(vocab_size), SideCounts(vocab_size)
        self.sides = {"source": self.source, "target": self.target}

    def to_json(self) -> dict[str, Any]:
        """The counts as JSON values, for :meth:`add_json`."""
        return {name: side.to_json() for name, side in self.sides.items()}

    def add_json(self, values: dict[str, Any]) -> None:
        """Add the counts of other pairs of the split, from :meth:`to_json`."""
        for name, side in self.sides.items():
            side.add_json(values[name])

    def round_trips(self) -> RoundTripCounts:
        """The texts that the subword model changes, for the manifest."""
        return RoundTripCounts(
            n_sources_changed=self.source.n_changed,
            n_targets_changed=self.target.n_changed,
            target_example=self.target.example,
        )


def subword_statistics(counts: Mapping[Split, PieceCounts]) -> SubwordStatistics:
    """How the subword model fits the texts of all splits, for the manifest."""
    train = counts["train"]
    by_source, by_target = train.source.pieces[N_SPECIAL:] > 0, train.target.pieces[N_SPECIAL:] > 0
    return SubwordStatistics(
        n_pieces=len(by_source),
        n_used_by_source=int(by_source.sum()),
        n_used_by_target=int(by_target.sum()),
        n_used_by_both=int((by_source & by_target).sum()),
        source={split: of_split.source.statistics() for split, of_split in counts.items()},
        target={split: of_split.target.statistics() for split, of_split in counts.items()},
    )


def _n_words(texts: Utf8Texts) -> int:
    """The number of parts between spaces."""
    is_space = texts.data == _SPACE
    begins = ~is_space
    begins[1:] &= is_space[:-1]
    firsts = texts.offsets[:-1][np.diff(texts.offsets) > 0]
    begins[firsts] = ~is_space[firsts]
    return int(np.count_nonzero(begins))
