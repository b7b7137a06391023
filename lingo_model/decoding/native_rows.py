"""The state of the rows that the compiled kernels decode."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor


@dataclasses.dataclass
class NativeRows:
    """The state of M rows. See :class:`~lingo_model.decoding.step_decoder.DecoderRows`.

    The kernels read encoder outputs by address, so rows can be moved without copying them.

    Attributes:
        hidden: hidden state of each layer, activations ``[M, stride]``.
        cell: cell state of each layer, float32 ``[M, stride]``.
        encoder_outputs: int64 ``[M]``, address of each row's encoder outputs; 0 without attention.
        keys: int64 ``[M]``, address of each row's attention keys; 0 without attention.
        lengths: int32 ``[M]``, number of source tokens.
        owners: for each row, the objects that own the memory at these addresses. The list keeps
            them alive.
    """

    hidden: list[Tensor]
    cell: list[Tensor]
    encoder_outputs: Tensor
    keys: Tensor
    lengths: Tensor
    owners: list[object]

    def select(self, indices: Tensor) -> NativeRows:
        """Copy the state of some rows, in the given order; an index may repeat."""
        return NativeRows(
            [part[indices] for part in self.hidden],
            [part[indices] for part in self.cell],
            self.encoder_outputs[indices],
            self.keys[indices],
            self.lengths[indices],
            [self.owners[index] for index in indices.tolist()],
        )

    def replace(self, indices: Tensor, new: NativeRows) -> None:
        """Overwrite the state of some rows."""
        for part, new_part in zip(self._tensors(), new._tensors(), strict=True):
            part[indices] = new_part
        for index, owner in zip(indices.tolist(), new.owners, strict=True):
            self.owners[index] = owner

    def joined(self, other: NativeRows) -> NativeRows:
        """Append the rows of ``other``."""
        return NativeRows(
            [torch.cat(pair) for pair in zip(self.hidden, other.hidden, strict=True)],
            [torch.cat(pair) for pair in zip(self.cell, other.cell, strict=True)],
            torch.cat([self.encoder_outputs, other.encoder_outputs]),
            torch.cat([self.keys, other.keys]),
            torch.cat([self.lengths, other.lengths]),
            [*self.owners, *other.owners],
        )

    def _tensors(self) -> list[Tensor]:
        return [*self.hidden, *self.cell, self.encoder_outputs, self.keys, self.lengths]
