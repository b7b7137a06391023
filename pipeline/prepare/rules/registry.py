"""All checks in order, and the verdict on a batch of pairs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lingo_model import InputError
from pipeline.prepare.config import CleanConfig
from pipeline.prepare.rules import characters, copies, languages, lengths, literals, scripts
from pipeline.prepare.rules.cross_entropy import CROSS_ENTROPY, cross_entropy_rules
from pipeline.prepare.rules.own import own_rules, reason_of
from pipeline.prepare.rules.rule import Rule
from pipeline.prepare.texts import Mask, PairTexts

RULES: tuple[Rule, ...] = (
    lengths.EMPTY,
    lengths.TOO_SHORT,
    lengths.TOO_LONG,
    lengths.LONG_WORD,
    lengths.RATIO,
    copies.COPY,
    characters.FEW_LETTERS,
    characters.REPEATED_CHARACTERS,
    characters.REPEATED_WORDS,
    scripts.WRONG_SCRIPT,
    literals.NUMBERS,
    literals.URLS,
    literals.EMAILS,
    literals.PLACEHOLDERS,
    literals.TAGS,
    literals.BRACKETS_RULE,
    literals.QUOTES_RULE,
    literals.END_PUNCTUATION,
    languages.WRONG_LANGUAGE,
)
"""The checks in the order in which they are made. A row gets the reason of the first that rejects
it."""


_HUGE_CHARACTERS = 1 << 16


@dataclasses.dataclass(frozen=True, slots=True)
class Verdicts:
    """What the checks say of a batch of pairs.

    Args:
        reasons: the names of all checks, in order; see :func:`rules_of`.
        first: for each pair, the position in ``reasons`` of the first check that rejects it, or -1
            if no check does.
        masks: for each check that is on, the pairs that it rejects; None if only the first check
            of each pair was asked for.
    """

    reasons: tuple[str, ...]
    first: npt.NDArray[np.int8]
    masks: dict[str, Mask] | None = None

    @property
    def kept(self) -> Mask:
        """For each pair, whether no check rejects it."""
        return self.first < 0


def rules_of(config: CleanConfig, folder: Path | None = None) -> tuple[Rule, ...]:
    """All checks in order: :data:`RULES`, also those that are off, then own rules, and at last
    the rule ``cross_entropy`` if it is on.

    Args:
        config: the settings.
        folder: the folder of the corpus description, in which the modules of own rules and the
            models are.

    Raises:
        InputError: an own rule cannot be loaded, or has the reason of another rule.
    """
    names = [CROSS_ENTROPY, *(rule.name for rule in RULES)]
    for name in config.own_rules:
        if (reason := reason_of(name)) in names:
            raise InputError(
                f"own rule {name!r}: another rule has the reason {reason!r}; rename the function"
            )
        names.append(reason)
    return RULES + own_rules(config, folder) + cross_entropy_rules(config, folder)


def check(
    texts: PairTexts, config: CleanConfig, *, folder: Path | None = None, all_masks: bool = False
) -> Verdicts:
    """Check a batch of pairs. The verdict on a pair does not depend on the others.

    Args:
        texts: the pairs, repaired.
        config: the settings.
        folder: the folder of the corpus description, in which the modules of own rules are.
        all_masks: whether to return what each check says of each pair.

    Raises:
        InputError: an own rule cannot be loaded or fails.
    """
    rules = rules_of(config, folder)
    first = np.full(len(texts), -1, np.int8)
    masks: dict[str, Mask] = {}
    for number, rule in enumerate(rules):
        if not rule.is_on(config):
            continue
        is_spared = first >= 0
        if all_masks or not rule.is_slow:
            is_spared &= _are_huge(texts)
        rows = _rejects(rule, texts, config, is_spared)
        first[rows & (first < 0)] = number
        if all_masks:
            masks[rule.name] = rows
    return Verdicts(tuple(rule.name for rule in rules), first, masks if all_masks else None)


def _are_huge(texts: PairTexts) -> Mask:
    """The pairs that no rule looks at if another rule rejects them."""
    longest = np.maximum(texts.source.n_characters, texts.target.n_characters)
    is_huge: Mask = longest > _HUGE_CHARACTERS
    return is_huge


def _rejects(rule: Rule, texts: PairTexts, config: CleanConfig, is_spared: Mask) -> Mask:
    """The pairs that a rule rejects. It does not look at some of the pairs."""
    if not is_spared.any():
        return rule.rejects(texts, config)
    rows = np.zeros(len(texts), np.bool_)
    rows[~is_spared] = rule.rejects(texts.take(~is_spared), config)
    return rows


def details(
    texts: PairTexts,
    verdicts: Verdicts,
    rows: Sequence[int],
    config: CleanConfig,
    *,
    folder: Path | None = None,
) -> list[str | None]:
    """What is wrong with some pairs, such as ``12 and 61 characters``; None for a kept pair."""
    rules = rules_of(config, folder)
    numbers = np.asarray(rows, np.int64)
    first = verdicts.first[numbers]
    found: list[str | None] = [None] * len(numbers)
    for number in np.unique(first[first >= 0]).tolist():
        places = np.flatnonzero(first == number)
        details_of_rule = rules[number].details_of(texts.take(numbers[places]), config)
        for place, detail in zip(places.tolist(), details_of_rule, strict=True):
            found[place] = detail
    return found
