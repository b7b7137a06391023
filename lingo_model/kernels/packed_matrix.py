"""Weights in the layout that the decoding kernels read.

Packed weights lie in panels of 64 outputs, see native/kernels.cpp.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor
from torch.nn import functional

from lingo_model.kernels.library import MatrixStruct
from lingo_model.kernels.precision import ACTIVATION_SCALE, ACTIVATION_ZERO, KernelPrecision

N_LANES = 16
"""Number of float32 values in a vector register."""
_N_VECTORS = 4
PANEL = N_LANES * _N_VECTORS
"""Number of outputs in a panel."""


def padded(size: int, multiple: int = N_LANES) -> int:
    """``size`` rounded up to a multiple of ``multiple``."""
    return -(-size // multiple) * multiple


class PackedMatrix:
    """``y = W [x1; x2] + bias`` in the layout and precision that the kernels read.

    Args:
        precision: number format of the packed weights.
        weights: one or two float32 matrices ``[N, K1]``, ``[N, K2]``.
        bias: float32 ``[N]``.
        gates: whether the N outputs are the four gates of an LSTM layer. The four gates of a
            hidden unit then lie in the same panel.

    Attributes:
        n_outputs: N.
        n_panels: number of panels.
        input_widths: number of activations that the kernels read of x1 and of x2; 0 if there is
            no such input.
    """

    def __init__(
        self, precision: KernelPrecision, weights: list[Tensor], bias: Tensor, *, gates: bool
    ) -> None:
        per_word = precision.inputs_per_word
        parts = [
            functional.pad(w.float(), (0, padded(w.size(1), per_word) - w.size(1))) for w in weights
        ]
        words = [part.size(1) // per_word for part in parts]
        weight = in_panels(torch.cat(parts, dim=1), gates=gates)  # [P * 64, K]
        self.precision = precision
        self.gates = gates
        self.n_outputs = weights[0].size(0)
        self.n_panels = weight.size(0) // PANEL
        # `clone`: without padding the result would share memory with a model still in training.
        self.bias = in_panels(bias.float().unsqueeze(1), gates=gates).squeeze(1).clone()
        self.output_scale: Tensor | None = None
        self.sum_start: Tensor | None = None
        if not gates:
            self.bias[self.n_outputs :] = -torch.inf
        if precision.name == "int8":
            weight_scale = weight.abs().amax(dim=1).clamp(min=1e-12) / 127.0
            weight = weight.div_(weight_scale.unsqueeze(1)).round_().clamp_(-127, 127)
            self.output_scale = (weight_scale / ACTIVATION_SCALE).contiguous()
            self.sum_start = (-ACTIVATION_ZERO * weight.sum(dim=1)).to(torch.int32)
        # The only input of a linear layer is x1. The only input of an LSTM layer, its state, is x2.
        k1_words, k2_words = words if len(words) == 2 else (0, *words) if gates else (*words, 0)
        self.input_widths = (k1_words * per_word, k2_words * per_word)
        self.packed = (
            weight.to(precision.weight)
            .view(self.n_panels, PANEL, sum(words), per_word)
            .transpose(1, 2)
            .contiguous()
        )
        self._struct = MatrixStruct(
            precision=precision.code,
            n_outputs=self.n_outputs,
            n_panels=self.n_panels,
            k1_words=k1_words,
            k2_words=k2_words,
            packed=self.packed.data_ptr(),
            sum_start=address(self.sum_start),
            output_scale=address(self.output_scale),
            bias=self.bias.data_ptr(),
        )

    @property
    def pointer(self) -> object:
        """Pointer to the C struct."""
        return ctypes.byref(self._struct)


def in_panels(rows: Tensor, *, gates: bool) -> Tensor:
    """Arrange rows ``[N, K]`` in the order of the panels, with zeros in unused rows.

    Args:
        rows: one row per output. For an LSTM layer N = 4 H, gate by gate.
        gates: whether to interleave the gates: i, f, g, o of 16 hidden units, then of the next 16.

    Returns:
        ``[P * 64, K]`` for P panels.
    """
    if not gates:
        return functional.pad(rows, (0, 0, 0, padded(rows.size(0), PANEL) - rows.size(0)))
    hidden = rows.size(0) // _N_VECTORS
    by_gate = rows.view(_N_VECTORS, hidden, -1)
    by_gate = functional.pad(by_gate, (0, 0, 0, padded(hidden) - hidden))
    by_unit = by_gate.view(_N_VECTORS, padded(hidden) // N_LANES, N_LANES, -1).transpose(0, 1)
    return by_unit.reshape(_N_VECTORS * padded(hidden), -1)


def address(tensor: Tensor | None) -> int | None:
    """Address of a tensor's memory, or None (a null pointer) for None."""
    return None if tensor is None else tensor.data_ptr()
