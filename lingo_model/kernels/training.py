"""The compiled kernels of native/training.cpp, called through ctypes with torch tensors.

All matrices are contiguous. A packed matrix is bfloat16 in the kernels' own order; its inner sizes
must be even, see :func:`fits`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lingo_model.kernels.decoding import PANEL, kernels, native_tiers, padded

_BLOCK = 2048  # of K: where there are more, sums wait in float32


def fits(*sizes: int) -> bool:
    """Whether this processor has the kernels and they take matrices of these inner sizes."""
    return "bf16" in native_tiers() and not any(size % 2 for size in sizes)


def pack(matrix: Tensor) -> Tensor:
    """[K, N], float32 or bfloat16, as the right side of a product (or, transposed, the left)."""
    k, n = matrix.shape
    packed = torch.empty(padded(n, PANEL) * padded(k, 2), dtype=torch.bfloat16)
    single = matrix.dtype is torch.float32
    function = kernels().lingo_pack_down_float if single else kernels().lingo_pack_down_bf16
    function(k, n, matrix.data_ptr(), packed.data_ptr())
    return packed


def pack_transposed(matrix: Tensor, *, gates: bool = False) -> Tensor:
    """The transpose of [N, K] float32 as the right side of a product.

    ``gates``: N is the four gates of an LSTM layer, for :func:`lstm_forward`.
    """
    n, k = matrix.shape
    n_columns = 4 * padded(n // 4) if gates else padded(n, PANEL)
    packed = torch.empty(n_columns * padded(k, 2), dtype=torch.bfloat16)
    kernels().lingo_pack_across(n, k, int(gates), matrix.data_ptr(), packed.data_ptr())
    return packed


def product(
    left: Tensor,
    right: Tensor,
    shape: tuple[int, int, int],
    *,
    bias: Tensor | None = None,
    out: torch.dtype = torch.float32,
    left_is_packed: bool = False,
) -> Tensor:
    """[M, N] of ``left`` [M, K] bfloat16 (or [K, M] packed) and ``right`` [K, N] packed.

    Args:
        shape: M, N, K. bias: [N] float32. out: float32 or bfloat16.
    """
    m, n, k = shape
    found = torch.empty(m, n, dtype=out)
    single = found if out is torch.float32 else torch.empty((m, n) if k > _BLOCK else 0)
    kernels().lingo_product(
        *(m, n, k, left.data_ptr(), int(left_is_packed), right.data_ptr()),
        *(None if bias is None else bias.data_ptr(), single.data_ptr()),
        None if out is torch.float32 else found.data_ptr(),
    )
    return found


def lstm_forward(
    weight_hh: Tensor, n_rows: Tensor, gates: Tensor, cell: Tensor, hidden: Tensor
) -> None:
    """One LSTM layer over sequences of B rows, longest first, packed step after step: N tokens.

    Args:
        weight_hh: [4 H, H] packed by gates. n_rows: how many rows have each step, int64 [T],
            beginning with B.
        gates: [N, 4 H] float32: the input side's sums; becomes the gates i, f, g, o.
        cell: [B + N, H] float32, hidden: [B + N, H] bfloat16: the first state is there, the
            others are filled.
    """
    tensors = (weight_hh, gates, cell, hidden)
    kernels().lingo_lstm_forward(
        *(len(n_rows), n_rows.data_ptr(), cell.size(1)), *(t.data_ptr() for t in tensors)
    )


def lstm_backward(
    weight_hh: Tensor,
    n_rows: Tensor,
    gates: Tensor,
    cell: Tensor,
    d_hidden: Tensor,
    d_cell: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """The same layer backwards.

    Args:
        weight_hh: [4 H, H] packed as it is. gates, cell: as ``lstm_forward`` left them.
        d_hidden: [N, H] bfloat16. d_cell: [N, H] float32, None for zeros.

    Returns:
        gradients of the gates' sums [N, 4 H] (bfloat16) and of the first hidden and cell state
        [B, H] (float32).
    """
    size = cell.size(1)
    d_gates = torch.empty_like(gates, dtype=torch.bfloat16)
    d_first = torch.zeros(2, cell.size(0) - gates.size(0), size)
    kernels().lingo_lstm_backward(
        *(len(n_rows), n_rows.data_ptr(), size),
        *(t.data_ptr() for t in (weight_hh, gates, cell, d_hidden)),
        None if d_cell is None else d_cell.data_ptr(),
        *(t.data_ptr() for t in (d_gates, d_first[0], d_first[1])),
    )
    return d_gates, d_first[0], d_first[1]


def cross_entropy(logits: Tensor, targets: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """Summed cross-entropy (nats) of logits [N, V] bfloat16 and targets [N] int64, and the log of
    each row's sum of exp [N]."""
    loss = torch.empty((), dtype=torch.float64)
    log_sums = torch.empty(len(targets))
    kernels().lingo_cross_entropy(
        *(*logits.shape, logits.data_ptr(), targets.data_ptr(), smoothing),
        *(log_sums.data_ptr(), loss.data_ptr()),
    )
    return loss.float(), log_sums


def cross_entropy_backward(
    logits: Tensor, targets: Tensor, smoothing: float, scale: float, log_sums: Tensor
) -> Tensor:
    """``scale`` times the gradient of :func:`cross_entropy` for its logits, in bfloat16."""
    d_logits = torch.empty_like(logits)
    kernels().lingo_cross_entropy_backward(
        *(*logits.shape, logits.data_ptr(), targets.data_ptr(), smoothing, scale),
        *(log_sums.data_ptr(), d_logits.data_ptr()),
    )
    return d_logits


def column_sums(matrix: Tensor) -> Tensor:
    """[N] float32 of [M, N] bfloat16."""
    sums = torch.empty(matrix.size(1))
    kernels().lingo_column_sums(*matrix.shape, matrix.data_ptr(), sums.data_ptr())
    return sums
