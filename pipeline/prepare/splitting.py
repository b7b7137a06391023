"""Assigns pairs to splits, and rejects pairs that would leak or repeat.

A split is chosen by the *normalised* source, which ignores case, spacing and punctuation. So
variants of one sentence are never in two splits.
"""

from __future__ import annotations

from collections.abc import Iterable

from lingo_model.unicode_text import with_single_spaces
from pipeline.dataset.splits import Split
from pipeline.prepare.config import SplitConfig
from pipeline.prepare.corpus import CorpusInput
from pipeline.prepare.input_names import NamedInput
from pipeline.prepare.normalise import normalise
from pipeline.storage.hashing import hash64

# The splits that may not have a source of the given split. Test looks at validation, too, because
# a validation file is read before the test split is sampled.
_OTHER_HELD_OUT: dict[Split, tuple[Split, ...]] = {
    "test": ("valid",),
    "valid": ("test",),
    "train": ("test", "valid"),
}


class Splitter:
    """Assigns the pairs of a corpus to splits. Takes the inputs in :func:`reading_order`.

    If files are given for validation and test, inputs without a split are training data. If no file
    is given for one of the two, its pairs are sampled by hash from the inputs without a split.

    A source that occurs in several splits stays in the first of test, valid and train. In the
    others it is rejected as ``leak``. The exception: a validation file loses no pair to a test
    split that is sampled.

    Repeated pairs are rejected as ``duplicate``, also if they differ in runs of spaces, except in
    validation and test files: scores on those compare with published ones.

    Memory: a 64-bit hash of each kept pair, about 70 bytes each.

    Args:
        inputs: all inputs of the corpus.
        config: the shares of the sampled splits.
    """

    def __init__(self, inputs: Iterable[CorpusInput], config: SplitConfig) -> None:
        self._given_splits = {item.split for item in inputs}
        self._valid_share = 0.0 if "valid" in self._given_splits else config.valid_share
        self._test_share = 0.0 if "test" in self._given_splits else config.test_share
        self._held_out_sources: dict[Split, set[int]] = {"valid": set(), "test": set()}
        self._pairs: set[int] = set()

    def split_of(self, item: CorpusInput, source: str) -> Split:
        """The split of a pair. Whether it leaks is checked by :meth:`reason_to_reject`."""
        if item.split is not None:
            return item.split
        point = hash64("split", normalise(source)) / 2**64
        if point < self._test_share:
            return "test"
        return "valid" if point < self._test_share + self._valid_share else "train"

    def reason_to_reject(self, split: Split, source: str, target: str) -> str | None:
        """``leak``, ``duplicate``, or None. Remembers the pair if it is kept."""
        normalised = normalise(source)
        source_hash = hash64(normalised)
        # Empty lines, which given files may have, are not the same sentence.
        if normalised and any(
            source_hash in self._held_out_sources[other] for other in _OTHER_HELD_OUT[split]
        ):
            return "leak"
        if split == "train" or split not in self._given_splits:
            pair_hash = hash64(with_single_spaces(source), with_single_spaces(target))
            if pair_hash in self._pairs:
                return "duplicate"
            self._pairs.add(pair_hash)
        if split != "train":
            self._held_out_sources[split].add(source_hash)
        return None


def reading_order(inputs: Iterable[NamedInput]) -> list[NamedInput]:
    """Sort inputs by split: test, valid, none, train. In this order one pass finds every leak.

    Pairs of one input without a split cannot leak into each other's splits, because equal
    normalised sources are always assigned to the same split.
    """
    rank: dict[Split | None, int] = {"test": 0, "valid": 1, None: 2, "train": 3}
    return sorted(inputs, key=lambda named: rank[named.item.split])
