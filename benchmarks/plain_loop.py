"""Greedy decoding as in a tutorial, for comparison with the engine.

It decodes batches in the order of the input, each until its last row has ended.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from lingo_model import Hypothesis, SimpleSeq2SeqLSTM
from lingo_model.special_ids import EOS_ID, PAD_ID, SOS_ID


def plain_loop(
    model: SimpleSeq2SeqLSTM,
    sources: list[list[int]],
    *,
    batch_size: int,
    max_length: Callable[[int], int],
) -> list[Hypothesis]:
    """Find the greedy translation of each source.

    Args:
        model: in ``eval`` mode.
        sources: source ids with eos.
        batch_size: sentences in a batch.
        max_length: maximum number of target tokens for a number of source tokens.

    Returns:
        one hypothesis for each source, in the same order.
    """
    device, hypotheses = model.output.weight.device, []
    with torch.inference_mode():
        for start in range(0, len(sources), batch_size):
            batch = sources[start : start + batch_size]
            width = max(map(len, batch))
            padded = torch.tensor([s + [PAD_ID] * (width - len(s)) for s in batch], device=device)
            state, encoder_outputs = model.encode(padded)
            last = torch.full((len(batch), 1), SOS_ID, device=device)
            log_probs = torch.zeros(len(batch), device=device)
            ended = torch.zeros(len(batch), dtype=torch.bool, device=device)
            steps = []
            for _ in range(max_length(width)):
                logits, state, _ = model.decode(last, state, encoder_outputs)
                best, last = logits[:, -1].log_softmax(dim=1).max(dim=1, keepdim=True)
                log_probs += torch.where(ended, 0.0, best[:, 0])
                steps.append(last[:, 0])
                ended |= last[:, 0] == EOS_ID
                if ended.all():
                    break
            rows = torch.stack(steps, dim=1).tolist()
            for source, ids, log_prob in zip(batch, rows, log_probs.tolist(), strict=True):
                ids = ids[: max_length(len(source))]
                ids = ids[: ids.index(EOS_ID) + 1] if EOS_ID in ids else ids
                hypotheses.append(Hypothesis(ids, log_prob, truncated=ids[-1] != EOS_ID))
    return hypotheses
