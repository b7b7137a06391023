"""The settings of ``prepare``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from lingo_model.unicode_text import DEFAULT_NORMALISATION, Normalisation
from pipeline.settings import Settings


class LanguageConfig(Settings):
    """The rule `wrong_language`: texts in another language than the corpus description says."""

    enabled: bool = Field(default=True, description="whether languages are judged")
    min_letters: int = Field(
        default=15,
        ge=1,
        description="texts with fewer, or with less than three words, are not judged; a letter of "
        "a script without spaces counts as three letters and three words",
    )
    min_margin: float = Field(
        default=2.0,
        ge=0.0,
        description="how much more probable another language must be: the difference of the log "
        "probabilities over the square root of the number of bytes",
    )


class CleanConfig(Settings):
    """Limits for a pair. Lengths are in characters, without surrounding white space."""

    max_characters: int = Field(default=1000, ge=1, description="of either side")
    max_length_ratio: float = Field(
        default=5.0, ge=1.0, description="length of the longer side over that of the shorter"
    )
    ratio_min_characters: int = Field(
        default=20, ge=0, description="the ratio is not checked if both sides are shorter than this"
    )
    language: LanguageConfig = LanguageConfig()


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
    subwords: SubwordsConfig = SubwordsConfig()

    @classmethod
    def all_keys(cls) -> set[str]:
        """The names of all settings and of their groups, such as ``clean`` and ``vocab_size``."""
        keys = set(cls.model_fields)
        for field in cls.model_fields.values():
            if isinstance(field.annotation, type) and issubclass(field.annotation, Settings):
                keys.update(field.annotation.model_fields)
        return keys
