"""Attention over the outputs of the encoder.

Shapes: B sentences, S source tokens, T target tokens, H hidden.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn


@dataclasses.dataclass(frozen=True)
class EncoderOutputs:
    """The outputs of the encoder, which the decoder attends to.

    Attributes:
        outputs: ``[B, S, H]``.
        mask: ``[B, S]``, True at tokens and False at padding.
    """

    outputs: Tensor
    mask: Tensor

    def rows(self, indices: Tensor) -> EncoderOutputs:
        """Select rows of the batch by index."""
        return EncoderOutputs(self.outputs[indices], self.mask[indices])


class DotAttention(nn.Module):
    """Attention that scores a source position by ``s . h``, the product of the decoder's output
    and the encoder's output (Luong et al. 2015, section 3.1, "dot")."""

    def forward(
        self, decoder_outputs: Tensor, encoder_outputs: EncoderOutputs
    ) -> tuple[Tensor, Tensor]:
        """Return context ``[B, T, H]`` and weights ``[B, T, S]`` for decoder outputs
        ``[B, T, H]``."""
        scores = decoder_outputs @ encoder_outputs.outputs.transpose(1, 2)  # [B, T, S]
        return _weighted_mean(scores, encoder_outputs)


class AdditiveAttention(nn.Module):
    """Attention that scores a source position by ``v . tanh(W_dec s + W_enc h)`` (Bahdanau et al.
    2015, appendix A.1.2)."""

    def __init__(self, hidden_dim: int) -> None:
        super().__init__()
        self.W_dec = nn.Linear(hidden_dim, hidden_dim, bias=False)
        self.W_enc = nn.Linear(hidden_dim, hidden_dim, bias=False)
        self.v = nn.Linear(hidden_dim, 1, bias=False)

    def forward(
        self, decoder_outputs: Tensor, encoder_outputs: EncoderOutputs
    ) -> tuple[Tensor, Tensor]:
        """Return context ``[B, T, H]`` and weights ``[B, T, S]`` for decoder outputs
        ``[B, T, H]``."""
        queries = self.W_dec(decoder_outputs).unsqueeze(2)  # [B, T, 1, H]
        keys = self.W_enc(encoder_outputs.outputs).unsqueeze(1)  # [B, 1, S, H]
        scores = self.v(torch.tanh(queries + keys)).squeeze(3)  # [B, T, S]
        return _weighted_mean(scores, encoder_outputs)


def _weighted_mean(scores: Tensor, encoder_outputs: EncoderOutputs) -> tuple[Tensor, Tensor]:
    """Softmax over the source tokens, and the mean of the outputs with these weights.

    Padding gets weight 0. In a row that is all padding every weight is 0.
    """
    masked = scores.float().masked_fill(~encoder_outputs.mask.unsqueeze(1), -torch.inf)
    weights = torch.softmax(masked, dim=-1).nan_to_num(0.0).to(encoder_outputs.outputs.dtype)
    return weights @ encoder_outputs.outputs, weights
