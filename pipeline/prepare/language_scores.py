"""How probable each of some 140 languages is for each text of a column.

The model is that of py3langid: naive Bayes over byte n-grams, which an automaton finds. py3langid
looks at one text after the other, at 25,000 texts a second. Here, the automaton reads one byte of
each text of a batch in a step of NumPy, which is four times as fast.

Scores are sums of whole numbers. They are exact in float32 in any order, so the result is the same
on any processor and for any batch.

Source: Lui and Baldwin 2012, "langid.py: An Off-the-shelf Language Identification Tool".
"""

from __future__ import annotations

import dataclasses
import functools
import itertools

import numpy as np
import numpy.typing as npt

from pipeline.prepare.characters import Property
from pipeline.prepare.texts import TextColumn

Scores = npt.NDArray[np.float64]
"""For each text (rows) and each of :attr:`LanguageModel.labels` (columns) the logarithm of its
probability, up to a number for each text, divided by the square root of the number of bytes. With
this divisor, one margin suits texts of all lengths."""

NO_LANGUAGE = "zxx"
"""The label of texts that are not in any language, such as tables of numbers."""

MAX_BYTES = 1000
"""The bytes at the start of a text that count. They are enough, and sums of more are not exact."""

# The sums of MAX_BYTES features stay below 2**24, above which float32 has gaps.
_STEPS_OF_WEIGHT = 128
_STEPS_OF_COUNT = 16
_UNIT = _STEPS_OF_WEIGHT * _STEPS_OF_COUNT


@dataclasses.dataclass(frozen=True, slots=True)
class LanguageModel:
    """The automaton and the weights of the model.

    Args:
        labels: the languages. A language that is written in two scripts can be there twice.
        next_state: the state after a byte, at the place ``base_of_state + byte``.
        base_of_state: where the row of each state starts in ``next_state``.
        feature_of_state: the n-gram that ends where the automaton reaches a state, or -1.
        weights: for each n-gram and label, the logarithm of the n-gram's probability, less the mean
            of the row, in steps of 1/128.
        prior: for each label, the logarithm of its probability, in steps of 1/2048.
    """

    labels: tuple[str, ...]
    next_state: npt.NDArray[np.unsignedinteger]
    base_of_state: npt.NDArray[np.int32]
    feature_of_state: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    prior: npt.NDArray[np.float32]

    def scores(self, column: TextColumn) -> Scores:
        """The scores of all texts of a column, of which there should be some 10,000 at most."""
        texts = in_small_letters(column.nfc())
        codes = np.frombuffer(texts.joined.encode(), np.uint8)
        ends = np.flatnonzero(codes == 0)
        starts = np.zeros_like(ends)
        starts[1:] = ends[:-1] + 1
        lengths = np.minimum(ends - starts, MAX_BYTES)
        scores = self._sums(*self._features(codes, starts, lengths)).astype(np.float64)
        scores += self.prior
        scores /= _UNIT * np.sqrt(np.maximum(lengths, 1))[:, None]
        return scores

    def _features(
        self,
        codes: npt.NDArray[np.uint8],
        starts: npt.NDArray[np.int64],
        lengths: npt.NDArray[np.int64],
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """The n-grams of some texts.

        Args:
            codes: bytes that hold the texts.
            starts: where each text starts.
            lengths: the number of bytes of each text.

        Returns:
            for each text the place of its first n-gram, and the end of the last text; then for each
            n-gram its number in the model and the weight of its count.
        """
        longest_first = np.argsort(-lengths, kind="stable")
        positions = starts[longest_first]
        # The texts that have a byte at a place are the first ones.
        n_at = np.searchsorted(-lengths[longest_first], -np.arange(lengths.max(initial=0)), "left")
        states = np.zeros(len(starts), np.int32)
        rows, features = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
        for n_texts in n_at.tolist():
            states = self.next_state[
                self.base_of_state[states[:n_texts]] + codes[positions[:n_texts]]
            ]
            positions = positions[:n_texts] + 1
            found = self.feature_of_state[states]
            hits = np.flatnonzero(found >= 0)
            rows.append(longest_first[hits])
            features.append(found[hits])
        keys = np.concatenate(rows) * len(self.weights) + np.concatenate(features)
        keys, counts = np.unique(keys, return_counts=True)
        row_of_key, feature_of_key = np.divmod(keys, len(self.weights))
        first_of_row = np.searchsorted(row_of_key, np.arange(len(starts) + 1))
        return first_of_row, feature_of_key, _weights_of_counts()[counts]

    def _sums(
        self,
        first_of_row: npt.NDArray[np.int64],
        features: npt.NDArray[np.int64],
        counts: npt.NDArray[np.float32],
    ) -> npt.NDArray[np.float32]:
        """For each text, the sum of the weights of its n-grams."""
        sums = np.empty((len(first_of_row) - 1, len(self.labels)), np.float32)
        bounds = first_of_row.tolist()
        for row, (start, end) in enumerate(itertools.pairwise(bounds)):
            np.matmul(counts[start:end], self.weights[features[start:end]], out=sums[row])
        return sums


@functools.cache
def language_model() -> LanguageModel:
    """The model of py3langid, read once in a process (0.5 s, 130 MB)."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # only if languages are judged

    model = LanguageIdentifier.from_model_file(MODEL_FILE)
    weights = np.asarray(model.nb_ptc, np.float32)
    weights -= weights.mean(axis=1, dtype=np.float64, keepdims=True).astype(np.float32)
    return LanguageModel(
        labels=tuple(model.nb_classes),
        next_state=np.asarray(model.tk_nextmove),
        base_of_state=np.asarray(model.tk_row, np.int32) * 256,
        feature_of_state=np.asarray(model.tk_output, np.int32),
        weights=np.rint(weights * _STEPS_OF_WEIGHT, out=weights),
        prior=np.rint((model.nb_pc - model.nb_pc.mean()) * _UNIT),
    )


def in_small_letters(column: TextColumn) -> TextColumn:
    """The column with texts in lower case if most of their letters are capitals."""
    capitals = column.count(column.are(Property.UPPER))
    letters = column.count(column.are(Property.LETTER))
    return column.changed(2 * capitals > letters, str.lower)


@functools.cache
def _weights_of_counts() -> npt.NDArray[np.float32]:
    """``log(1 + n)`` for each count ``n`` of an n-gram in a text, in steps of 1/16."""
    logarithms: npt.NDArray[np.float64] = np.log1p(np.arange(MAX_BYTES + 1))
    return np.rint(logarithms * _STEPS_OF_COUNT).astype(np.float32)
