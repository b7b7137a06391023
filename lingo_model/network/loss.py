"""What training minimises: the cross-entropy of the target tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lingo_model.kernels import autograd as cpu_training
from lingo_model.network.lstm import SimpleSeq2SeqLSTM
from lingo_model.subwords import N_SPECIAL


class SummedLoss(nn.Module):
    """Cross-entropy summed over a batch's target tokens (nats), padding left out.

    A module, so that DistributedDataParallel can wrap model and loss in one.

    Args:
        model: what is trained. label_smoothing: the share of probability spread evenly over the
            vocabulary (Szegedy et al. 2016, section 7).
        word_dropout: probability that a source token reads as unk, in ``train`` mode. Special
            symbols and placeholders always stand. (As whole words are dropped in Sennrich et al.
            2016, "Edinburgh Neural Machine Translation Systems for WMT 16", section 2.)
    """

    def __init__(
        self, model: SimpleSeq2SeqLSTM, *, label_smoothing: float = 0.0, word_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.model = model
        self._label_smoothing = label_smoothing
        self._word_dropout = word_dropout

    def forward(self, src: Tensor, tgt_in: Tensor, tgt_out: Tensor) -> Tensor:
        """The loss of ``tgt_out`` [B, T] after source ids ``src`` [B, S] and, teacher forced,
        ``tgt_in`` [B, T]."""
        output, pad = self.model.output, self.model.config.pad_idx
        if self.training and self._word_dropout:
            dropped = torch.rand(src.shape, device=src.device) < self._word_dropout
            src = src.masked_fill(dropped & (src >= N_SPECIAL), self.model.config.unk_idx)
        hidden, _, _ = self.model.decode_hidden(tgt_in, *self.model.encode(src))  # [B, T, H]
        if cpu_training.is_used(hidden, *output.weight.shape):
            kept = tgt_out != pad
            return cpu_training.cross_entropy_sum(
                hidden[kept],
                output.weight,
                output.bias,
                tgt_out[kept],
                label_smoothing=self._label_smoothing,
            )
        return cross_entropy(
            output(hidden).flatten(0, 1),
            tgt_out.flatten(),
            ignore_index=pad,
            reduction="sum",
            label_smoothing=self._label_smoothing,
        )
