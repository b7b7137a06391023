"""A model on torch's own operations: any device, and the fallback where kernels are missing.

Shapes: B sentences of a batch, S source tokens, M rows that are being decoded, H hidden, V target
vocabulary, L layers.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from lingo_model.network.attention import Memory
from lingo_model.network.lstm import SimpleSeq2SeqLSTM


@dataclasses.dataclass
class TorchRows:
    """State of M rows: ``hidden`` and ``cell`` [L, M, H]; with attention the encoder's ``outputs``
    [M, S, H] and ``mask`` [M, S], else None."""

    hidden: Tensor
    cell: Tensor
    memory: Memory | None

    def select(self, rows: Tensor) -> TorchRows:
        """The state of some rows, in that order; a row may come more than once."""
        memory = None if self.memory is None else self.memory.rows(rows)
        return TorchRows(self.hidden[:, rows], self.cell[:, rows], memory)

    def replace(self, rows: Tensor, new: TorchRows) -> None:
        """Put ``new`` into these rows."""
        self.hidden[:, rows] = new.hidden
        self.cell[:, rows] = new.cell
        if self.memory is not None and new.memory is not None:
            n_positions = max(self.memory.mask.size(1), new.memory.mask.size(1))
            self.memory, fresh = (
                _widened(self.memory, n_positions),
                _widened(new.memory, n_positions),
            )
            self.memory.outputs[rows] = fresh.outputs
            self.memory.mask[rows] = fresh.mask

    def joined(self, other: TorchRows) -> TorchRows:
        """These rows, then the others."""
        memory = None
        if self.memory is not None and other.memory is not None:
            n_positions = max(self.memory.mask.size(1), other.memory.mask.size(1))
            first, second = (_widened(m, n_positions) for m in (self.memory, other.memory))
            memory = Memory(
                torch.cat([first.outputs, second.outputs]), torch.cat([first.mask, second.mask])
            )
        return TorchRows(
            torch.cat([self.hidden, other.hidden], dim=1),
            torch.cat([self.cell, other.cell], dim=1),
            memory,
        )


def _widened(memory: Memory, n_positions: int) -> Memory:
    extra = n_positions - memory.mask.size(1)
    if extra == 0:
        return memory
    return Memory(
        functional.pad(memory.outputs, (0, 0, 0, extra)), functional.pad(memory.mask, (0, extra))
    )


class TorchDecoder:
    """Encodes sources and makes decoding steps for any number of rows.

    Args:
        model: in ``eval`` mode. dtype: of weights and states; log probabilities are float32.
    """

    def __init__(self, model: SimpleSeq2SeqLSTM, dtype: torch.dtype = torch.float32) -> None:
        self.config = model.config
        self.src_vocab_size, self.tgt_vocab_size = model.src_vocab_size, model.tgt_vocab_size
        self.device = model.output.weight.device
        same = model.output.weight.dtype == dtype
        self._model = model if same else copy.deepcopy(model).to(dtype)

    def blocked(self, ids: Sequence[int]) -> Tensor:
        """What :meth:`best` and :meth:`k_best` take so that ``ids`` are not chosen."""
        blocked = torch.zeros(self.tgt_vocab_size)
        blocked[list(ids)] = -torch.inf
        return blocked.to(self.device)

    def encode(self, sources: Sequence[Sequence[int]]) -> TorchRows:
        """State before the first step, one row for each source, longest source first."""
        padded = torch.full((len(sources), len(sources[0])), self.config.pad_idx)
        for row, source in enumerate(sources):
            padded[row, : len(source)] = torch.tensor(source)
        (hidden, cell), memory = self._model.encode(padded.to(self.device))
        return TorchRows(hidden, cell, memory if self.config.lstm_attention else None)

    def best(self, rows: TorchRows, tokens: Tensor, blocked: Tensor) -> tuple[Tensor, Tensor]:
        """One step: the most probable token [M] after ``tokens`` [M], and its log probability;
        ``rows`` go on to the new state."""
        logits = self._step(rows, tokens)
        top, chosen = (logits + blocked).max(dim=1)
        return chosen, top - logits.logsumexp(dim=1)

    def k_best(
        self, rows: TorchRows, tokens: Tensor, blocked: Tensor, k: int
    ) -> tuple[Tensor, Tensor]:
        """One step: as :meth:`best`, but the k most probable tokens [M, k]."""
        logits = self._step(rows, tokens)
        top, chosen = (logits + blocked).topk(k, dim=1)
        return chosen, top - logits.logsumexp(dim=1, keepdim=True)

    def _step(self, rows: TorchRows, tokens: Tensor) -> Tensor:
        """Logits [M, V], float32."""
        memory = rows.memory if rows.memory is not None else _NO_MEMORY
        state = (rows.hidden.contiguous(), rows.cell.contiguous())
        logits, (rows.hidden, rows.cell), _ = self._model.decode(
            tokens.long().unsqueeze(1), state, memory
        )
        return logits[:, -1].float()


_NO_MEMORY = Memory(torch.empty(0), torch.empty(0, dtype=torch.bool))
