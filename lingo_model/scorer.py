"""Scores given translations: teacher forcing in place of a search.

Shapes: B pairs of a batch, S source tokens, T target tokens, N target tokens without padding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from lingo_model.bundle import Bundle
from lingo_model.errors import InputError
from lingo_model.special_ids import EOS_ID, PAD_ID, SOS_ID

# Padding included. More tokens in a batch are no faster on a core.
_TOKENS_PER_BATCH = 4096
# Bounds the logits, which take vocabulary size x 4 bytes for each token.
_TOKENS_PER_OUTPUT = 1024


class Scorer:
    """Tells how probable a model finds given translations.

    Args:
        bundle: model and subwords. The bundle's model is used as it is, on its device.
    """

    def __init__(self, bundle: Bundle) -> None:
        self._model = bundle.model.eval()
        self._subwords = bundle.subwords
        self._device = next(bundle.model.parameters()).device

    def cross_entropy(self, sources: Sequence[str], targets: Sequence[str]) -> list[float]:
        """Compute the cross-entropy of each target, given its source.

        This is the mean of ``-log p(token | source, tokens before it)`` over the tokens of the
        target, end of sentence included (Junczys-Dowmunt 2018, "Dual conditional cross-entropy
        filtering of noisy parallel corpora", equation 2). The result for a pair depends on the
        other pairs by rounding alone.

        Args:
            sources: any number of texts of any length; they are sorted and batched internally.
            targets: their translations.

        Returns:
            nats a target token, one number for each pair, in the same order.

        Raises:
            InputError: there are not as many targets as sources.
        """
        if len(sources) != len(targets):
            raise InputError(
                f"{len(sources)} sources and {len(targets)} targets: needs one target for each "
                "source"
            )
        source_ids = [[*ids, EOS_ID] for ids in self._subwords.encode(sources)]
        target_ids = [[*ids, EOS_ID] for ids in self._subwords.encode(targets)]
        entropies = [0.0] * len(sources)
        lengths = [(len(t), len(s)) for s, t in zip(source_ids, target_ids, strict=True)]
        with torch.inference_mode():
            for rows in _batches(lengths):
                values = self._of_batch(
                    _padded([source_ids[row] for row in rows]).to(self._device),
                    _padded([target_ids[row] for row in rows]).to(self._device),
                )
                for row, value in zip(rows, values, strict=True):
                    entropies[row] = value
        return entropies

    def _of_batch(self, source: Tensor, target: Tensor) -> list[float]:
        """The cross-entropies of a batch.

        Args:
            source: source ids ``[B, S]``.
            target: target ids up to eos ``[B, T]``.
        """
        start = torch.full_like(target[:, :1], SOS_ID)
        target_in = torch.cat([start, target[:, :-1]], dim=1)
        hidden, _, _ = self._model.decode_hidden(target_in, *self._model.encode(source))
        is_token = target != PAD_ID
        losses = torch.zeros(target.shape, dtype=torch.float64, device=target.device)
        parts = zip(
            torch.split(hidden[is_token], _TOKENS_PER_OUTPUT),  # [N, H]
            torch.split(target[is_token], _TOKENS_PER_OUTPUT),  # [N]
            strict=True,
        )
        losses[is_token] = torch.cat(
            [
                cross_entropy(self._model.output(states), ids, reduction="none").double()
                for states, ids in parts
            ]
        )
        means: list[float] = (losses.sum(dim=1) / is_token.sum(dim=1)).tolist()
        return means


def _batches(lengths: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    """Group pairs of similar lengths. Pairs of equal lengths keep their order.

    Args:
        lengths: number of target and of source tokens of each pair.

    Yields:
        the numbers of a batch's pairs, shortest targets first.
    """
    batch: list[int] = []
    longest = 0
    for row in sorted(range(len(lengths)), key=lengths.__getitem__):
        longest = max(longest, *lengths[row])
        if batch and (len(batch) + 1) * longest > _TOKENS_PER_BATCH:
            yield batch
            batch, longest = [], max(lengths[row])
        batch.append(row)
    if batch:
        yield batch


def _padded(rows: Sequence[Sequence[int]]) -> Tensor:
    ids = [torch.tensor(row) for row in rows]
    return pad_sequence(ids, batch_first=True, padding_value=PAD_ID)
