"""The compiled kernels of native/kernels.cpp, called through ctypes with torch tensors.

The library is built with the package where there is a C++ compiler; where there is none, or the
processor lacks AVX-512, :func:`native_tiers` is empty and the engine runs on torch alone.
"""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import importlib.util

import torch
from torch import Tensor
from torch.nn import functional

N_LANES = 16
_N_VECTORS = 4
PANEL = N_LANES * _N_VECTORS
_WORD_BYTES = 4
ACTIVATION_SCALE = 127.0
ACTIVATION_ZERO = 128


@dataclasses.dataclass(frozen=True)
class Tier:
    """A precision of the kernels; ``code`` is what kernels.cpp calls it."""

    name: str
    code: int
    activation: torch.dtype
    weight: torch.dtype
    gate_table: torch.dtype

    @property
    def inputs_per_word(self) -> int:
        """How many activations make the four bytes that the kernels take at a time."""
        return _WORD_BYTES // self.activation.itemsize


TIERS = {
    tier.name: tier
    for tier in (
        Tier("exact", 0, torch.float32, torch.float32, torch.float32),
        Tier("bf16", 1, torch.bfloat16, torch.bfloat16, torch.float16),
        Tier("int8", 2, torch.uint8, torch.int8, torch.float16),
    )
}


class _Matrix(ctypes.Structure):
    _fields_ = (
        ("tier", ctypes.c_int32),
        ("n_outputs", ctypes.c_int32),
        ("n_panels", ctypes.c_int32),
        ("k1_words", ctypes.c_int32),
        ("k2_words", ctypes.c_int32),
        ("packed", ctypes.c_void_p),
        ("sum_start", ctypes.c_void_p),
        ("output_scale", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
    )


_INT, _LONG, _FLOAT, _POINTER = ctypes.c_int32, ctypes.c_int64, ctypes.c_float, ctypes.c_void_p
_MATRIX = ctypes.POINTER(_Matrix)
_SIGNATURES: dict[str, tuple[object, ...]] = {
    "lingo_encode_layer": (
        *(_MATRIX, _INT, _INT, _INT, _POINTER, _POINTER, _POINTER, _POINTER, _INT),
        *(_POINTER, _POINTER, _INT, _LONG, _POINTER),
    ),
    "lingo_decode_layer": (
        *(_MATRIX, _INT, _INT, _POINTER, _POINTER, _POINTER, _POINTER),
        *(_POINTER, _POINTER, _POINTER, _LONG),
    ),
    "lingo_linear": (
        *(_MATRIX, _INT, _POINTER, _POINTER, _LONG, _INT, _POINTER, _LONG, _POINTER, _LONG),
    ),
    "lingo_arg_max": (_MATRIX, _INT, _POINTER, _LONG, _POINTER, _POINTER, _POINTER),
    "lingo_attend": (
        *(_INT, _INT, _INT, _LONG, _POINTER, _POINTER, _POINTER, _POINTER, _POINTER, _POINTER),
    ),
    "lingo_pack_down_float": (_LONG, _LONG, _POINTER, _POINTER),
    "lingo_pack_down_bf16": (_LONG, _LONG, _POINTER, _POINTER),
    "lingo_pack_across": (_LONG, _LONG, _INT, _POINTER, _POINTER),
    "lingo_product": (_LONG, _LONG, _LONG, _POINTER, _INT, *[_POINTER] * 4),
    "lingo_lstm_forward": (_LONG, _POINTER, _LONG, *[_POINTER] * 4),
    "lingo_lstm_backward": (_LONG, _POINTER, _LONG, *[_POINTER] * 8),
    "lingo_cross_entropy": (_LONG, _LONG, _POINTER, _POINTER, _FLOAT, _POINTER, _POINTER),
    "lingo_cross_entropy_backward": (
        *(_LONG, _LONG, _POINTER, _POINTER, _FLOAT, _FLOAT, _POINTER, _POINTER),
    ),
    "lingo_column_sums": (_LONG, _LONG, _POINTER, _POINTER),
    "lingo_top_k": (_INT, _INT, _LONG, _POINTER, _POINTER, _INT, _POINTER, _POINTER),
}


@functools.cache
def _library() -> ctypes.CDLL | None:
    found = importlib.util.find_spec("lingo_model._kernels")
    if found is None or found.origin is None:
        return None
    library = ctypes.CDLL(found.origin)
    for name, arguments in _SIGNATURES.items():
        function = getattr(library, name)
        function.argtypes, function.restype = arguments, None
    return library


@functools.cache
def native_tiers() -> tuple[str, ...]:
    """Names of the tiers that the compiled kernels run on this processor."""
    library = _library()
    if library is None:
        return ()
    bits = library.lingo_tiers()
    return tuple(tier.name for tier in TIERS.values() if bits >> tier.code & 1)


def padded(size: int, multiple: int = N_LANES) -> int:
    """``size`` rounded up to a multiple."""
    return -(-size // multiple) * multiple


class PackedMatrix:
    """``y = W [x1; x2] + bias`` in the layout and precision that the kernels read.

    Args:
        weights: one or two matrices [N, K1], [N, K2], float32.
        bias: [N], float32.
        gates: whether N is the four gates of an LSTM layer, to meet unit by unit.
    """

    def __init__(self, tier: Tier, weights: list[Tensor], bias: Tensor, *, gates: bool) -> None:
        n_outputs = weights[0].size(0)
        parts = [
            functional.pad(w.float(), (0, padded(w.size(1), tier.inputs_per_word) - w.size(1)))
            for w in weights
        ]
        words = [part.size(1) // tier.inputs_per_word for part in parts]
        whole = in_panels(torch.cat(parts, dim=1), gates=gates)  # [P * 64, K]
        self.tier = tier
        # A copy also where nothing is padded: the model may be trained on.
        self.bias = in_panels(bias.float().unsqueeze(1), gates=gates).squeeze(1).clone()
        self.output_scale = self.sum_start = None
        if not gates:
            self.bias[n_outputs:] = -torch.inf
        if tier.name == "int8":
            weight_scale = whole.abs().amax(dim=1).clamp(min=1e-12) / 127.0
            whole = whole.div_(weight_scale.unsqueeze(1)).round_().clamp_(-127, 127)
            self.output_scale = (weight_scale / ACTIVATION_SCALE).contiguous()
            self.sum_start = (-ACTIVATION_ZERO * whole.sum(dim=1)).to(torch.int32)
        n_panels = whole.size(0) // PANEL
        # A single input is the first of a linear layer, the second (the state) of an LSTM layer.
        k1_words, k2_words = words if len(words) == 2 else (0, *words) if gates else (*words, 0)
        self.packed = (
            whole.to(tier.weight)
            .view(n_panels, PANEL, sum(words), tier.inputs_per_word)
            .transpose(1, 2)
            .contiguous()
        )
        self._struct = _Matrix(
            tier=tier.code,
            n_outputs=n_outputs,
            n_panels=n_panels,
            k1_words=k1_words,
            k2_words=k2_words,
            packed=self.packed.data_ptr(),
            sum_start=_address(self.sum_start),
            output_scale=_address(self.output_scale),
            bias=self.bias.data_ptr(),
        )

    @property
    def pointer(self) -> object:
        """What the kernels take."""
        return ctypes.byref(self._struct)


def in_panels(rows: Tensor, *, gates: bool) -> Tensor:
    """``rows`` [N, K] in the order of the panels, with zeros where a panel is not full.

    For an LSTM layer, N = 4 H: gates i, f, g, o of 16 units after each other. [P * 64, K]
    """
    if not gates:
        return functional.pad(rows, (0, 0, 0, padded(rows.size(0), PANEL) - rows.size(0)))
    hidden = rows.size(0) // _N_VECTORS
    by_gate = rows.view(_N_VECTORS, hidden, -1)
    by_gate = functional.pad(by_gate, (0, 0, 0, padded(hidden) - hidden))
    by_unit = by_gate.view(_N_VECTORS, padded(hidden) // N_LANES, N_LANES, -1).transpose(0, 1)
    return by_unit.reshape(_N_VECTORS * padded(hidden), -1)


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def kernels() -> ctypes.CDLL:
    """The library's functions, for who has asked :func:`native_tiers`."""
    library = _library()
    assert library is not None, "callers ask native_tiers() first"
    return library


def encode_layer(
    matrix: PackedMatrix,
    lengths: Tensor,
    inputs: Tensor | None,
    table: Tensor | None,
    tokens: Tensor,
    outputs: Tensor,
    outputs_float: Tensor | None,
    cell: Tensor,
    *,
    hidden_dim: int,
    column: int,
    backward: bool,
) -> None:
    """One LSTM layer in one direction over a batch, longest row first.

    Args:
        lengths: [B] int32. inputs: [B, S, stride] or None where ``table`` [V, panels] holds the
            gates of each of ``tokens`` [B, S] int32.
        outputs: [B, S, stride]; filled from ``column``. outputs_float: the same in float32.
        cell: [B, stride] float32, zeros; the last cell state after the call.
    """
    n_rows, n_positions, stride = outputs.shape
    kernels().lingo_encode_layer(
        matrix.pointer,
        hidden_dim,
        n_rows,
        n_positions,
        lengths.data_ptr(),
        _address(inputs),
        _address(table),
        tokens.data_ptr(),
        int(backward),
        outputs.data_ptr(),
        _address(outputs_float),
        column,
        stride,
        cell.data_ptr(),
    )


def decode_layer(
    matrix: PackedMatrix,
    inputs: Tensor | None,
    hidden: Tensor,
    table: Tensor | None,
    tokens: Tensor,
    outputs: Tensor,
    outputs_float: Tensor | None,
    cell: Tensor,
    *,
    hidden_dim: int,
) -> None:
    """One step of one LSTM layer: rows [M, stride]; ``cell`` is updated in place."""
    n_rows, stride = hidden.shape
    kernels().lingo_decode_layer(
        matrix.pointer,
        hidden_dim,
        n_rows,
        _address(inputs),
        hidden.data_ptr(),
        _address(table),
        tokens.data_ptr(),
        outputs.data_ptr(),
        _address(outputs_float),
        cell.data_ptr(),
        stride,
    )


def linear(
    matrix: PackedMatrix,
    inputs: list[Tensor],
    *,
    tanh: bool = False,
    outputs: Tensor | None = None,
    outputs_float: Tensor | None = None,
) -> None:
    """A linear layer over one or two inputs [M, stride], through tanh if wanted."""
    n_rows, stride = inputs[0].shape
    kernels().lingo_linear(
        matrix.pointer,
        n_rows,
        inputs[0].data_ptr(),
        inputs[1].data_ptr() if len(inputs) == 2 else None,
        stride,
        int(tanh),
        _address(outputs),
        0 if outputs is None else outputs.size(1),
        _address(outputs_float),
        0 if outputs_float is None else outputs_float.size(1),
    )


def arg_max(
    matrix: PackedMatrix, inputs: Tensor, blocked: Tensor, chosen: Tensor, log_probs: Tensor
) -> None:
    """The best output of each row that is not blocked, and its log probability.

    Args:
        inputs: [M, stride]. blocked: [panels * 64], 0 or -inf. chosen: [M] int32, filled.
        log_probs: [M] float32, filled.
    """
    kernels().lingo_arg_max(
        matrix.pointer,
        inputs.size(0),
        inputs.data_ptr(),
        inputs.size(1),
        blocked.data_ptr(),
        chosen.data_ptr(),
        log_probs.data_ptr(),
    )


def attend(
    tier: Tier,
    memory: Tensor,
    keys: Tensor | None,
    lengths: Tensor,
    query: Tensor,
    v: Tensor | None,
    context: Tensor,
    *,
    hidden_dim: int,
) -> None:
    """Context [M, stride] of each row, by dot attention or, with ``v`` [H], additive.

    ``memory`` and ``keys`` [M] int64 hold addresses of float32 [length, stride] each.
    """
    n_rows, stride = context.shape
    kernels().lingo_attend(
        tier.code,
        n_rows,
        hidden_dim,
        stride,
        memory.data_ptr(),
        _address(keys),
        lengths.data_ptr(),
        query.data_ptr(),
        _address(v),
        context.data_ptr(),
    )


def top_k(logits: Tensor, n_outputs: int, blocked: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k best outputs [M, k] of logits [M, stride] and their log probabilities."""
    n_rows, stride = logits.shape
    chosen = torch.empty(n_rows, k, dtype=torch.int32)
    log_probs = torch.empty(n_rows, k)
    kernels().lingo_top_k(
        n_rows,
        n_outputs,
        stride,
        logits.data_ptr(),
        blocked.data_ptr(),
        k,
        chosen.data_ptr(),
        log_probs.data_ptr(),
    )
    return chosen, log_probs
