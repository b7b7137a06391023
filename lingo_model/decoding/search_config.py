"""Settings and results of a search. This module needs no torch."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, TypeVar, cast

from lingo_model.errors import InputError
from lingo_model.network.config import ModelConfig, require_int

ENGINE_VERSION = "engine-1"
"""Version of the decoding engine. It changes whenever the same bundle and settings may give a
different translation."""

MIN_BEAM_SIZE, MAX_BEAM_SIZE = 1, 64

NumberOrTensor = TypeVar("NumberOrTensor", bound=Any)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Settings of a search. Lengths include the end of sentence.

    Attributes:
        beam_size: number of hypotheses of a sentence, 1 to 64; 1 is greedy search.
        n_best: number of translations to return, at most ``beam_size``.
        length_penalty_alpha: alpha of Wu et al. 2016, section 7. With 0, hypotheses are ranked by
            log probability, which favours short ones.
        max_length_ratio: maximum target tokens per source token, see :meth:`max_length`.
        max_length_offset: added to the maximum length.
        min_length_ratio: minimum target tokens per source token, see :meth:`min_length`.
        min_length_offset: added to the minimum length.
        max_source_tokens: a longer source is refused.
        max_source_tokens_per_batch: source tokens, with padding, that are encoded together.
        allow_unk: whether a translation may contain unk.

    Raises:
        InputError: a value is out of range; the message names it and the allowed values.
    """

    beam_size: int = 1
    n_best: int = 1
    length_penalty_alpha: float = 1.0
    max_length_ratio: float = 2.0
    max_length_offset: int = 10
    min_length_ratio: float = 0.0
    min_length_offset: int = 0
    max_source_tokens: int = 4096
    max_source_tokens_per_batch: int = 4096
    allow_unk: bool = False

    def __post_init__(self) -> None:
        require_int("beam_size", self.beam_size, MIN_BEAM_SIZE, MAX_BEAM_SIZE)
        for name in ("n_best", "max_source_tokens", "max_source_tokens_per_batch"):
            require_int(name, getattr(self, name), minimum=1)
        for name in ("max_length_offset", "min_length_offset"):
            require_int(name, getattr(self, name), minimum=0)
        for name in ("max_length_ratio", "min_length_ratio", "length_penalty_alpha"):
            value = getattr(self, name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (is_number and 0.0 <= value < math.inf):
                raise InputError(f"{name}={value!r}: needs a number of 0 or more")
        if self.n_best > self.beam_size:
            raise InputError(
                f"n_best={self.n_best}: needs beam_size={self.beam_size} or less; "
                "lower n_best or raise beam_size"
            )

    def to_dict(self) -> dict[str, Any]:
        """Every setting as a plain value, for a manifest."""
        return dataclasses.asdict(self)

    def max_length(self, n_source_tokens: int) -> int:
        """Maximum number of target tokens for a source of ``n_source_tokens``."""
        return max(1, int(self.max_length_ratio * n_source_tokens) + self.max_length_offset)

    def min_length(self, n_source_tokens: int) -> int:
        """Minimum number of target tokens; at most :meth:`max_length`."""
        minimum = int(self.min_length_ratio * n_source_tokens) + self.min_length_offset
        return min(minimum, self.max_length(n_source_tokens))

    def rank(self, hypothesis: Hypothesis) -> float:
        """Score that ranks the hypotheses of a sentence; higher is better."""
        return hypothesis.log_prob / self.length_norm(len(hypothesis.token_ids))

    def length_norm(self, n_tokens: NumberOrTensor) -> NumberOrTensor:
        """``((5 + n_tokens) / 6) ** alpha`` (Wu et al. 2016, equation 14)."""
        return cast(NumberOrTensor, ((5.0 + n_tokens) / 6.0) ** self.length_penalty_alpha)

    def blocked_ids(self, config: ModelConfig) -> list[int]:
        """Ids that a translation may not contain."""
        return [config.pad_idx, config.sos_idx, *([] if self.allow_unk else [config.unk_idx])]


@dataclasses.dataclass(frozen=True, slots=True)
class Hypothesis:
    """A translation as token ids.

    Attributes:
        token_ids: target ids, with eos unless ``truncated``.
        log_prob: sum of log p over these ids (nats).
        truncated: whether the length limit ended the translation.
        empty_because: why there are no ids; None if there are.
    """

    token_ids: list[int]
    log_prob: float
    truncated: bool
    empty_because: str | None = None

    @property
    def score(self) -> float:
        """Mean log probability of a token, end of sentence included (nats)."""
        return self.log_prob / max(1, len(self.token_ids))


EMPTY_HYPOTHESIS = Hypothesis([], 0.0, truncated=False, empty_because="empty source")
