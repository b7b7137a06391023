"""Bindings of native/kernels.cpp: the operations of the decoding engine.

Every function checks the type, shape, contiguity and device of its tensors. It does not check
values: token ids, lengths and addresses must be valid.

Shapes: B sentences of a batch, S source tokens, M rows that are being decoded, H hidden, P panels
of 64 outputs. ``stride`` is the row length of activations: H rounded up to a multiple of 16.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lingo_model.kernels.checks import check_minimum, check_tensor
from lingo_model.kernels.library import kernels
from lingo_model.kernels.packed_matrix import PANEL, PackedMatrix, address
from lingo_model.kernels.precision import KernelPrecision


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
    """Run one LSTM layer in one direction over a batch, longest row first.

    Args:
        matrix: weights of the layer.
        lengths: int32 ``[B]``, descending, from 1 to S.
        inputs: activations ``[B, S, stride]``; None if ``table`` is given.
        table: input-side gates of every token ``[V, P * 64]``; None if ``inputs`` is given.
        tokens: int32 ``[B, S]``, rows of ``table``.
        outputs: activations ``[B, S, stride]``; columns from ``column`` on are written.
        outputs_float: float32 ``[B, S, stride]``, a second copy of the outputs; None for none.
        cell: float32 ``[B, stride]``; zeros before the call, the last cell state after it.
        hidden_dim: hidden units of this direction.
        column: first column of this direction in ``outputs``.
        backward: whether to read from the last token.

    Raises:
        ValueError: a tensor has the wrong type, shape, layout or device.
    """
    check_tensor("outputs", outputs, matrix.precision.activation, (None, None, None))
    n_rows, n_positions, stride = outputs.shape
    check_tensor("lengths", lengths, torch.int32, (n_rows,))
    check_tensor("tokens", tokens, torch.int32, (n_rows, n_positions))
    check_tensor("cell", cell, torch.float32, (n_rows, stride))
    if outputs_float is not None:
        check_tensor("outputs_float", outputs_float, torch.float32, (n_rows, n_positions, stride))
    _check_lstm_layer(matrix, inputs, table, (n_rows, n_positions, stride), hidden_dim)
    check_minimum("column", column, 0)
    check_minimum("stride of outputs", stride, column + max(hidden_dim, matrix.input_widths[1]))
    kernels().lingo_encode_layer(
        matrix.pointer,
        hidden_dim,
        n_rows,
        n_positions,
        lengths.data_ptr(),
        address(inputs),
        address(table),
        tokens.data_ptr(),
        int(backward),
        outputs.data_ptr(),
        address(outputs_float),
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
    """Run one step of one LSTM layer.

    Args:
        matrix: weights of the layer.
        inputs: activations ``[M, stride]``; None if ``table`` is given.
        hidden: hidden state before the step, activations ``[M, stride]``.
        table: input-side gates of every token ``[V, P * 64]``; None if ``inputs`` is given.
        tokens: int32 ``[M]``, rows of ``table``.
        outputs: hidden state after the step, activations ``[M, stride]``; written.
        outputs_float: float32 ``[M, stride]``, a second copy of the outputs; None for none.
        cell: float32 ``[M, stride]``, the cell state; updated in place.
        hidden_dim: H.

    Raises:
        ValueError: a tensor has the wrong type, shape, layout or device.
    """
    activation = matrix.precision.activation
    check_tensor("hidden", hidden, activation, (None, None))
    n_rows, stride = hidden.shape
    check_tensor("tokens", tokens, torch.int32, (n_rows,))
    check_tensor("outputs", outputs, activation, (n_rows, stride))
    check_tensor("cell", cell, torch.float32, (n_rows, stride))
    if outputs_float is not None:
        check_tensor("outputs_float", outputs_float, torch.float32, (n_rows, stride))
    _check_lstm_layer(matrix, inputs, table, (n_rows, stride), hidden_dim)
    check_minimum("stride of hidden", stride, max(hidden_dim, matrix.input_widths[1]))
    if outputs.data_ptr() == hidden.data_ptr() and n_rows:
        raise ValueError("outputs: it shares memory with hidden; needs memory of its own")
    kernels().lingo_decode_layer(
        matrix.pointer,
        hidden_dim,
        n_rows,
        address(inputs),
        hidden.data_ptr(),
        address(table),
        tokens.data_ptr(),
        outputs.data_ptr(),
        address(outputs_float),
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
    """Run a linear layer over one or two inputs.

    Args:
        matrix: weights and bias of the layer.
        inputs: one or two tensors of activations ``[M, stride]``.
        tanh: whether to apply tanh to the result.
        outputs: activations ``[M, N or more]``; the first N columns are written; None for none.
        outputs_float: the same in float32; None for none.

    Raises:
        ValueError: a tensor has the wrong type, shape, layout or device.
    """
    n_needed = 1 if matrix.input_widths[1] == 0 else 2
    if len(inputs) != n_needed:
        raise ValueError(f"inputs: there are {len(inputs)}; the matrix needs {n_needed}")
    activation = matrix.precision.activation
    check_tensor("inputs[0]", inputs[0], activation, (None, None))
    n_rows, stride = inputs[0].shape
    check_minimum("stride of inputs", stride, max(matrix.input_widths))
    if n_needed == 2:
        check_tensor("inputs[1]", inputs[1], activation, (n_rows, stride))
    for name, tensor, dtype in (
        ("outputs", outputs, activation),
        ("outputs_float", outputs_float, torch.float32),
    ):
        if tensor is not None:
            check_tensor(name, tensor, dtype, (n_rows, None))
            check_minimum(f"columns of {name}", tensor.size(1), matrix.n_outputs)
    kernels().lingo_linear(
        matrix.pointer,
        n_rows,
        inputs[0].data_ptr(),
        inputs[1].data_ptr() if n_needed == 2 else None,
        stride,
        int(tanh),
        address(outputs),
        0 if outputs is None else outputs.size(1),
        address(outputs_float),
        0 if outputs_float is None else outputs_float.size(1),
    )


def arg_max(
    matrix: PackedMatrix, inputs: Tensor, blocked: Tensor, chosen: Tensor, log_probs: Tensor
) -> None:
    """Run the output layer and choose the best output of each row that is not blocked.

    Args:
        matrix: weights and bias of the output layer.
        inputs: activations ``[M, stride]``.
        blocked: float32 ``[P * 64]``, -inf at blocked outputs and 0 elsewhere.
        chosen: int32 ``[M]``; written.
        log_probs: float32 ``[M]``; written, the log probabilities among all outputs.

    Raises:
        ValueError: a tensor has the wrong type, shape, layout or device.
    """
    check_tensor("inputs", inputs, matrix.precision.activation, (None, None))
    n_rows, stride = inputs.shape
    if matrix.input_widths[1]:
        raise ValueError("inputs: there is 1; the matrix needs 2")
    check_minimum("stride of inputs", stride, matrix.input_widths[0])
    check_tensor("blocked", blocked, torch.float32, (matrix.n_panels * PANEL,))
    check_tensor("chosen", chosen, torch.int32, (n_rows,))
    check_tensor("log_probs", log_probs, torch.float32, (n_rows,))
    kernels().lingo_arg_max(
        matrix.pointer,
        n_rows,
        inputs.data_ptr(),
        stride,
        blocked.data_ptr(),
        chosen.data_ptr(),
        log_probs.data_ptr(),
    )


def attend(
    precision: KernelPrecision,
    encoder_outputs: Tensor,
    keys: Tensor | None,
    lengths: Tensor,
    query: Tensor,
    v: Tensor | None,
    context: Tensor,
    *,
    hidden_dim: int,
) -> None:
    """Compute the context of each row, by dot attention or, with ``v``, by additive attention.

    Args:
        precision: number format of ``context``.
        encoder_outputs: int64 ``[M]``, for each row the address of its encoder outputs, float32
            ``[length, stride]``.
        keys: int64 ``[M]``, for each row the address of ``W_enc`` times its encoder outputs,
            float32 ``[length, stride]``; used by additive attention only.
        lengths: int32 ``[M]``, number of source tokens of each row.
        query: float32 ``[M, stride]``.
        v: float32 ``[H]``; None for dot attention.
        context: activations ``[M, stride]``; written.
        hidden_dim: H.

    Raises:
        ValueError: a tensor has the wrong type, shape, layout or device.
    """
    check_tensor("context", context, precision.activation, (None, None))
    n_rows, stride = context.shape
    check_minimum("stride of context", stride, hidden_dim)
    check_tensor("encoder_outputs", encoder_outputs, torch.int64, (n_rows,))
    check_tensor("lengths", lengths, torch.int32, (n_rows,))
    check_tensor("query", query, torch.float32, (n_rows, stride))
    if keys is not None:
        check_tensor("keys", keys, torch.int64, (n_rows,))
    if v is not None:
        check_tensor("v", v, torch.float32, (hidden_dim,))
        if keys is None:
            raise ValueError("keys: it is None; additive attention needs the addresses of the keys")
    kernels().lingo_attend(
        precision.code,
        n_rows,
        hidden_dim,
        stride,
        encoder_outputs.data_ptr(),
        address(keys),
        lengths.data_ptr(),
        query.data_ptr(),
        address(v),
        context.data_ptr(),
    )


def top_k(logits: Tensor, n_outputs: int, blocked: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Choose the k best outputs of each row that are not blocked.

    Args:
        logits: float32 ``[M, stride]``, of which the first ``n_outputs`` columns are used.
        n_outputs: number of outputs.
        blocked: float32, -inf at blocked outputs and 0 elsewhere; ``n_outputs`` or more.
        k: number of outputs to choose, 1 or more.

    Returns:
        outputs int32 ``[M, k]``, best first, and their log probabilities among all outputs
        ``[M, k]``. If fewer than k outputs are not blocked, the rest has output 0 and -inf.

    Raises:
        ValueError: a tensor has the wrong type, shape, layout or device, or k is below 1.
    """
    check_tensor("logits", logits, torch.float32, (None, None))
    n_rows, stride = logits.shape
    check_minimum("n_outputs", n_outputs, 1)
    check_minimum("columns of logits", stride, n_outputs)
    check_tensor("blocked", blocked, torch.float32, (None,))
    check_minimum("size of blocked", blocked.size(0), n_outputs)
    check_minimum("k", k, 1)
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


def _check_lstm_layer(
    matrix: PackedMatrix,
    inputs: Tensor | None,
    table: Tensor | None,
    shape: tuple[int, ...],
    hidden_dim: int,
) -> None:
    """Check the weights, inputs and gate table of an LSTM layer; ``shape`` is that of inputs."""
    if not matrix.gates or matrix.n_outputs != 4 * hidden_dim:
        raise ValueError(
            f"matrix: it has {matrix.n_outputs} outputs (gates={matrix.gates}); "
            f"needs the {4 * hidden_dim} gates of {hidden_dim} hidden units"
        )
    input_width = matrix.input_widths[0]
    if (inputs is None) == (input_width > 0):
        needed = "None" if input_width == 0 else f"a tensor {list(shape)}"
        raise ValueError(f"inputs: it is {_presence(inputs)}; the matrix needs {needed}")
    if (table is None) == (inputs is None):
        raise ValueError(
            f"table: it is {_presence(table)}; needs a gate table if and only if inputs is None"
        )
    if inputs is not None:
        check_tensor("inputs", inputs, matrix.precision.activation, shape)
        check_minimum("stride of inputs", shape[-1], input_width)
    if table is not None:
        width = matrix.n_panels * PANEL
        check_tensor("table", table, matrix.precision.gate_table, (None, width))


def _presence(tensor: Tensor | None) -> str:
    return "None" if tensor is None else f"a tensor {list(tensor.shape)}"
