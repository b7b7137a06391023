"""What a search may produce, and greedy search: the reference that the engine must reproduce."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, cast

import torch

from lingo_model.errors import InputError
from lingo_model.network.config import Config, require_int
from lingo_model.network.lstm import SimpleSeq2SeqLSTM

T = TypeVar("T", bound=Any)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How a search goes, and what it may produce.

    A translation holds at most ``max_length_ratio * n_source_tokens + max_length_offset`` tokens
    and at least ``min_length_ratio * n_source_tokens + min_length_offset``, end of sentence
    included in both. Of ``beam_size`` hypotheses the ``n_best`` are given; ``length_penalty_alpha``
    is Wu et al.'s alpha (2016, section 7): 0 ranks by log probability, which favours short ones.

    Raises:
        InputError: a value out of range, named with what is allowed.
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
        for name in ("beam_size", "n_best", "max_source_tokens", "max_source_tokens_per_batch"):
            require_int(name, getattr(self, name), least=1)
        for name in ("max_length_offset", "min_length_offset"):
            require_int(name, getattr(self, name), least=0)
        for name in ("max_length_ratio", "min_length_ratio", "length_penalty_alpha"):
            value = getattr(self, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (number and 0.0 <= value < math.inf):
                raise InputError(f"{name}={value!r}: needs a number of 0 or more")
        if self.n_best > self.beam_size:
            raise InputError(
                f"n_best={self.n_best}: needs beam_size or less, which is {self.beam_size}"
            )

    def to_dict(self) -> dict[str, Any]:
        """Every setting as plain values, for a manifest."""
        return dataclasses.asdict(self)

    def max_length(self, n_source_tokens: int) -> int:
        """Most target tokens for a source of ``n_source_tokens``, end of sentence included."""
        return max(1, int(self.max_length_ratio * n_source_tokens) + self.max_length_offset)

    def min_length(self, n_source_tokens: int) -> int:
        """Fewest target tokens, end of sentence included; never above :meth:`max_length`."""
        least = int(self.min_length_ratio * n_source_tokens) + self.min_length_offset
        return min(least, self.max_length(n_source_tokens))

    def rank(self, hypothesis: Hypothesis) -> float:
        """What hypotheses of one sentence are compared by: the higher, the better."""
        return hypothesis.log_prob / self.length_norm(len(hypothesis.token_ids))

    def length_norm(self, n_tokens: T) -> T:
        """``((5 + length) / 6) ** alpha`` (Wu et al. 2016, equation 14), of a number or tensor."""
        return cast(T, ((5.0 + n_tokens) / 6.0) ** self.length_penalty_alpha)


@dataclasses.dataclass(frozen=True, slots=True)
class Hypothesis:
    """One translation: ids with eos (unless cut off), and ``sum log p`` of those ids (nats).

    Attributes:
        truncated: the length limit ended it. empty_because: why there are no ids; None otherwise.
    """

    token_ids: list[int]
    log_prob: float
    truncated: bool
    empty_because: str | None = None

    @property
    def score(self) -> float:
        """Mean log probability of a token, end of sentence included (nats)."""
        return self.log_prob / max(1, len(self.token_ids))


EMPTY = Hypothesis([], 0.0, truncated=False, empty_because="empty source")


def check_sources(
    sources: Sequence[Sequence[int]], src_vocab_size: int, search: SearchConfig
) -> None:
    """Refuse sources that the model cannot read.

    Raises:
        InputError: names the source, and its id or length.
    """
    for row, source in enumerate(sources):
        if len(source) > search.max_source_tokens:
            raise InputError(
                f"source {row} has {len(source)} tokens: max_source_tokens="
                f"{search.max_source_tokens}; split it, or raise that"
            )
        if source and not 0 <= min(source) <= max(source) < src_vocab_size:
            wrong = next(i for i in source if not 0 <= i < src_vocab_size)
            raise InputError(
                f"source {row} has token id {wrong}: the model's vocabulary has ids 0 to "
                f"{src_vocab_size - 1}; encode it with the model's own subwords"
            )


def greedy_search(
    model: SimpleSeq2SeqLSTM,
    sources: Sequence[Sequence[int]],
    search: SearchConfig | None = None,
) -> list[Hypothesis]:
    """Translate each source by taking the most probable token at each step.

    Sentences are sorted by length into batches and leave their batch when they end; a sentence's
    result depends on the other rows only by float rounding. The order of the input is kept.

    Args:
        model: in ``eval`` mode; its device is used.
        sources: source ids with eos, one row each. One without ids gets an empty translation.

    Raises:
        InputError: an id outside the vocabulary, or a source that is too long.
    """
    search = search if search is not None else SearchConfig()
    check_sources(sources, model.src_vocab_size, search)
    results = [EMPTY] * len(sources)
    with torch.inference_mode():
        for rows in batches_by_length([len(s) for s in sources], search):
            batch = _search_batch(model, [sources[row] for row in rows], search)
            for row, hypothesis in zip(rows, batch, strict=True):
                results[row] = hypothesis
    return results


def batches_by_length(lengths: list[int], search: SearchConfig) -> Iterator[list[int]]:
    """Numbers of the sources that are not empty, longest first, so that the largest need of
    memory shows at once."""
    batch: list[int] = []
    for row in sorted((i for i, n in enumerate(lengths) if n), key=lambda i: -lengths[i]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > search.max_source_tokens_per_batch:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def blocked_ids(config: Config, search: SearchConfig) -> list[int]:
    """Ids that a translation may not hold."""
    return [config.pad_idx, config.sos_idx, *([] if search.allow_unk else [config.unk_idx])]


def _search_batch(
    model: SimpleSeq2SeqLSTM, sources: list[Sequence[int]], search: SearchConfig
) -> list[Hypothesis]:
    config = model.config
    device = model.output.weight.device
    padded = torch.full((len(sources), max(map(len, sources))), config.pad_idx, dtype=torch.long)
    for row, source in enumerate(sources):
        padded[row, : len(source)] = torch.tensor(source)
    (hidden, cell), memory = model.encode(padded.to(device))

    blocked = torch.tensor(blocked_ids(config, search), device=device)
    limits = torch.tensor([search.max_length(len(s)) for s in sources], device=device)
    tokens = torch.full((len(sources), int(limits.max())), config.pad_idx, device=device)
    log_probs = torch.zeros(len(sources), dtype=torch.float64, device=device)
    lengths = torch.zeros(len(sources), dtype=torch.long, device=device)

    active = torch.arange(len(sources), device=device)  # rows of the batch still being decoded
    last = torch.full((len(sources), 1), config.sos_idx, device=device)
    for step in range(tokens.size(1)):
        logits, (hidden, cell), _ = model.decode(last, (hidden, cell), memory)
        step_log_probs = torch.log_softmax(logits[:, -1].float(), dim=-1)
        step_log_probs[:, blocked] = -torch.inf
        best, chosen = step_log_probs.max(dim=-1)  # each [active]
        tokens[active, step] = chosen
        log_probs[active] += best
        lengths[active] = step + 1
        going = (chosen != config.eos_idx) & (step + 1 < limits[active])
        if not going.all():
            keep = going.nonzero().squeeze(1)
            if keep.numel() == 0:
                break
            active, chosen = active[keep], chosen[keep]
            hidden, cell, memory = hidden[:, keep], cell[:, keep], memory.rows(keep)
        last = chosen.unsqueeze(1)

    results = []
    for ids, length, log_prob in zip(
        tokens.tolist(), lengths.tolist(), log_probs.tolist(), strict=True
    ):
        truncated = ids[length - 1] != config.eos_idx
        results.append(Hypothesis(ids[:length], log_prob, truncated))
    return results
