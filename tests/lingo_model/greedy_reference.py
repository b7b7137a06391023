"""Greedy search in its plainest form: the oracle for the decoding engine."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lingo_model import Hypothesis, SearchConfig, SimpleSeq2SeqLSTM
from lingo_model.decoding.encoded_sources import batches_by_length, check_sources
from lingo_model.decoding.search_config import EMPTY_HYPOTHESIS


def greedy_search(
    model: SimpleSeq2SeqLSTM,
    sources: Sequence[Sequence[int]],
    search: SearchConfig | None = None,
) -> list[Hypothesis]:
    """Translate each source by taking the most probable token at each step.

    Sentences are batched by length and leave their batch when they end. The result of a sentence
    depends on the other rows only by float rounding.

    Args:
        model: in ``eval`` mode; its device is used.
        sources: source ids with eos. A source without ids gets an empty translation.
        search: length limits and blocked ids.

    Raises:
        InputError: a source is too long, or contains an id outside the vocabulary.
    """
    search = search if search is not None else SearchConfig()
    check_sources(sources, model.src_vocab_size, search)
    results = [EMPTY_HYPOTHESIS] * len(sources)
    with torch.inference_mode():
        for rows in batches_by_length([len(source) for source in sources], search):
            batch = _search_batch(model, [sources[row] for row in rows], search)
            for row, hypothesis in zip(rows, batch, strict=True):
                results[row] = hypothesis
    return results


def _search_batch(
    model: SimpleSeq2SeqLSTM, sources: list[Sequence[int]], search: SearchConfig
) -> list[Hypothesis]:
    config = model.config
    device = model.output.weight.device
    padded = torch.full((len(sources), max(map(len, sources))), config.pad_idx, dtype=torch.long)
    for row, source in enumerate(sources):
        padded[row, : len(source)] = torch.tensor(source)
    (hidden, cell), encoder_outputs = model.encode(padded.to(device))

    blocked = torch.tensor(search.blocked_ids(config), device=device)
    max_lengths = torch.tensor([search.max_length(len(s)) for s in sources], device=device)
    tokens = torch.full((len(sources), int(max_lengths.max())), config.pad_idx, device=device)
    log_probs = torch.zeros(len(sources), dtype=torch.float64, device=device)
    lengths = torch.zeros(len(sources), dtype=torch.long, device=device)

    active = torch.arange(len(sources), device=device)  # rows that are still being decoded
    last = torch.full((len(sources), 1), config.sos_idx, device=device)
    for step in range(tokens.size(1)):
        logits, (hidden, cell), _ = model.decode(last, (hidden, cell), encoder_outputs)
        step_log_probs = torch.log_softmax(logits[:, -1].float(), dim=-1)
        step_log_probs[:, blocked] = -torch.inf
        best, chosen = step_log_probs.max(dim=-1)  # each [active]
        tokens[active, step] = chosen
        log_probs[active] += best
        lengths[active] = step + 1
        alive = (chosen != config.eos_idx) & (step + 1 < max_lengths[active])
        if not alive.all():
            kept = alive.nonzero().squeeze(1)
            if kept.numel() == 0:
                break
            active, chosen = active[kept], chosen[kept]
            hidden, cell = hidden[:, kept], cell[:, kept]
            encoder_outputs = encoder_outputs.rows(kept)
        last = chosen.unsqueeze(1)

    results = []
    for ids, length, log_prob in zip(
        tokens.tolist(), lengths.tolist(), log_probs.tolist(), strict=True
    ):
        truncated = ids[length - 1] != config.eos_idx
        results.append(Hypothesis(ids[:length], log_prob, truncated))
    return results
