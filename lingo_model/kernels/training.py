"""Bindings of native/training.cpp: matrix products, LSTM layers and the loss in bfloat16.

Every function checks the type, shape, contiguity and device of its tensors. Target ids must be
valid; their values are not checked.

A packed matrix is a one-dimensional bfloat16 tensor in the order of the kernels. The inner size of
a product must be even unless both sides are packed, see :func:`fits`.

Shapes: M, N, K rows, columns and inner size of a product; B sentences, T steps, H hidden; N tokens.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lingo_model.kernels.checks import check_tensor
from lingo_model.kernels.library import kernels, native_precisions
from lingo_model.kernels.packed_matrix import PANEL, address, padded

_BLOCK = 2048  # of K: a longer product needs float32 memory for the sums of the first blocks


def fits(*sizes: int) -> bool:
    """Whether this processor has the kernels, and they support these inner sizes."""
    return "bfloat16" in native_precisions() and not any(size % 2 for size in sizes)


def pack(matrix: Tensor) -> Tensor:
    """Pack a matrix as the right side of a product, or its transpose as the left side.

    Args:
        matrix: ``[K, N]``, float32 or bfloat16.

    Raises:
        ValueError: the tensor has the wrong type, shape, layout or device.
    """
    if matrix.dtype not in (torch.float32, torch.bfloat16):
        raise ValueError(
            f"matrix: its type is {matrix.dtype}; needs torch.float32 or torch.bfloat16"
        )
    is_float32 = matrix.dtype is torch.float32
    check_tensor("matrix", matrix, matrix.dtype, (None, None))
    k, n = matrix.shape
    packed = torch.empty(_packed_size(k, n), dtype=torch.bfloat16)
    library = kernels()
    function = library.lingo_pack_down_float32 if is_float32 else library.lingo_pack_down_bfloat16
    function(k, n, matrix.data_ptr(), packed.data_ptr())
    return packed


def pack_transposed(matrix: Tensor, *, gates: bool = False) -> Tensor:
    """Pack the transpose of a matrix as the right side of a product.

    Args:
        matrix: float32 ``[N, K]``.
        gates: whether the N rows are the four gates of an LSTM layer, for :func:`lstm_forward`.

    Raises:
        ValueError: the tensor has the wrong type, shape, layout or device.
    """
    check_tensor("matrix", matrix, torch.float32, (None, None))
    n, k = matrix.shape
    if gates and n % 4:
        raise ValueError(f"matrix: it has {n} rows; needs a multiple of 4 for the gates")
    size = _packed_gates_size(k, n // 4) if gates else _packed_size(k, n)
    packed = torch.empty(size, dtype=torch.bfloat16)
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
    """Multiply two matrices.

    Args:
        left: bfloat16 ``[M, K]``, or its transpose ``[K, M]`` packed.
        right: ``[K, N]`` packed.
        shape: M, N, K.
        bias: float32 ``[N]``, added to every row; None for zeros.
        out: type of the result, float32 or bfloat16.
        left_is_packed: whether ``left`` is packed. If not, K must be even.

    Returns:
        ``[M, N]``.

    Raises:
        ValueError: a tensor has the wrong type, shape, layout or device, or K is odd.
    """
    m, n, k = shape
    if left_is_packed:
        check_tensor("left", left, torch.bfloat16, (_packed_size(k, m),))
    else:
        check_tensor("left", left, torch.bfloat16, (m, k))
        _check_even("K", k)
    check_tensor("right", right, torch.bfloat16, (_packed_size(k, n),))
    if bias is not None:
        check_tensor("bias", bias, torch.float32, (n,))
    if out not in (torch.float32, torch.bfloat16):
        raise ValueError(f"out: it is {out}; needs torch.float32 or torch.bfloat16")
    result = torch.empty(m, n, dtype=out)
    is_float32 = out is torch.float32
    sums = result if is_float32 else torch.empty((m, n) if k > _BLOCK else 0)
    kernels().lingo_product(
        *(m, n, k, left.data_ptr(), int(left_is_packed), right.data_ptr()),
        *(address(bias), sums.data_ptr(), None if is_float32 else result.data_ptr()),
    )
    return result


def lstm_forward(
    weight_hh: Tensor, n_rows: Tensor, gates: Tensor, cell: Tensor, hidden: Tensor
) -> None:
    """Run one LSTM layer over B sequences, longest first. Tokens lie step by step.

    Args:
        weight_hh: recurrent weights ``[4 H, H]``, packed with ``gates=True``.
        n_rows: int64 ``[T]``, number of sequences that have each step; the first is B and the sum
            is N.
        gates: float32 ``[N, 4 H]``: input-side sums before the call, gates i, f, g, o after it.
        cell: float32 ``[B + N, H]``: first cell states in the first B rows; the rest is written.
        hidden: bfloat16 ``[B + N, H]``: first hidden states in the first B rows; the rest is
            written.

    Raises:
        ValueError: a tensor has the wrong type, shape, layout or device, or H is odd.
    """
    n_states, size = _check_sequences(n_rows, gates, cell)
    check_tensor("weight_hh", weight_hh, torch.bfloat16, (_packed_gates_size(size, size),))
    check_tensor("hidden", hidden, torch.bfloat16, (n_states, size))
    kernels().lingo_lstm_forward(
        *(len(n_rows), n_rows.data_ptr(), size, weight_hh.data_ptr()),
        *(gates.data_ptr(), cell.data_ptr(), hidden.data_ptr()),
    )


def lstm_backward(
    weight_hh: Tensor,
    n_rows: Tensor,
    gates: Tensor,
    cell: Tensor,
    d_hidden: Tensor,
    d_cell: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run the backward pass of :func:`lstm_forward`.

    Args:
        weight_hh: recurrent weights ``[4 H, H]``, packed by :func:`pack`.
        n_rows: as for :func:`lstm_forward`.
        gates: float32 ``[N, 4 H]``, as :func:`lstm_forward` left them.
        cell: float32 ``[B + N, H]``, as :func:`lstm_forward` left it.
        d_hidden: bfloat16 ``[N, H]``, gradient of the hidden states.
        d_cell: float32 ``[N, H]``, gradient of the cell states; None for zeros.

    Returns:
        gradients of the gates' sums (bfloat16 ``[N, 4 H]``), of the first hidden state and of the
        first cell state (float32 ``[B, H]`` each).

    Raises:
        ValueError: a tensor has the wrong type, shape, layout or device, or H is odd.
    """
    n_states, size = _check_sequences(n_rows, gates, cell)
    n_tokens = gates.size(0)
    check_tensor("weight_hh", weight_hh, torch.bfloat16, (_packed_size(4 * size, size),))
    check_tensor("d_hidden", d_hidden, torch.bfloat16, (n_tokens, size))
    if d_cell is not None:
        check_tensor("d_cell", d_cell, torch.float32, (n_tokens, size))
    d_gates = torch.empty_like(gates, dtype=torch.bfloat16)
    d_first_state = torch.zeros(2, n_states - n_tokens, size)
    kernels().lingo_lstm_backward(
        *(len(n_rows), n_rows.data_ptr(), size),
        *(tensor.data_ptr() for tensor in (weight_hh, gates, cell, d_hidden)),
        address(d_cell),
        *(tensor.data_ptr() for tensor in (d_gates, d_first_state[0], d_first_state[1])),
    )
    return d_gates, d_first_state[0], d_first_state[1]


def cross_entropy(logits: Tensor, targets: Tensor, smoothing: float) -> tuple[Tensor, Tensor]:
    """Compute the cross-entropy (nats), summed over rows.

    Args:
        logits: bfloat16 ``[M, N]``.
        targets: int64 ``[M]``, from 0 to N - 1.
        smoothing: label smoothing, the share of probability that is spread evenly.

    Returns:
        the sum, and for each row the log of the sum of exp ``[M]``; both float32.

    Raises:
        ValueError: a tensor has the wrong type, shape, layout or device.
    """
    check_tensor("logits", logits, torch.bfloat16, (None, None))
    check_tensor("targets", targets, torch.int64, (logits.size(0),))
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
    """Compute the gradient of :func:`cross_entropy` for the logits, times ``scale``.

    Args:
        logits: bfloat16 ``[M, N]``.
        targets: int64 ``[M]``, from 0 to N - 1.
        smoothing: label smoothing, as in the forward pass.
        scale: gradient of the summed loss.
        log_sums: float32 ``[M]``, the second result of :func:`cross_entropy`.

    Returns:
        bfloat16 ``[M, N]``.

    Raises:
        ValueError: a tensor has the wrong type, shape, layout or device.
    """
    check_tensor("logits", logits, torch.bfloat16, (None, None))
    check_tensor("targets", targets, torch.int64, (logits.size(0),))
    check_tensor("log_sums", log_sums, torch.float32, (logits.size(0),))
    d_logits = torch.empty_like(logits)
    kernels().lingo_cross_entropy_backward(
        *(*logits.shape, logits.data_ptr(), targets.data_ptr(), smoothing, scale),
        *(log_sums.data_ptr(), d_logits.data_ptr()),
    )
    return d_logits


def column_sums(matrix: Tensor) -> Tensor:
    """Sum a bfloat16 matrix ``[M, N]`` over its rows, in float32 ``[N]``.

    Raises:
        ValueError: the tensor has the wrong type, shape, layout or device.
    """
    check_tensor("matrix", matrix, torch.bfloat16, (None, None))
    sums = torch.empty(matrix.size(1))
    kernels().lingo_column_sums(*matrix.shape, matrix.data_ptr(), sums.data_ptr())
    return sums


def _packed_size(k: int, n: int) -> int:
    return padded(n, PANEL) * padded(k, 2)


def _packed_gates_size(k: int, hidden_dim: int) -> int:
    return 4 * padded(hidden_dim) * padded(k, 2)


def _check_sequences(n_rows: Tensor, gates: Tensor, cell: Tensor) -> tuple[int, int]:
    """Check the sizes of a batch of sequences.

    Returns:
        B + N, and H.
    """
    check_tensor("cell", cell, torch.float32, (None, None))
    n_states, size = cell.shape
    _check_even("H", size)
    check_tensor("gates", gates, torch.float32, (None, 4 * size))
    check_tensor("n_rows", n_rows, torch.int64, (None,))
    n_tokens = gates.size(0)
    n_first = int(n_rows[0]) if len(n_rows) else 0
    if int(n_rows.sum()) != n_tokens or n_first != n_states - n_tokens:
        raise ValueError(
            f"n_rows: it begins with {n_first} and sums to {int(n_rows.sum())}; needs "
            f"{n_states - n_tokens} and {n_tokens}, by the shapes of cell and gates"
        )
    return n_states, size


def _check_even(name: str, size: int) -> None:
    if size % 2:
        raise ValueError(f"{name}: it is {size}; needs an even size")
