"""A model on torch's own operations, for any device and for machines without the kernels.

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

from lingo_model.network.attention import EncoderOutputs
from lingo_model.network.lstm import SimpleSeq2SeqLSTM


@dataclasses.dataclass
class TorchRows:
    """The state of M rows. See :class:`~lingo_model.decoding.step_decoder.DecoderRows`.

    Attributes:
        hidden: ``[L, M, H]``.
        cell: ``[L, M, H]``.
        encoder_outputs: outputs ``[M, S, H]`` and mask ``[M, S]``; None without attention.
    """

    hidden: Tensor
    cell: Tensor
    encoder_outputs: EncoderOutputs | None

    def select(self, indices: Tensor) -> TorchRows:
        """Copy the state of some rows, in the given order; an index may repeat."""
        encoder_outputs = self.encoder_outputs
        if encoder_outputs is not None:
            encoder_outputs = encoder_outputs.rows(indices)
        return TorchRows(self.hidden[:, indices], self.cell[:, indices], encoder_outputs)

    def replace(self, indices: Tensor, new: TorchRows) -> None:
        """Overwrite the state of some rows."""
        self.hidden[:, indices] = new.hidden
        self.cell[:, indices] = new.cell
        if self.encoder_outputs is not None and new.encoder_outputs is not None:
            old, fresh = _equally_wide(self.encoder_outputs, new.encoder_outputs)
            old.outputs[indices] = fresh.outputs
            old.mask[indices] = fresh.mask
            self.encoder_outputs = old

    def joined(self, other: TorchRows) -> TorchRows:
        """Append the rows of ``other``."""
        encoder_outputs = None
        if self.encoder_outputs is not None and other.encoder_outputs is not None:
            first, second = _equally_wide(self.encoder_outputs, other.encoder_outputs)
            encoder_outputs = EncoderOutputs(
                torch.cat([first.outputs, second.outputs]), torch.cat([first.mask, second.mask])
            )
        return TorchRows(
            torch.cat([self.hidden, other.hidden], dim=1),
            torch.cat([self.cell, other.cell], dim=1),
            encoder_outputs,
        )


def _equally_wide(
    first: EncoderOutputs, second: EncoderOutputs
) -> tuple[EncoderOutputs, EncoderOutputs]:
    n_positions = max(first.mask.size(1), second.mask.size(1))
    return _widened(first, n_positions), _widened(second, n_positions)


def _widened(encoder_outputs: EncoderOutputs, n_positions: int) -> EncoderOutputs:
    n_new = n_positions - encoder_outputs.mask.size(1)
    if n_new == 0:
        return encoder_outputs
    return EncoderOutputs(
        functional.pad(encoder_outputs.outputs, (0, 0, 0, n_new)),
        functional.pad(encoder_outputs.mask, (0, n_new)),
    )


class TorchDecoder:
    """A :class:`~lingo_model.decoding.step_decoder.StepDecoder` on torch's operations.

    Args:
        model: in ``eval`` mode.
        dtype: type of weights and states; log probabilities are float32.
    """

    def __init__(self, model: SimpleSeq2SeqLSTM, dtype: torch.dtype = torch.float32) -> None:
        self.config = model.config
        self.src_vocab_size, self.tgt_vocab_size = model.src_vocab_size, model.tgt_vocab_size
        self.device = model.output.weight.device
        has_dtype = model.output.weight.dtype == dtype
        self._model = model if has_dtype else copy.deepcopy(model).to(dtype)

    def blocked(self, ids: Sequence[int]) -> Tensor:
        """Make the ``blocked`` argument of :meth:`best` and :meth:`k_best`, float32 ``[V]``."""
        blocked = torch.zeros(self.tgt_vocab_size)
        blocked[list(ids)] = -torch.inf
        return blocked.to(self.device)

    def encode(self, sources: Sequence[Sequence[int]]) -> TorchRows:
        """Encode sources, longest first, and return the state before the first step."""
        padded = torch.full((len(sources), len(sources[0])), self.config.pad_idx)
        for row, source in enumerate(sources):
            padded[row, : len(source)] = torch.tensor(source)
        (hidden, cell), encoder_outputs = self._model.encode(padded.to(self.device))
        return TorchRows(hidden, cell, encoder_outputs if self.config.lstm_attention else None)

    def best(self, rows: TorchRows, tokens: Tensor, blocked: Tensor) -> tuple[Tensor, Tensor]:
        """Make one step and choose the most probable token of each row.

        See :meth:`StepDecoder.best <lingo_model.decoding.step_decoder.StepDecoder.best>`.
        """
        logits = self._step(rows, tokens)
        best_logits, chosen = (logits + blocked).max(dim=1)
        return chosen, best_logits - logits.logsumexp(dim=1)

    def k_best(
        self, rows: TorchRows, tokens: Tensor, blocked: Tensor, k: int
    ) -> tuple[Tensor, Tensor]:
        """Make one step and choose the k most probable tokens of each row, best first.

        See :meth:`StepDecoder.k_best <lingo_model.decoding.step_decoder.StepDecoder.k_best>`.
        """
        logits = self._step(rows, tokens)
        best_logits, chosen = (logits + blocked).topk(k, dim=1)
        return chosen, best_logits - logits.logsumexp(dim=1, keepdim=True)

    def _step(self, rows: TorchRows, tokens: Tensor) -> Tensor:
        """Change ``rows`` to the next state and return logits, float32 ``[M, V]``."""
        encoder_outputs = rows.encoder_outputs
        state = (rows.hidden.contiguous(), rows.cell.contiguous())
        logits, (rows.hidden, rows.cell), _ = self._model.decode(
            tokens.long().unsqueeze(1),
            state,
            encoder_outputs if encoder_outputs is not None else _NO_ENCODER_OUTPUTS,
        )
        return logits[:, -1].float()


_NO_ENCODER_OUTPUTS = EncoderOutputs(torch.empty(0), torch.empty(0, dtype=torch.bool))
