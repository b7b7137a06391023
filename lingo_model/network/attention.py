"""Attention over the encoder's outputs.

Shapes: B sentences, S source tokens, T target tokens, H hidden.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn


@dataclasses.dataclass(frozen=True)
class Memory:
    """What the decoder looks back at: encoder ``outputs`` [B, S, H], and ``mask`` [B, S], True
    where there is a token and False where there is padding."""

    outputs: Tensor
    mask: Tensor

    def rows(self, keep: Tensor) -> Memory:
        """The memory of some rows of the batch, by their numbers ``keep``."""
        return Memory(self.outputs[keep], self.mask[keep])


class DotAttention(nn.Module):
    """Score of a source position: its encoder output times the decoder's (Luong et al. 2015,
    section 3.1, "dot")."""

    def forward(self, decoder_outputs: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Context [B, T, H] and weights [B, T, S], for decoder outputs [B, T, H]."""
        scores = decoder_outputs @ memory.outputs.transpose(1, 2)  # [B, T, S]
        return _attend(scores, memory)


class AdditiveAttention(nn.Module):
    """Score of a source position: ``v . tanh(W_dec s + W_enc h)`` (Bahdanau et al. 2015, appendix
    A.1.2)."""

    def __init__(self, hidden_dim: int) -> None:
        super().__init__()
        self.W_dec = nn.Linear(hidden_dim, hidden_dim, bias=False)
        self.W_enc = nn.Linear(hidden_dim, hidden_dim, bias=False)
        self.v = nn.Linear(hidden_dim, 1, bias=False)

    def forward(self, decoder_outputs: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
        """Context [B, T, H] and weights [B, T, S], for decoder outputs [B, T, H]."""
        queries = self.W_dec(decoder_outputs).unsqueeze(2)  # [B, T, 1, H]
        keys = self.W_enc(memory.outputs).unsqueeze(1)  # [B, 1, S, H]
        scores = self.v(torch.tanh(queries + keys)).squeeze(3)  # [B, T, S]
        return _attend(scores, memory)


def _attend(scores: Tensor, memory: Memory) -> tuple[Tensor, Tensor]:
    """Softmax over the source tokens; padding gets no weight, a row of padding alone all zeros."""
    masked = scores.float().masked_fill(~memory.mask.unsqueeze(1), -torch.inf)
    weights = torch.softmax(masked, dim=-1).nan_to_num(0.0).to(memory.outputs.dtype)
    return weights @ memory.outputs, weights
