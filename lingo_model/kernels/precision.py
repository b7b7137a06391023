"""The number formats of the kernels' activations and weights."""

from __future__ import annotations

import dataclasses

import torch

from lingo_model.kernels.library import PRECISION_CODES

_WORD_BYTES = 4
ACTIVATION_SCALE = 127.0
"""int8: an activation of 1.0 is this many levels above the zero point."""
ACTIVATION_ZERO = 128
"""int8: the level that stands for an activation of 0."""


@dataclasses.dataclass(frozen=True)
class KernelPrecision:
    """A number format of the kernels.

    Attributes:
        name: ``float32``, ``bfloat16`` or ``int8``.
        code: the number that native/kernels.cpp gives the format.
        activation: type of inputs and outputs.
        weight: type of packed weights.
        gate_table: type of the table of input-side gates, see
            :class:`~lingo_model.decoding.native_decoder.NativeDecoder`.
    """

    name: str
    code: int
    activation: torch.dtype
    weight: torch.dtype
    gate_table: torch.dtype

    @property
    def inputs_per_word(self) -> int:
        """Number of activations in a word of four bytes, the kernels' unit of input."""
        return _WORD_BYTES // self.activation.itemsize


KERNEL_PRECISIONS = {
    name: KernelPrecision(name, PRECISION_CODES[name], *dtypes)
    for name, dtypes in {
        "float32": (torch.float32, torch.float32, torch.float32),
        "bfloat16": (torch.bfloat16, torch.bfloat16, torch.float16),
        "int8": (torch.uint8, torch.int8, torch.float16),
    }.items()
}
