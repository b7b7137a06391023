"""The cleaning rules: which pairs are rejected, and for what reason."""

from __future__ import annotations

from pipeline.prepare.config import CleanConfig
from pipeline.prepare.pairs import RawPair


def strip_pair(pair: RawPair) -> tuple[str, str]:
    """Source and target without surrounding white space. A missing side is empty."""
    return (pair.source or "").strip(), (pair.target or "").strip()


def reason_to_reject(pair: RawPair, config: CleanConfig) -> str | None:
    """The reason why a pair is rejected, or None if it is kept.

    Reasons, in the order in which they are checked:
        - ``undecodable``: the row has bytes that are not UTF-8.
        - ``malformed``: the row breaks the rules of its format, or a side is not text.
        - ``empty``: a side is missing or has only white space.
        - ``too_long``: a side has more than ``max_characters``.
        - ``ratio``: one side is more than ``max_length_ratio`` times as long as the other.
    """
    if pair.problem is not None:
        return pair.problem
    source, target = strip_pair(pair)
    shorter, longer = sorted((len(source), len(target)))
    if shorter == 0:
        return "empty"
    if longer > config.max_characters:
        return "too_long"
    if longer >= config.ratio_min_characters and longer > config.max_length_ratio * shorter:
        return "ratio"
    return None
