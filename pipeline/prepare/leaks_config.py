"""The settings of what counts as a leak and as a duplicate. Imports nothing heavy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.settings import Settings

N_ROWS_SHOWN = 20
"""How many leaking pairs a certificate or a check names by default."""


class LeaksConfig(Settings):
    """When a training pair is too close to a validation or test pair.

    Texts with equal letters are always too close, however short they are.
    """

    near: bool = Field(
        default=True, description="also reject pairs that are nearly equal to a held-out pair"
    )
    similarity: float = Field(
        default=0.8,
        ge=0.5,
        le=1.0,
        description="1 less the share of words that differ, from which two texts are nearly equal",
    )
    max_changed_words: int = Field(
        default=1, ge=1, le=2, description="most words that differ between nearly equal texts"
    )
    min_words: int = Field(
        default=4, ge=2, description="shorter texts are never nearly equal, only equal"
    )
    min_target_words: int = Field(
        default=8, ge=1, description="shorter targets are not compared, because many are equal"
    )


DuplicateKey = Literal["pair", "source", "target"]
"""What two pairs have in common if one is the duplicate of the other."""

ComparedForm = Literal["text", "letters"]
"""``text`` sets spaces and invisible characters aside. ``letters`` also sets case, punctuation and
symbols aside."""


class DuplicatesConfig(Settings):
    """Which training pairs repeat an earlier pair."""

    by: DuplicateKey = Field(
        default="pair", description="what is equal: the `pair`, its `source` or its `target`"
    )
    compare: ComparedForm = Field(
        default="text",
        description="`text` sets spaces and invisible characters aside; `letters` sets case, "
        "punctuation and symbols aside, too",
    )
    near: bool = Field(
        default=False,
        description="also reject pairs with the words of an earlier pair, up to one word",
    )
