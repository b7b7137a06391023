"""Training operations in bfloat16 on the compiled kernels, with gradients.

``torch.nn.LSTM`` on a CPU computes the gradients of the weights step by step, and splits sequences
of different lengths into batches that shrink. Here, as in Appleyard et al. 2016 ("Optimizing
Performance of Recurrent Neural Networks on GPUs", section 3), everything that does not depend on
the previous step is one product over all steps: the input side in the forward pass, and the
gradients of the inputs and of both weight matrices in the backward pass. Products read bfloat16 and
sum in float32. Gates, cell states and gradients of weights are float32, so rounding errors of
bfloat16 do not add up over steps. ``benchmarks/train.py`` measures the gain.

Shapes: T steps, B sentences, E input, H hidden, L layers, V vocabulary, N tokens without padding.
Tokens lie step by step, and sentences within a step longest first.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lingo_model.kernels import training as kernels


def lstm_layers(
    lstm: nn.LSTM,
    inputs: Tensor,
    lengths: Tensor | None,
    state: tuple[Tensor, Tensor] | None,
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Compute what ``lstm`` computes in training, with gradients for all of its weights.

    Args:
        lstm: the layers, with ``batch_first=True``.
        inputs: ``[B, T, E]``, padded at the end.
        lengths: number of tokens of each sentence ``[B]``, 1 or more; None if all have T.
        state: hidden and cell state before the first step, each ``[L, B, H]``; None for zeros.

    Returns:
        outputs ``[B, T, H]`` in bfloat16, zero at padding, and the state after the last token of
        each sentence, each ``[L, B, H]``. With two directions these are ``[B, T, 2 H]`` and
        ``[2 L, B, H]``.
    """
    packing = _packing_of(inputs, lengths)
    outputs = inputs.flatten(0, 1).index_select(0, packing.tokens).bfloat16()  # [N, E]
    last_hidden: list[Tensor] = []
    last_cell: list[Tensor] = []
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
                first_state = (bias.new_zeros(inputs.size(0), lstm.hidden_size),) * 2
            else:
                first_state = (
                    state[0][len(last_hidden)].float().index_select(0, packing.order),
                    state[1][len(last_cell)].float().index_select(0, packing.order),
                )
            layer_inputs = outputs.index_select(0, packing.reversed) if suffix else outputs
            hidden, cell = _LSTMLayer.apply(  # type: ignore[no-untyped-call]
                layer_inputs, *first_state, *weights, bias, packing
            )
            last_hidden.append(hidden.index_select(0, packing.last))
            last_cell.append(cell.index_select(0, packing.last))
            directions.append(hidden.index_select(0, packing.reversed) if suffix else hidden)
        outputs = directions[0] if len(directions) == 1 else torch.cat(directions, dim=1)
    padded = outputs.new_zeros(inputs.size(0) * inputs.size(1), outputs.size(1))
    padded = padded.index_copy(0, packing.tokens, outputs)
    return padded.view(*inputs.shape[:2], -1), (torch.stack(last_hidden), torch.stack(last_cell))


@dataclasses.dataclass(frozen=True)
class _Packing:
    """Indices between B padded sequences and their N tokens in packed order.

    Attributes:
        order: ``[B]``, rows of the batch, longest first.
        n_rows: ``[T]``, number of sequences that have each step.
        tokens: ``[N]``, index of each token in the padded batch ``[B * T]``.
        reversed: ``[N]``, index of the token at the same distance from the other end.
        last: ``[B]``, index of the last token of each row.
        previous: ``[N]``, index of the state before each token among the ``[B + N]`` states, of
            which the first B are the first states.
    """

    order: Tensor
    n_rows: Tensor
    tokens: Tensor
    reversed: Tensor
    last: Tensor
    previous: Tensor


def _packing_of(inputs: Tensor, lengths: Tensor | None) -> _Packing:
    n_rows, n_steps = inputs.shape[:2]
    if lengths is None:
        lengths = torch.full((n_rows,), n_steps)
    sorted_lengths, order = lengths.sort(descending=True, stable=True)
    is_token = torch.arange(n_steps).unsqueeze(1) < sorted_lengths  # [T, B]
    step, rank = is_token.nonzero(as_tuple=True)  # each [N]; rank: index into `order`
    index = is_token.flatten().cumsum(0).view_as(is_token) - 1  # [T, B]
    first_of_step = index[:, 0]
    return _Packing(
        order,
        is_token.sum(1),
        order[rank] * n_steps + step,
        index[sorted_lengths[rank] - 1 - step, rank],
        index[lengths - 1, order.argsort()],
        torch.where(step > 0, n_rows + first_of_step[step - 1], 0) + rank,
    )


def linear(inputs: Tensor, weight: Tensor) -> Tensor:
    """Multiply ``inputs`` ``[..., K]`` by the transpose of ``weight`` ``[M, K]``.

    Returns:
        bfloat16 ``[..., M]``.
    """
    flat = inputs.bfloat16().flatten(0, -2).contiguous()
    outputs: Tensor = _Linear.apply(flat, weight)  # type: ignore[no-untyped-call]
    return outputs.view(*inputs.shape[:-1], -1)


def cross_entropy_sum(
    hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, *, label_smoothing: float
) -> Tensor:
    """Run the output layer and sum the cross-entropy over rows (nats).

    Args:
        hidden: ``[N, H]``.
        weight: weight of the output layer ``[V, H]``.
        bias: bias of the output layer ``[V]``.
        targets: ids ``[N]``.
        label_smoothing: share of probability that is spread evenly over the vocabulary.

    Returns:
        a float32 scalar.
    """
    loss: Tensor = _CrossEntropy.apply(  # type: ignore[no-untyped-call]
        hidden.bfloat16().contiguous(), weight, bias, targets, label_smoothing
    )
    return loss


class _LSTMLayer(torch.autograd.Function):
    """One LSTM layer in one direction."""

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
        """Compute the state after each token.

        Args:
            ctx: context of the autograd function.
            inputs: bfloat16 ``[N, E]``.
            first_hidden: ``[B, H]``, longest sequence first.
            first_cell: ``[B, H]``, longest sequence first.
            weight_ih: ``[4 H, E]``.
            weight_hh: ``[4 H, H]``.
            bias: ``[4 H]``.
            packing: order of the tokens.

        Returns:
            hidden states (bfloat16 ``[N, H]``) and cell states (float32 ``[N, H]``).
        """
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
        """Compute the gradient of every argument of ``forward``, in its shape.

        Args:
            ctx: context of the autograd function.
            d_hidden: gradient of the hidden states ``[N, H]``; None for zeros.
            d_cell: gradient of the cell states ``[N, H]``; None for zeros.
        """
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
    """A linear layer without bias."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, weight: Tensor) -> Tensor:
        """Multiply bfloat16 ``[N, K]`` by the transpose of ``[M, K]``; bfloat16 ``[N, M]``."""
        ctx.save_for_backward(inputs, weight)
        shape = (inputs.size(0), *weight.shape)
        return kernels.product(inputs, kernels.pack_transposed(weight), shape, out=torch.bfloat16)

    @staticmethod
    def backward(ctx: Any, d_outputs: Tensor) -> tuple[Tensor, Tensor]:
        """Compute gradients of inputs ``[N, K]`` and weight ``[M, K]`` from ``[N, M]``."""
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
    """Output layer and loss together, so that the logits exist only once, in bfloat16."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, smoothing: float
    ) -> Tensor:
        """Sum the cross-entropy of hidden ``[N, H]``, weight ``[V, H]``, bias ``[V]`` and targets
        ``[N]``; a float32 scalar."""
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
        """Compute gradients of hidden, weight and bias, in their shapes, from a scalar."""
        hidden, weight, targets, logits, log_sums = ctx.saved_tensors
        d_logits = kernels.cross_entropy_backward(
            logits, targets, ctx.smoothing, d_loss.item(), log_sums
        )
        d_hidden, d_weight = _linear_backward(hidden, weight, d_logits)
        return d_hidden, d_weight, kernels.column_sums(d_logits), None, None
