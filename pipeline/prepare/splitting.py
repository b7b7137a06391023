"""Which split a pair belongs to, and which pairs may not stay because another split has them.

Splits are decided on the *normalised* source (case, spacing and punctuation taken out), so that a
sentence never sits on both sides.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import Field

from pipeline.dataset.splits import Split
from pipeline.prepare.corpus import CorpusInput
from pipeline.prepare.normalise import normalise
from pipeline.settings import Settings
from pipeline.storage.hashing import hash64


class SplitConfig(Settings):
    """Shares of the pairs that the hash sends to validation and test where no files are given."""

    valid_share: float = Field(default=0.02, ge=0.0, lt=0.5)
    test_share: float = Field(default=0.02, ge=0.0, lt=0.5)


class Splitter:
    """Deals pairs to splits, input by input, in the order of :func:`reading_order`.

    Where validation and test files are given they are used, and what has no split is training.
    A split that no file gives is drawn by hash from the inputs without a split. A sentence that
    occurs in several splits stays in the first of test, valid, train: reason ``leak`` elsewhere;
    but a given validation file loses nothing to a test split that is drawn.
    Repeated pairs are rejected as ``duplicate``; only those of given validation and test files
    stay, so that scores can be compared with published ones.

    Holds 8 bytes of hash for each sentence kept (about 70 bytes of memory each).
    """

    def __init__(self, inputs: Iterable[CorpusInput], config: SplitConfig) -> None:
        self._given = {item.split for item in inputs}
        self._valid_share = 0.0 if "valid" in self._given else config.valid_share
        self._test_share = 0.0 if "test" in self._given else config.test_share
        self._sources: dict[Split, set[int]] = {"valid": set(), "test": set()}
        self._pairs: set[int] = set()

    def split_of(self, item: CorpusInput, source: str) -> Split:
        """The split of a pair, before leaks are looked at."""
        if item.split is not None:
            return item.split
        point = hash64("split", normalise(source)) / 2**64
        if point < self._test_share:
            return "test"
        return "valid" if point < self._test_share + self._valid_share else "train"

    def reason_to_reject(self, split: Split, source: str, target: str) -> str | None:
        """``leak``, ``duplicate`` or None; a pair that is not rejected is remembered."""
        key = hash64(normalise(source))
        # Test looks at validation too: a given validation file is read before test is drawn.
        others: dict[Split, tuple[Split, ...]] = {
            "test": ("valid",),
            "valid": ("test",),
            "train": ("test", "valid"),
        }
        if any(key in self._sources[other] for other in others[split]):
            return "leak"
        if split == "train" or split not in self._given:
            pair = hash64(source, target)
            if pair in self._pairs:
                return "duplicate"
            self._pairs.add(pair)
        if split != "train":
            self._sources[split].add(key)
        return None


def reading_order(inputs: Iterable[CorpusInput]) -> list[CorpusInput]:
    """Test files first, then validation, so that one pass finds every leak.

    An input without a split comes last: what the hash draws from it for test is decided by the
    same normalised source that would leak, so it cannot leak within the input.
    """
    rank: dict[Split | None, int] = {"test": 0, "valid": 1, None: 2, "train": 3}
    return sorted(inputs, key=lambda item: rank[item.split])
