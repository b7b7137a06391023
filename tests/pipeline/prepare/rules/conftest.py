"""Pairs for the tests of rules."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.prepare.config import CleanConfig
from pipeline.prepare.rules.registry import check
from pipeline.prepare.texts import PairTexts, TextColumn


def pairs(rows: Sequence[tuple[str, str]], languages: str = "en de") -> PairTexts:
    """Some pairs."""
    source_lang, target_lang = languages.split()
    return PairTexts(
        source=TextColumn.of([source for source, _ in rows]),
        target=TextColumn.of([target for _, target in rows]),
        source_lang=source_lang,
        target_lang=target_lang,
    )


def reasons(
    rows: Sequence[tuple[str, str]],
    config: CleanConfig = CleanConfig(),  # noqa: B008 (settings are frozen)
    languages: str = "en de",
) -> list[str | None]:
    """The reason of each pair, or None if it is kept."""
    verdicts = check(pairs(rows, languages), config)
    return [None if number < 0 else verdicts.reasons[number] for number in verdicts.first.tolist()]


def reason(source: str, target: str, languages: str = "en de", **settings: object) -> str | None:
    """The reason of one pair, which must be the same if the sides are exchanged."""
    config = CleanConfig.model_validate(settings)
    there = reasons([(source, target)], config, languages)
    back = reasons([(target, source)], config, " ".join(reversed(languages.split())))
    assert there == back
    return there[0]
