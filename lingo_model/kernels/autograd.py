"""Training in bfloat16 on a CPU: LSTM layers, linear layers and the loss, on compiled kernels.

``torch.nn.LSTM`` on a CPU computes the weights' gradients step by step, and sequences of different
lengths in batches that shrink. Here, as in Appleyard et al. 2016 ("Optimizing Performance of
Recurrent Neural Networks on GPUs", section 3), all that does not wait for the step before is one
product over all steps: the input side forwards, and the gradients of the inputs and of both weight
matrices backwards. Products take bfloat16 and sum in float32; gates, cell states and the weights'
gradients are float32, so that bfloat16 never adds up over steps. ``benchmarks/train.py`` says what
it gives.

Shapes: T steps, B sentences, E input, H hidden, V vocabulary, N tokens: the layers leave padding
out, and see sequences packed step after step, longest first.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lingo_model.kernels import training as kernels


def is_used(inputs: Tensor, *sizes: int) -> bool:
    """Whether these layers replace torch's: in training under bfloat16 autocast on a CPU whose
    kernels take matrices of these inner sizes, on one thread. In float32, and on more threads,
    torch's own layers are faster."""
    return (
        inputs.requires_grad
        and torch.get_num_threads() == 1
        and inputs.device.type == "cpu"
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") is torch.bfloat16
        and kernels.fits(*sizes)
    )


def lstm_layers(
    lstm: nn.LSTM,
    inputs: Tensor,
    lengths: Tensor | None,
    state: tuple[Tensor, Tensor] | None,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """What ``lstm`` computes in training, with gradients for all of its weights.

    Args:
        inputs: ``[B, T, E]``, padded at the end.
        lengths: tokens of each sentence ``[B]``, one or more; None where all are T.
        state: hidden and cell state before the first step, each ``[L, B, H]``; None for zeros.

    Returns:
        outputs ``[B, T, H]`` (both directions side by side) in bfloat16, zero at padding,
        and the state after each sentence's last token, each ``[L, B, H]`` (``[2 L, B,
        H]`` for two directions).
    """
    packing = _packing_of(inputs, lengths)
    outputs = inputs.flatten(0, 1).index_select(0, packing.tokens).bfloat16()  # [N, E]
    hidden: list[Tensor] = []
    cell: list[Tensor] = []
    suffixes = ["", "_reverse"] if lstm.bidirectional else [""]
    for layer in range(lstm.num_layers):
        if layer and lstm.dropout:
            outputs = functional.dropout(outputs, lstm.dropout, training=lstm.training)
        directions = []
        for suffix in suffixes:
            name = f"l{layer}{suffix}"
            weights = [getattr(lstm, f"{part}_{name}") for part in ("weight_ih", "weight_hh")]
            bias = getattr(lstm, f"bias_ih_{name}") + getattr(lstm, f"bias_hh_{name}")
            if state is None:
                before = (bias.new_zeros(inputs.size(0), lstm.hidden_size),) * 2
            else:
                before = (
                    state[0][len(hidden)].float().index_select(0, packing.order),
                    state[1][len(cell)].float().index_select(0, packing.order),
                )
            read = outputs.index_select(0, packing.backwards) if suffix else outputs
            found, cells = _LSTMLayer.apply(  # type: ignore[no-untyped-call]
                read, *before, *weights, bias, packing
            )
            hidden.append(found.index_select(0, packing.last))
            cell.append(cells.index_select(0, packing.last))
            directions.append(found.index_select(0, packing.backwards) if suffix else found)
        outputs = directions[0] if len(directions) == 1 else torch.cat(directions, dim=1)
    padded = outputs.new_zeros(inputs.size(0) * inputs.size(1), outputs.size(1))
    padded = padded.index_copy(0, packing.tokens, outputs)
    return padded.view(*inputs.shape[:2], -1), (torch.stack(hidden), torch.stack(cell))


@dataclasses.dataclass(frozen=True)
class _Packing:
    """Where the N tokens of B padded sequences lie when they lie step after step, longest first.

    Args:
        order: the rows [B], longest first. n_rows: how many of them have each step [T].
        tokens: position in the padded [B * T] of each token [N].
        backwards: of each token [N], that of the same sequence read from its end.
        last: of each row [B], its last token.
        previous: of each token [N], the state before it among [B + N], first states first.
    """

    order: Tensor
    n_rows: Tensor
    tokens: Tensor
    backwards: Tensor
    last: Tensor
    previous: Tensor


def _packing_of(inputs: Tensor, lengths: Tensor | None) -> _Packing:
    n_rows, n_steps = inputs.shape[:2]
    if lengths is None:
        lengths = torch.full((n_rows,), n_steps)
    in_order, order = lengths.sort(descending=True, stable=True)
    is_token = torch.arange(n_steps).unsqueeze(1) < in_order  # [T, B]
    step, place = is_token.nonzero(as_tuple=True)  # each [N], place among the rows in order
    number = is_token.flatten().cumsum(0).view_as(is_token) - 1  # [T, B]
    first = number[:, 0]  # each step's first token
    return _Packing(
        order,
        is_token.sum(1),
        order[place] * n_steps + step,
        number[in_order[place] - 1 - step, place],
        number[lengths - 1, order.argsort()],
        torch.where(step > 0, n_rows + first[step - 1], 0) + place,
    )


def linear(inputs: Tensor, weight: Tensor) -> Tensor:
    """``inputs`` [..., K] times the transpose of ``weight`` [N, K], in bfloat16."""
    flat = inputs.bfloat16().flatten(0, -2).contiguous()
    found: Tensor = _Linear.apply(flat, weight)  # type: ignore[no-untyped-call]
    return found.view(*inputs.shape[:-1], -1)


def cross_entropy_sum(
    hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, *, label_smoothing: float
) -> Tensor:
    """Cross-entropy (nats) of the output layer ``weight`` [V, H], ``bias`` [V], summed over rows.

    Args:
        hidden: ``[N, H]``. targets: ``[N]``.
    """
    found: Tensor = _CrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden.bfloat16().contiguous(), weight, bias, targets, label_smoothing
    )
    return found


class _LSTMLayer(torch.autograd.Function):
    """One layer in one direction: each token's hidden (bfloat16) and cell state, [N, H]."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        first_hidden: Tensor,
        first_cell: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias: Tensor,
        packing: _Packing,
    ) -> tuple[Tensor, Tensor]:
        n_tokens, n_inputs = inputs.shape
        n_rows, size = first_hidden.shape
        gates = kernels.product(
            inputs, kernels.pack_transposed(weight_ih), (n_tokens, 4 * size, n_inputs), bias=bias
        )
        hidden = inputs.new_empty(n_rows + n_tokens, size)
        cell = first_cell.new_empty(n_rows + n_tokens, size)
        hidden[:n_rows], cell[:n_rows] = first_hidden, first_cell
        packed = kernels.pack_transposed(weight_hh, gates=True)
        kernels.lstm_forward(packed, packing.n_rows, gates, cell, hidden)
        ctx.save_for_backward(inputs, hidden, cell, gates, weight_ih, weight_hh)
        ctx.packing = packing
        ctx.set_materialize_grads(False)
        return hidden[n_rows:], cell[n_rows:]

    @staticmethod
    def backward(
        ctx: Any, d_hidden: Tensor | None, d_cell: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        inputs, hidden, cell, gates, weight_ih, weight_hh = ctx.saved_tensors
        n_tokens, n_inputs = inputs.shape
        size = weight_hh.size(1)
        if d_hidden is None:
            d_hidden = hidden.new_zeros(n_tokens, size)
        d_gates, d_first_hidden, d_first_cell = kernels.lstm_backward(
            kernels.pack(weight_hh),
            ctx.packing.n_rows,
            gates,
            cell,
            d_hidden.contiguous(),
            None if d_cell is None else d_cell.contiguous(),
        )
        d_inputs = kernels.product(
            d_gates, kernels.pack(weight_ih), (n_tokens, n_inputs, 4 * size), out=torch.bfloat16
        )
        left = kernels.pack(d_gates)
        d_weights = [
            kernels.product(
                left, kernels.pack(right), (4 * size, right.size(1), n_tokens), left_is_packed=True
            )
            for right in (inputs, hidden.index_select(0, ctx.packing.previous))
        ]
        d_bias = kernels.column_sums(d_gates)
        return (d_inputs, d_first_hidden, d_first_cell, *d_weights, d_bias, None)


class _Linear(torch.autograd.Function):
    """[N, K] bfloat16 times the transpose of a weight [M, K], in bfloat16."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(inputs, weight)
        shape = (inputs.size(0), *weight.shape)
        return kernels.product(inputs, kernels.pack_transposed(weight), shape, out=torch.bfloat16)

    @staticmethod
    def backward(ctx: Any, d_outputs: Tensor) -> tuple[Tensor, Tensor]:
        inputs, weight = ctx.saved_tensors
        return _linear_backward(inputs, weight, d_outputs.contiguous())


def _linear_backward(inputs: Tensor, weight: Tensor, d_outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of the inputs (bfloat16) and of the weight (float32)."""
    n, (m, k) = inputs.size(0), weight.shape
    d_inputs = kernels.product(d_outputs, kernels.pack(weight), (n, k, m), out=torch.bfloat16)
    d_weight = kernels.product(
        kernels.pack(d_outputs), kernels.pack(inputs), (m, k, n), left_is_packed=True
    )
    return d_inputs, d_weight


class _CrossEntropy(torch.autograd.Function):
    """The output layer and the loss in one, so that logits exist once, in bfloat16."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float
    ) -> Tensor:
        shape = (hidden.size(0), *weight.shape)
        logits = kernels.product(
            hidden, kernels.pack_transposed(weight), shape, bias=bias, out=torch.bfloat16
        )
        loss, log_sums = kernels.cross_entropy(logits, targets, smoothing)
        ctx.save_for_backward(hidden, weight, targets, logits, log_sums)
        ctx.smoothing = smoothing
        return loss

    @staticmethod
    def backward(ctx: Any, d_loss: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, targets, logits, log_sums = ctx.saved_tensors
        d_logits = kernels.cross_entropy_backward(
            logits, targets, ctx.smoothing, d_loss.item(), log_sums
        )
        d_hidden, d_weight = _linear_backward(hidden, weight, d_logits)
        return d_hidden, d_weight, kernels.column_sums(d_logits), None, None
