"""Greedy search, batched over sentences: the reference that faster engines must reproduce."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import torch

from lingo_model.config import Config
from lingo_model.lstm import SimpleSeq2SeqLSTM


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How far a search goes, and what it may produce.

    A translation holds at most ``max_length_ratio * n_source_tokens + max_length_offset`` tokens,
    end of sentence included.
    """

    max_length_ratio: float = 2.0
    max_length_offset: int = 10
    max_source_tokens_per_batch: int = 4096
    allow_unk: bool = False

    def max_length(self, n_source_tokens: int) -> int:
        """Most target tokens for a source of ``n_source_tokens``, end of sentence included."""
        return int(self.max_length_ratio * n_source_tokens) + self.max_length_offset


@dataclasses.dataclass(frozen=True, slots=True)
class Hypothesis:
    """One translation: ids with eos (unless cut off), and ``sum log p`` of those ids (nats)."""

    token_ids: list[int]
    log_prob: float
    truncated: bool

    @property
    def score(self) -> float:
        """Mean log probability of a token, end of sentence included (nats)."""
        return self.log_prob / len(self.token_ids)


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
        sources: source ids with eos, one row each, at least one id.
    """
    search = search if search is not None else SearchConfig()
    results: list[Hypothesis | None] = [None] * len(sources)
    with torch.inference_mode():
        for rows in _batches_by_length([len(s) for s in sources], search):
            batch = _search_batch(model, [sources[row] for row in rows], search)
            for row, hypothesis in zip(rows, batch, strict=True):
                results[row] = hypothesis
    return [hypothesis for hypothesis in results if hypothesis is not None]


def _batches_by_length(lengths: list[int], search: SearchConfig) -> Iterator[list[int]]:
    """Row numbers, longest first, so that the largest need of memory shows at once."""
    batch: list[int] = []
    for row in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
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
