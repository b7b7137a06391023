"""The training loss: cross-entropy of the target tokens.

Shapes: B sentences, S source tokens, T target tokens, H hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lingo_model.network.lstm import SimpleSeq2SeqLSTM
from lingo_model.special_ids import N_SPECIAL


class OutputCrossEntropy(nn.Module):
    """The output layer and the cross-entropy as one step. It has no weights of its own.

    Args:
        pad_idx: id of padding, which does not count.
        label_smoothing: share of probability that is spread evenly over the vocabulary.
    """

    def __init__(self, pad_idx: int, label_smoothing: float) -> None:
        super().__init__()
        self.pad_idx = pad_idx
        self.label_smoothing = label_smoothing

    def forward(self, hidden: Tensor, output: nn.Linear, targets: Tensor) -> Tensor:
        """Sum the cross-entropy over all target tokens (nats).

        Args:
            hidden: input of the output layer ``[B, T, H]``.
            output: the output layer.
            targets: target ids ``[B, T]``.
        """
        return cross_entropy(
            output(hidden).flatten(0, 1),
            targets.flatten(),
            ignore_index=self.pad_idx,
            reduction="sum",
            label_smoothing=self.label_smoothing,
        )


class SummedLoss(nn.Module):
    """Cross-entropy summed over the target tokens of a batch (nats), without padding.

    It is a module so that DistributedDataParallel can wrap model and loss together.

    Args:
        model: the model to train.
        label_smoothing: share of probability that is spread evenly over the vocabulary (Szegedy et
            al. 2016, section 7).
        word_dropout: probability that a source token is replaced by unk, in ``train`` mode only.
            Special symbols and placeholders are never replaced. (Sennrich et al. 2016, "Edinburgh
            Neural Machine Translation Systems for WMT 16", section 2, drop whole words like this.)
    """

    def __init__(
        self, model: SimpleSeq2SeqLSTM, *, label_smoothing: float = 0.0, word_dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.model = model
        self.output_loss = OutputCrossEntropy(model.pad_idx, label_smoothing)
        self._word_dropout = word_dropout

    def forward(self, src: Tensor, tgt_in: Tensor, tgt_out: Tensor) -> Tensor:
        """Compute the loss of one batch with teacher forcing.

        Args:
            src: source ids ``[B, S]``.
            tgt_in: target ids from sos ``[B, T]``, which the decoder reads.
            tgt_out: target ids up to eos ``[B, T]``, which the decoder should predict.

        Returns:
            the summed loss, a scalar.
        """
        if self.training and self._word_dropout:
            dropped = torch.rand(src.shape, device=src.device) < self._word_dropout
            src = src.masked_fill(dropped & (src >= N_SPECIAL), self.model.config.unk_idx)
        hidden, _, _ = self.model.decode_hidden(tgt_in, *self.model.encode(src))  # [B, T, H]
        loss: Tensor = self.output_loss(hidden, self.model.output, tgt_out)
        return loss
