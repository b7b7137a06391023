"""The rule about the language of a side."""

from __future__ import annotations

from pipeline.prepare.config import CleanConfig
from pipeline.prepare.languages import describe, language_judge
from pipeline.prepare.rules.rule import Rule
from pipeline.prepare.texts import Mask, PairTexts


def _wrong_language(texts: PairTexts, config: CleanConfig) -> Mask:
    return language_judge(texts.source_lang, texts.target_lang, config.language).wrong(texts)


WRONG_LANGUAGE = Rule(
    "wrong_language",
    _wrong_language,
    lambda config: config.language.enabled,
    lambda source, target, config: describe(source, target, config.language),
    is_slow=True,
)
