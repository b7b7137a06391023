"""LSTM layers for training in bfloat16 on a CPU, in few large matrix products.

``torch.nn.LSTM`` on a CPU computes the weights' gradients step by step, and sequences of different
lengths in batches that shrink. Here, as in Appleyard et al. 2016 ("Optimizing Performance of
Recurrent Neural Networks on GPUs", section 3), all that does not wait for the step before is one
product over all steps: the input side forwards, and the gradients of the inputs and of both weight
matrices backwards. Padding is computed and never looked at. ``benchmarks/train.py`` says what it
gives.

Shapes: T steps, B sentences, E input, H hidden; sequences are time-major, ``[T, B, ...]``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lingo_model import native_kernels as kernels


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
        outputs ``[B, T, H]`` (both directions side by side), whose padding is arbitrary, and the
        state after each sentence's last token, each ``[L, B, H]`` (``[2 L, B, H]`` for two
        directions).
    """
    n_steps, n_rows = inputs.size(1), inputs.size(0)
    rows = torch.arange(n_rows)
    last = rows.new_full((n_rows,), n_steps - 1) if lengths is None else lengths - 1
    backwards = (last - torch.arange(n_steps).unsqueeze(1)) % n_steps  # [T, B]: last token first
    dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else inputs.dtype
    outputs = inputs.transpose(0, 1)  # [T, B, E]
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
                size = (n_rows, lstm.hidden_size)
                before = (inputs.new_zeros(size, dtype=dtype), inputs.new_zeros(size))
            else:
                before = (state[0][len(hidden)].to(dtype), state[1][len(cell)].to(inputs.dtype))
            read = outputs[backwards, rows] if suffix else outputs
            found, cells = _LSTMLayer.apply(  # type: ignore[no-untyped-call]
                read.to(dtype).contiguous(), *before, *(part.to(dtype) for part in (*weights, bias))
            )
            hidden.append(found[last, rows])
            cell.append(cells[last, rows])
            directions.append(found[backwards, rows] if suffix else found)
        outputs = directions[0] if len(directions) == 1 else torch.cat(directions, dim=2)
    return outputs.transpose(0, 1), (torch.stack(hidden), torch.stack(cell))


class _LSTMLayer(torch.autograd.Function):
    """One layer in one direction: every hidden and cell state, each ``[T, B, H]``.

    Products are in the type of the inputs, gates and cell states in that of ``first_cell``, so that
    bfloat16 never adds up over steps.
    """

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        first_hidden: Tensor,
        first_cell: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias: Tensor,
    ) -> tuple[Tensor, Tensor]:
        n_steps, n_rows, _ = inputs.shape
        size = weight_hh.size(1)
        with torch.autocast("cpu", enabled=False):
            summed = functional.linear(inputs, weight_ih, bias)  # [T, B, 4 H]: i, f, g, o
            gates = first_cell.new_empty(summed.shape)
            hidden = inputs.new_empty(n_steps + 1, n_rows, size)
            cell = first_cell.new_empty(n_steps + 1, n_rows, size)
            hidden[0], cell[0] = first_hidden, first_cell
            weight = weight_hh.t()
            compiled = _compiled(inputs)
            for step in range(n_steps):
                product = torch.addmm(summed[step], hidden[step], weight)
                if compiled:
                    kernels.lstm_forward(
                        product, cell[step], gates[step], cell[step + 1], hidden[step + 1]
                    )
                    continue
                active = gates[step].copy_(product)
                i, f, g, o = active.chunk(4, dim=1)
                active[:, : 2 * size].sigmoid_()
                g.tanh_()
                o.sigmoid_()
                torch.mul(f, cell[step], out=cell[step + 1]).addcmul_(i, g)
                hidden[step + 1] = o * cell[step + 1].tanh()
        ctx.save_for_backward(inputs, hidden, cell, gates, weight_ih, weight_hh)
        return hidden[1:], cell[1:]

    @staticmethod
    def backward(ctx: Any, d_hidden: Tensor, d_cell: Tensor) -> tuple[Tensor, ...]:
        inputs, hidden, cell, gates, weight_ih, weight_hh = ctx.saved_tensors
        run_backwards = _compiled_backwards if _compiled(inputs) else _backwards
        d_gates, d_first_hidden, d_first_cell = run_backwards(
            gates, cell, d_hidden, d_cell, weight_hh
        )
        flat = d_gates.flatten(0, 1)  # [T B, 4 H]
        return (
            (flat @ weight_ih).view_as(inputs),
            d_first_hidden,
            d_first_cell,
            flat.t() @ inputs.flatten(0, 1),
            flat.t() @ hidden[:-1].flatten(0, 1),
            flat.sum(dim=0),
        )


def _compiled(inputs: Tensor) -> bool:
    """Whether the kernels do what stands between the products."""
    return inputs.dtype is torch.bfloat16 and "bf16" in kernels.native_tiers()


def _compiled_backwards(
    gates: Tensor, cell: Tensor, d_hidden: Tensor, d_cell: Tensor, weight_hh: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """As :func:`_backwards`, on the compiled kernels."""
    d_hidden, d_cell = d_hidden.contiguous(), d_cell.contiguous()
    d_gates = torch.empty_like(gates, dtype=d_hidden.dtype)
    d_next_hidden, d_next_cell = torch.zeros_like(d_hidden[0]), torch.zeros_like(cell[0])
    for step in range(len(gates) - 1, -1, -1):
        kernels.lstm_backward(
            gates[step],
            cell[step],
            cell[step + 1],
            d_hidden[step],
            d_next_hidden,
            d_cell[step],
            d_next_cell,
            d_gates[step],
        )
        d_next_hidden = d_gates[step] @ weight_hh
    return d_gates, d_next_hidden, d_next_cell


def _backwards(
    gates: Tensor, cell: Tensor, d_hidden: Tensor, d_cell: Tensor, weight_hh: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of the gates' sums ``[T, B, 4 H]`` and of the first states, each ``[B, H]``."""
    n_steps, n_rows, size = d_hidden.shape
    dtype = d_hidden.dtype
    i, f, g, o = gates.chunk(4, dim=2)
    tanh_cell = cell[1:].tanh()
    # What each gate's gradient is for a gradient of one of the cell (i, f, g) or hidden state.
    slope = torch.stack(
        [
            g * i * (1 - i),
            cell[:-1] * f * (1 - f),
            i * (1 - g * g),
            tanh_cell * o * (1 - o),
        ],
        dim=2,
    )  # [T, B, 4, H]
    cell_slope = o * (1 - tanh_cell * tanh_cell)
    d_gates = torch.empty_like(gates, dtype=dtype)
    d_next_hidden, d_next_cell = torch.zeros_like(cell[0]), torch.zeros_like(cell[0])
    for step in range(n_steps - 1, -1, -1):
        d_h = d_hidden[step].to(cell.dtype) + d_next_hidden
        d_c = torch.addcmul(d_cell[step] + d_next_cell, d_h, cell_slope[step])
        d_both = torch.cat(
            [d_c.unsqueeze(1) * slope[step, :, :3], (d_h * slope[step, :, 3]).unsqueeze(1)], dim=1
        )
        d_gates[step] = d_both.view(n_rows, 4 * size)
        d_next_cell = d_c * f[step]
        d_next_hidden = (d_gates[step] @ weight_hh).to(cell.dtype)
    return d_gates, d_next_hidden.to(dtype), d_next_cell
