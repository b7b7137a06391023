"""The interface between search and model: encode sources, then decode step by step.

Shapes: M rows that are being decoded, V target vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

from lingo_model.network.config import ModelConfig


class DecoderRows(Protocol):
    """The state of M rows. A step changes it in place."""

    def select(self, indices: Tensor) -> Self:
        """Copy the state of some rows, in the given order; an index may repeat."""
        ...

    def replace(self, indices: Tensor, new: Self) -> None:
        """Overwrite the state of some rows."""
        ...

    def joined(self, other: Self) -> Self:
        """Append the rows of ``other``."""
        ...


Rows = TypeVar("Rows", bound=DecoderRows)


class StepDecoder(Protocol[Rows]):
    """A model that decodes any number of rows step by step."""

    config: ModelConfig
    device: torch.device
    src_vocab_size: int
    tgt_vocab_size: int

    def blocked(self, ids: Sequence[int]) -> Tensor:
        """Make the ``blocked`` argument of :meth:`best` and :meth:`k_best` for some ids."""
        ...

    def encode(self, sources: Sequence[Sequence[int]]) -> Rows:
        """Encode sources, longest first, and return the state before the first step."""
        ...

    def best(self, rows: Rows, tokens: Tensor, blocked: Tensor) -> tuple[Tensor, Tensor]:
        """Make one step and choose the most probable token of each row.

        Args:
            rows: state of M rows; changed to the state after the step.
            tokens: the last token of each row, int32 ``[M]``.
            blocked: the result of :meth:`blocked`; these tokens are not chosen.

        Returns:
            tokens ``[M]`` and their log probabilities ``[M]``.
        """
        ...

    def k_best(self, rows: Rows, tokens: Tensor, blocked: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Make one step and choose the k most probable tokens of each row, best first.

        Args:
            rows: state of M rows; changed to the state after the step.
            tokens: the last token of each row, int32 ``[M]``.
            blocked: the result of :meth:`blocked`; these tokens are not chosen.
            k: number of tokens, 1 to V.

        Returns:
            tokens ``[M, k]`` and their log probabilities ``[M, k]``.
        """
        ...
