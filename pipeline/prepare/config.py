"""The settings of ``prepare``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from lingo_model.subwords import DEFAULT_ALGORITHM, MIN_CHARACTER_COVERAGE, Algorithm
from lingo_model.unicode_text import DEFAULT_NORMALISATION, Normalisation
from pipeline.prepare.leaks_config import DuplicatesConfig, LeaksConfig
from pipeline.settings import Settings


def _own_rule(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", text):
        raise ValueError("is no own rule; needs MODULE:FUNCTION, such as my_rules:too_shouty")
    return text


OwnRule = Annotated[str, AfterValidator(_own_rule)]
"""A function that rejects rows, in the form ``module:function``."""


DEFAULT_MAX_SCORE = 4.5


class LanguageConfig(Settings):
    """The rule `wrong_language`: texts in another language than the corpus description says."""

    enabled: bool = Field(default=True, description="whether languages are judged")
    min_letters: int = Field(
        default=20,
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


class CrossEntropyConfig(Settings):
    """The rule `cross_entropy`: pairs that two models find improbable."""

    forward: Path | None = Field(
        default=None,
        description="a model from source to target; a relative path begins in the folder of the "
        "corpus description",
    )
    backward: Path | None = Field(default=None, description="a model from target to source")
    max_score: float = Field(
        default=DEFAULT_MAX_SCORE,
        gt=0.0,
        allow_inf_nan=False,
        description="the difference of both cross-entropies plus their mean, in nats a token",
    )

    @property
    def is_on(self) -> bool:
        """Whether both models are given."""
        return self.forward is not None and self.backward is not None

    @model_validator(mode="after")
    def _has_both_models(self) -> Self:
        if (self.forward is None) != (self.backward is None):
            missing = "backward" if self.backward is None else "forward"
            raise ValueError(f"{missing!r} is missing; the rule needs a model of each direction")
        return self


class CleanConfig(Settings):
    """The cleaning rules. ``docs/cleaning-rules.md`` describes each with examples.

    Lengths are in characters, without surrounding white space. ``null`` or ``false`` switches a
    rule off. Repairs come before checks.
    """

    repair_entities: bool = Field(
        default=True, description="HTML entities and escapes of Moses become characters"
    )
    repair_encoding: bool = Field(
        default=True, description="UTF-8 that was read as Windows-1252 is decoded again"
    )
    repair_invisible: bool = Field(
        default=True, description="control, zero width and direction characters are removed"
    )
    repair_spaces: bool = Field(
        default=True, description="tabs, line breaks and runs of spaces become one space"
    )
    min_characters: int = Field(default=1, ge=1, description="of either side")
    min_words: int = Field(default=1, ge=0, description="of either side")
    max_characters: int | None = Field(default=1000, ge=1, description="of either side")
    max_words: int | None = Field(default=None, ge=1, description="of either side")
    max_word_characters: int | None = Field(
        default=70, ge=1, description="letters, marks and digits in a row, on either side"
    )
    max_length_ratio: float | None = Field(
        default=5.0, ge=1.0, description="length of the longer side over that of the shorter"
    )
    ratio_min_characters: int = Field(
        default=20, ge=0, description="the ratio is not checked if both sides are shorter than this"
    )
    max_copied_words: int | None = Field(
        default=2, ge=0, description="words of a pair whose sides are the same text"
    )
    min_letter_share: float | None = Field(
        default=0.25, ge=0.0, le=1.0, description="letters among the visible characters of a side"
    )
    letters_min_characters: int = Field(
        default=20, ge=0, description="the share of letters is not checked if a side is shorter"
    )
    max_repeated_characters: int | None = Field(
        default=6, ge=1, description="how often a character may stand in a row"
    )
    max_repeated_words: int | None = Field(
        default=4, ge=1, description="how often one to four words may stand in a row"
    )
    max_unexpected_script_share: float | None = Field(
        default=0.5, ge=0.0, le=1.0, description="letters of a side in a script of other languages"
    )
    script_min_letters: int = Field(
        default=15, ge=1, description="the script is not checked if a side has fewer letters"
    )
    match_numbers: bool = Field(default=True, description="both sides have the same numbers")
    match_urls: bool = Field(default=True, description="both sides have the same web addresses")
    match_emails: bool = Field(
        default=True, description="both sides have the same e-mail addresses"
    )
    match_placeholders: bool = Field(
        default=True, description="both sides have the same placeholders, such as `%s` and `{name}`"
    )
    match_tags: bool = Field(default=True, description="both sides have the same tags")
    match_brackets: bool = Field(default=False, description="both sides have the same brackets")
    match_quotes: bool = Field(
        default=False, description="both sides have quotation marks, or none of them"
    )
    match_end_punctuation: bool = Field(
        default=False, description="both sides end with the same kind of punctuation mark"
    )
    language: LanguageConfig = LanguageConfig()
    cross_entropy: CrossEntropyConfig = CrossEntropyConfig()
    own_rules: tuple[OwnRule, ...] = Field(
        default=(), description="functions that reject rows, such as `my_rules:too_shouty`"
    )
    own_rules_settings: dict[str, Any] = Field(
        default_factory=dict, description="what the own rules get as their settings"
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
    algorithm: Algorithm = Field(
        default=DEFAULT_ALGORITHM,
        description="`unigram` takes the most probable pieces; `bpe` joins frequent neighbours",
    )
    character_coverage: float | None = Field(
        default=None,
        ge=MIN_CHARACTER_COVERAGE,
        le=1.0,
        description="share of the text whose characters get a piece each; by default 1 if the "
        "characters are at most a quarter of `vocab_size`, else 0.9999",
    )
    byte_fallback: bool = Field(
        default=False,
        description="spell a character without a piece by its bytes, which take 256 of the pieces; "
        "otherwise it is `<unk>`",
    )
    split_digits: bool = Field(default=False, description="make each digit a piece of its own")
    max_training_sentences: int = Field(
        default=1_000_000,
        ge=1,
        description="if the training pairs have more sentences than this, that many are sampled "
        "by hash to train the subword model",
    )


class SplitConfig(Settings):
    """The shares of pairs that are sampled for validation and test if no file is given for them."""

    valid_share: float = Field(default=0.02, ge=0.0, lt=0.5)
    test_share: float = Field(default=0.02, ge=0.0, lt=0.5)
    max_pairs: int = Field(
        default=10_000,
        ge=1,
        description="about how many pairs are sampled for each at most, whatever the shares",
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
