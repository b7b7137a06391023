"""What one writes first: batches in the order of the input, each until its last row has ended."""

from __future__ import annotations

from collections.abc import Callable

import torch

from lingo_model import Hypothesis, SimpleSeq2SeqLSTM

_PAD, _SOS, _EOS = 0, 2, 3


def plain_loop(
    model: SimpleSeq2SeqLSTM,
    sources: list[list[int]],
    *,
    batch_size: int,
    max_length: Callable[[int], int],
) -> list[Hypothesis]:
    """Greedy translations; ``max_length`` gives the most tokens for a number of source tokens."""
    device, found = model.output.weight.device, []
    with torch.inference_mode():
        for start in range(0, len(sources), batch_size):
            part = sources[start : start + batch_size]
            width = max(map(len, part))
            batch = torch.tensor([s + [_PAD] * (width - len(s)) for s in part], device=device)
            state, memory = model.encode(batch)
            last = torch.full((len(part), 1), _SOS, device=device)
            log_probs = torch.zeros(len(part), device=device)
            ended = torch.zeros(len(part), dtype=torch.bool, device=device)
            steps = []
            for _ in range(max_length(width)):
                logits, state, _ = model.decode(last, state, memory)
                best, last = logits[:, -1].log_softmax(dim=1).max(dim=1, keepdim=True)
                log_probs += torch.where(ended, 0.0, best[:, 0])
                steps.append(last[:, 0])
                ended |= last[:, 0] == _EOS
                if ended.all():
                    break
            rows = torch.stack(steps, dim=1).tolist()
            for source, ids, log_prob in zip(part, rows, log_probs.tolist(), strict=True):
                ids = ids[: max_length(len(source))]
                ids = ids[: ids.index(_EOS) + 1] if _EOS in ids else ids
                found.append(Hypothesis(ids, log_prob, truncated=ids[-1] != _EOS))
    return found
