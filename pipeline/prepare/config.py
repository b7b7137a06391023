"""The settings of ``prepare``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from pydantic import Field

from lingo_model.unicode_text import DEFAULT_NORMALISATION, Normalisation
from pipeline.settings import Settings


class CleanConfig(Settings):
    """Limits for a pair. Lengths are in characters, without surrounding white space."""

    max_characters: int = Field(default=1000, ge=1, description="of either side")
    max_length_ratio: float = Field(
        default=5.0, ge=1.0, description="length of the longer side over that of the shorter"
    )
    ratio_min_characters: int = Field(
        default=20, ge=0, description="the ratio is not checked if both sides are shorter than this"
    )


class SubwordsConfig(Settings):
    """The settings of the subword model. Both languages share one model."""

    vocab_size: int = Field(
        default=8000, ge=32, description="largest number of pieces, special ones included"
    )
    normalisation: Normalisation = Field(
        default=DEFAULT_NORMALISATION,
        description="`nfc` keeps the characters of the text; `nmt_nfkc` also turns full-width "
        "punctuation into ASCII, no-break spaces into spaces and `½` into `1/2`",
    )


class SplitConfig(Settings):
    """The shares of pairs that are sampled for validation and test if no file is given for them."""

    valid_share: float = Field(default=0.02, ge=0.0, lt=0.5)
    test_share: float = Field(default=0.02, ge=0.0, lt=0.5)


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
    min_words: int = Field(
        default=5, ge=2, description="shorter texts are never nearly equal, only equal"
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


class PrepareConfig(Settings):
    """The settings of ``prepare``. Each of them can change the dataset and its fingerprint."""

    MISPLACED: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("source_lang", "target_lang", "inputs"), "the corpus description"
    )

    seed: int = Field(
        default=1, ge=0, lt=2**63, description="of the subword model and of the row order"
    )
    clean: CleanConfig = CleanConfig()
    split: SplitConfig = SplitConfig()
    leaks: LeaksConfig = LeaksConfig()
    duplicates: DuplicatesConfig = DuplicatesConfig()
    subwords: SubwordsConfig = SubwordsConfig()

    @classmethod
    def all_keys(cls) -> set[str]:
        """The names of all settings and of their groups, such as ``clean`` and ``vocab_size``."""
        keys = set(cls.model_fields)
        for field in cls.model_fields.values():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
                keys.update(field.annotation.model_fields)
        return keys
