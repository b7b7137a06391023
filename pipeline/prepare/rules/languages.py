"""The rule about the language of a side."""

from __future__ import annotations

from pipeline.prepare.config import CleanConfig
from pipeline.prepare.languages import descriptions, language_judge
from pipeline.prepare.rules.rule import Rule
from pipeline.prepare.texts import Mask, PairTexts, TextColumn


def _wrong_language(texts: PairTexts, config: CleanConfig) -> Mask:
    return language_judge(texts.source_lang, texts.target_lang, config.language).wrong(texts)


def _detail(source: str, target: str, config: CleanConfig) -> str:
    return descriptions(TextColumn.of([source]), TextColumn.of([target]), config.language)[0]


def _details(texts: PairTexts, config: CleanConfig) -> list[str]:
    return descriptions(texts.source, texts.target, config.language)


WRONG_LANGUAGE = Rule(
    "wrong_language",
    _wrong_language,
    lambda config: config.language.enabled,
    _detail,
    is_slow=True,
    details=_details,
)
