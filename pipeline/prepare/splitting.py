"""Assigns pairs to splits, and finds the held-out pairs that would leak or repeat.

A split is chosen by the hash of the *normalised* source, which ignores case, spacing and
punctuation. So variants of one sentence are never in two splits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Self

import numpy as np
import numpy.typing as npt

from pipeline.dataset.splits import SPLITS, Split
from pipeline.prepare.config import SplitConfig
from pipeline.prepare.corpus import CorpusInput
from pipeline.prepare.input_names import NamedInput, NamedPart
from pipeline.prepare.texts import Hashes, Mask, TextColumn, mix64

LEAK = "leak"
"""The reason of a pair that another split has."""

DUPLICATE = "duplicate"
"""The reason of a pair that occurred before."""

TRAIN, VALID, TEST = (SPLITS.index(split) for split in ("train", "valid", "test"))
"""The numbers of the splits in tables of rows."""

_SALT = np.uint64(0x5851F42D4C957F2D)  # so that splits do not depend on the bits of partitions


@dataclasses.dataclass(frozen=True)
class SplitRule:
    """How the pairs of a corpus are assigned to splits.

    If files are given for validation and test, inputs without a split are training data. If no file
    is given for one of the two, its pairs are sampled by hash from the inputs without a split.

    A source that occurs in several splits stays in the first of test, valid and train. In the
    others it is rejected as ``leak``. The exception: a validation file loses no pair to a test
    split that is sampled.

    Repeated pairs are rejected as ``duplicate``, except in validation and test files: scores on
    those compare with published ones.

    Args:
        given: the splits that files are given for.
        valid_share: the share of pairs that are sampled for validation.
        test_share: the share of pairs that are sampled for test.
    """

    given: frozenset[Split | None]
    valid_share: float
    test_share: float

    @classmethod
    def of(cls, inputs: Iterable[CorpusInput], config: SplitConfig, n_rows: int) -> Self:
        """The rule for some inputs and settings.

        Args:
            inputs: the inputs.
            config: the settings.
            n_rows: how many rows the inputs without a split have, at least.
        """
        given = frozenset(item.split for item in inputs)
        most = config.max_pairs / max(n_rows, 1)
        return cls(
            given=given,
            valid_share=0.0 if "valid" in given else min(config.valid_share, most),
            test_share=0.0 if "test" in given else min(config.test_share, most),
        )

    @property
    def samples(self) -> bool:
        """Whether pairs of inputs without a split are sampled for validation or test."""
        return self.valid_share + self.test_share > 0

    def splits_of(self, given: Split | None, sources: TextColumn) -> npt.NDArray[np.int8]:
        """The number of the split of each pair.

        Args:
            given: the split of their input, or None.
            sources: their sources.
        """
        if given is not None or not self.samples:
            return np.full(len(sources), SPLITS.index(given or "train"), np.int8)
        # Sources that differ in digits only are near, so one of them would be rejected.
        points = mix64(sources.digitless_hashes ^ _SALT).astype(np.float64) / 2.0**64
        splits = np.full(len(points), TRAIN, np.int8)
        splits[points < self.test_share + self.valid_share] = VALID
        splits[points < self.test_share] = TEST
        return splits

    @property
    def held_out_order(self) -> tuple[int, int]:
        """The held-out split that loses pairs that both have, and the one that keeps them."""
        test_gives_way = "valid" in self.given and "test" not in self.given
        return (TEST, VALID) if test_gives_way else (VALID, TEST)

    def leaking_held_out(self, splits: npt.NDArray[np.int8], source_hashes: Hashes) -> Mask:
        """Which held-out pairs have a source that another held-out split keeps.

        Args:
            splits: valid or test, for each pair.
            source_hashes: the hashes of the normalised sources. 0 for an empty source, which given
                files may have; empty sources are not the same sentence.
        """
        loser, keeper = self.held_out_order
        kept = source_hashes[splits == keeper]
        leaks: Mask = (splits == loser) & (source_hashes != 0) & np.isin(source_hashes, kept)
        return leaks

    def repeated_held_out(self, splits: npt.NDArray[np.int8], pair_hashes: Hashes) -> Mask:
        """Which held-out pairs of a sampled split occurred before."""
        repeated = np.zeros(len(splits), np.bool_)
        for split in (VALID, TEST):
            if SPLITS[split] not in self.given:
                rows = np.flatnonzero(splits == split)
                repeated[rows[~first_occurrences(pair_hashes[rows])]] = True
        return repeated


def first_occurrences(hashes: Hashes) -> Mask:
    """Which hashes did not occur before."""
    is_first = np.zeros(len(hashes), np.bool_)
    is_first[np.unique(hashes, return_index=True)[1]] = True
    return is_first


def reading_order(inputs: Iterable[NamedInput]) -> list[tuple[NamedInput, NamedPart]]:
    """The parts of all inputs, sorted by split: test, valid, none, train.

    If one pair occurs in several inputs, the first of them in this order keeps it.
    """
    rank: dict[Split | None, int] = {"test": 0, "valid": 1, None: 2, "train": 3}
    return [
        (named, part)
        for named in sorted(inputs, key=lambda named: rank[named.item.split])
        for part in named.parts
    ]
