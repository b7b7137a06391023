"""Which pairs are fit to train on, and the reason for each that is not."""

from __future__ import annotations

from pydantic import Field

from pipeline.prepare.pairs import RawPair
from pipeline.settings import Settings


class CleanConfig(Settings):
    """Limits on a pair; lengths in characters after surrounding space is stripped."""

    max_characters: int = Field(default=1000, ge=1)
    max_length_ratio: float = Field(default=5.0, ge=1.0)
    ratio_min_characters: int = Field(
        default=20, ge=0, description="the ratio of two shorter texts says nothing"
    )


def strip_pair(pair: RawPair) -> tuple[str, str]:
    """Both sides without surrounding white space; a missing side is empty."""
    return (pair.source or "").strip(), (pair.target or "").strip()


def reason_to_reject(pair: RawPair, config: CleanConfig) -> str | None:
    """Why a pair is rejected, or None.

    Reasons: ``undecodable`` (not UTF-8), ``malformed`` (not a row of the table, or not text),
    ``empty`` (a side is), ``too_long``, ``ratio`` (one side far longer than the other).
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
