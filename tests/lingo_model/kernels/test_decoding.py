"""Each decoding kernel, compared with torch or with numbers worked by hand."""

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from lingo_model.kernels import decoding as kernels
from lingo_model.kernels.library import native_precisions
from lingo_model.kernels.packed_matrix import PackedMatrix, in_panels, padded
from lingo_model.kernels.precision import KERNEL_PRECISIONS, KernelPrecision
from lingo_model.network.attention import AdditiveAttention, DotAttention, EncoderOutputs

pytestmark = pytest.mark.skipif(
    "float32" not in native_precisions(),
    reason="the kernels are not built, or this processor lacks AVX-512",
)
FLOAT32 = KERNEL_PRECISIONS["float32"]
each_precision = pytest.mark.parametrize("name", native_precisions())
low_precisions = [name for name in native_precisions() if name != "float32"]
each_low_precision = pytest.mark.parametrize("name", low_precisions)
# One row, a full tile of rows, and every remainder.
N_ROWS = [1, 2, 3, 4, 5, 6, 13]


def rows_of(values: Tensor, fill: int = 0) -> Tensor:
    """Rows padded to the width of whole registers."""
    wide = torch.full((len(values), padded(values.size(1))), fill, dtype=values.dtype)
    wide[:, : values.size(1)] = values
    return wide


class Format(NamedTuple):
    """A number format of the kernels, in plain torch."""

    precision: KernelPrecision
    resolution: float  # bound on the rounding error of an activation in (-1, 1)

    def stored(self, x: Tensor) -> Tensor:
        """Activations as the kernels read them, in padded rows."""
        if self.precision.name == "int8":
            return rows_of(((x * 127).round() + 128).to(torch.uint8), fill=128)
        return rows_of(x.to(self.precision.activation))

    def read(self, rows: Tensor, width: int) -> Tensor:
        """Activations that the kernels wrote, in float32."""
        values = rows[:, :width].float()
        return (values - 128) / 127 if self.precision.name == "int8" else values

    def rounded(self, x: Tensor) -> Tensor:
        """Activations after rounding, in float32."""
        return self.read(self.stored(x), x.size(1))

    def rounded_weight(self, weight: Tensor) -> Tensor:
        """A weight matrix after rounding: int8 has 127 levels on each side for each output."""
        if self.precision.name == "int8":
            scale = weight.abs().amax(dim=1, keepdim=True) / 127
            return (weight / scale).round() * scale
        return weight.to(self.precision.weight).float()


FORMATS = {
    "float32": Format(KERNEL_PRECISIONS["float32"], 1e-6),
    "bfloat16": Format(KERNEL_PRECISIONS["bfloat16"], 2**-8),
    "int8": Format(KERNEL_PRECISIONS["int8"], 1 / 127),
}


@pytest.mark.parametrize("n_rows", N_ROWS)
@pytest.mark.parametrize("tanh", [False, True])
def test_a_linear_layer_of_two_inputs(n_rows: int, tanh: bool) -> None:
    torch.manual_seed(0)
    first, second, bias = torch.randn(37, 21), torch.randn(37, 21), torch.randn(37)
    x1, x2 = torch.randn(n_rows, 21), torch.randn(n_rows, 21)
    outputs = torch.full((n_rows, 48), 7.0)

    matrix = PackedMatrix(FLOAT32, [first, second], bias, gates=False)
    kernels.linear(matrix, [rows_of(x1), rows_of(x2)], tanh=tanh, outputs_float=outputs)

    expected = x1 @ first.T + x2 @ second.T + bias
    torch.testing.assert_close(
        outputs[:, :37], expected.tanh() if tanh else expected, rtol=1e-5, atol=1e-5
    )
    assert (outputs[:, 37:] == 7.0).all()  # columns after the outputs are unchanged


@pytest.mark.parametrize("n_outputs", [64, 70])  # a full panel, and one that is padded
@each_precision
def test_packing_copies(n_outputs: int, name: str) -> None:
    weight, bias = torch.ones(n_outputs, 16), torch.ones(n_outputs)
    matrix = PackedMatrix(KERNEL_PRECISIONS[name], [weight], bias, gates=False)
    packed, packed_bias = matrix.packed.clone(), matrix.bias.clone()

    assert (weight == 1.0).all()
    weight.zero_()
    bias.zero_()

    assert torch.equal(matrix.packed, packed)
    assert torch.equal(matrix.bias, packed_bias)


@pytest.mark.skipif("int8" not in native_precisions(), reason="this processor has no int8 kernels")
@pytest.mark.parametrize("factor", [1.0, 2.0])  # 2.0: a wrong scale must change the result
def test_an_int8_product_by_hand(factor: float) -> None:
    # weights 1.0, -0.5 -> scale 1/127, levels 127 and -64 (-63.5 rounds to the even -64)
    # inputs 1.0, 0.5 -> levels 127 and round(63.5) = 64, stored with zero point 128: 255, 192
    # sum of levels 127 * 127 - 64 * 64 = 12033, times the scales 1/127 and 1/127 = 0.746048
    matrix = PackedMatrix(
        KERNEL_PRECISIONS["int8"], [torch.tensor([[1.0, -0.5]])], torch.tensor([0.25]), gates=False
    )
    assert matrix.output_scale is not None
    assert matrix.output_scale[0].item() == pytest.approx(1 / 127**2, rel=1e-6)
    matrix.output_scale *= factor
    inputs = rows_of(torch.tensor([[255, 192]], dtype=torch.uint8), fill=128)
    outputs = torch.zeros(1, 16)

    kernels.linear(matrix, [inputs], outputs_float=outputs)

    assert outputs[0, 0].item() == pytest.approx(factor * 12033 / 16129 + 0.25, abs=1e-6)


@each_low_precision
@pytest.mark.parametrize("n_rows", N_ROWS)
def test_a_linear_layer_in_low_precision(n_rows: int, name: str) -> None:
    torch.manual_seed(4)
    form = FORMATS[name]
    first, second, bias = torch.randn(37, 21) / 5, torch.randn(37, 21) / 5, torch.randn(37)
    x1, x2 = torch.rand(n_rows, 21) * 2 - 1, torch.rand(n_rows, 21) * 2 - 1
    outputs = torch.zeros(n_rows, 48, dtype=form.precision.activation)
    outputs_float = torch.zeros(n_rows, 48)

    matrix = PackedMatrix(form.precision, [first, second], bias, gates=False)
    inputs = [form.stored(x1), form.stored(x2)]
    kernels.linear(matrix, inputs, tanh=True, outputs=outputs, outputs_float=outputs_float)

    weight = form.rounded_weight(torch.cat([first, second], dim=1))
    inputs_float = torch.cat([form.rounded(x1), form.rounded(x2)], dim=1)
    expected = (inputs_float @ weight.T + bias).tanh()
    torch.testing.assert_close(outputs_float[:, :37], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        form.read(outputs, 37), expected, rtol=form.resolution, atol=form.resolution
    )


@each_low_precision
@pytest.mark.parametrize("n_rows", N_ROWS)
@pytest.mark.parametrize("with_table", [False, True])
def test_gates_in_low_precision(n_rows: int, name: str, with_table: bool) -> None:
    torch.manual_seed(5)
    form, size, n_tokens = FORMATS[name], 23, 11
    weight_ih, weight_hh = torch.randn(4 * size, size) / 4, torch.randn(4 * size, size) / 4
    bias, table = torch.randn(4 * size), torch.randn(n_tokens, 4 * size)
    x, h = (torch.rand(n_rows, size) * 2 - 1 for _ in range(2))
    c = torch.randn(n_rows, size)
    tokens = torch.randint(0, n_tokens, (n_rows,), dtype=torch.int32)
    outputs = torch.zeros(n_rows, 32, dtype=form.precision.activation)
    outputs_float, new_cell = torch.zeros(n_rows, 32), rows_of(c)

    if with_table:
        matrix = PackedMatrix(form.precision, [weight_hh], bias, gates=True)
        stored_table = in_panels(table.T, gates=True).T.contiguous().half()
        inputs, gate_table = None, stored_table
        sums = form.rounded(h) @ form.rounded_weight(weight_hh).T + table.half().float()[tokens]
    else:
        matrix = PackedMatrix(form.precision, [weight_ih, weight_hh], bias, gates=True)
        inputs, gate_table = form.stored(x), None
        weight = form.rounded_weight(torch.cat([weight_ih, weight_hh], dim=1))
        sums = torch.cat([form.rounded(x), form.rounded(h)], dim=1) @ weight.T + bias
    kernels.decode_layer(
        matrix,
        inputs,
        form.stored(h),
        gate_table,
        tokens,
        outputs,
        outputs_float,
        new_cell,
        hidden_dim=size,
    )

    i, f, g, o = sums.view(n_rows, 4, size).unbind(1)
    expected_cell = f.sigmoid() * c + i.sigmoid() * g.tanh()
    expected = o.sigmoid() * expected_cell.tanh()
    torch.testing.assert_close(new_cell[:, :size], expected_cell, rtol=1e-4, atol=2e-5)
    torch.testing.assert_close(outputs_float[:, :size], expected, rtol=1e-4, atol=2e-5)
    torch.testing.assert_close(
        form.read(outputs, size), expected, rtol=form.resolution, atol=form.resolution
    )


@each_low_precision
@pytest.mark.parametrize("n_rows", N_ROWS)
def test_arg_max_in_low_precision(n_rows: int, name: str) -> None:
    torch.manual_seed(6)
    form = FORMATS[name]
    weight, bias = torch.randn(131, 24), torch.randn(131)
    x = torch.rand(n_rows, 24) * 2 - 1
    logits = form.rounded(x) @ form.rounded_weight(weight).T + bias
    blocked = torch.zeros(192)
    blocked[logits.argmax(dim=1)[0]] = -torch.inf
    chosen, log_probs = torch.zeros(n_rows, dtype=torch.int32), torch.zeros(n_rows)

    matrix = PackedMatrix(form.precision, [weight], bias, gates=False)
    kernels.arg_max(matrix, form.stored(x), blocked, chosen, log_probs)

    expected, expected_ids = (logits.log_softmax(dim=1) + blocked[:131]).max(dim=1)
    assert chosen.tolist() == expected_ids.tolist()
    torch.testing.assert_close(log_probs, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("n_rows", N_ROWS)
@pytest.mark.parametrize("scale", [1.0, 200.0])  # 200: gates far into saturation
def test_an_lstm_step_equals_torchs(n_rows: int, scale: float) -> None:
    torch.manual_seed(1)
    size = 23
    cell = nn.LSTMCell(size, size)
    x, h, c = (torch.randn(n_rows, size) * scale for _ in range(3))
    bias = cell.bias_ih + cell.bias_hh
    matrix = PackedMatrix(FLOAT32, [cell.weight_ih, cell.weight_hh], bias.detach(), gates=True)
    outputs, outputs_float, new_cell = torch.zeros(n_rows, 32), torch.zeros(n_rows, 32), rows_of(c)

    kernels.decode_layer(
        matrix,
        rows_of(x),
        rows_of(h),
        None,
        torch.zeros(n_rows, dtype=torch.int32),
        outputs,
        outputs_float,
        new_cell,
        hidden_dim=size,
    )

    expected_h, expected_c = cell(x, (h, c))
    torch.testing.assert_close(outputs[:, :size], expected_h, rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(new_cell[:, :size], expected_c, rtol=1e-4, atol=2e-5)
    assert torch.equal(outputs, outputs_float)


@pytest.mark.parametrize("n_rows", N_ROWS)
def test_arg_max_and_its_log_probability(n_rows: int) -> None:
    torch.manual_seed(2)
    weight, bias, x = torch.randn(131, 24), torch.randn(131), torch.randn(n_rows, 24) * 3
    blocked = torch.zeros(192)
    logits = x @ weight.T + bias
    winners = logits.argmax(dim=1)
    blocked[winners[0]] = -torch.inf
    chosen, log_probs = torch.zeros(n_rows, dtype=torch.int32), torch.zeros(n_rows)

    matrix = PackedMatrix(FLOAT32, [weight], bias, gates=False)
    kernels.arg_max(matrix, rows_of(x), blocked, chosen, log_probs)

    # A blocked output is never chosen, but it keeps its probability.
    expected, expected_ids = (logits.log_softmax(dim=1) + blocked[:131]).max(dim=1)
    assert chosen.tolist() == expected_ids.tolist()
    torch.testing.assert_close(log_probs, expected, rtol=1e-5, atol=1e-5)


def test_the_first_of_equal_logits_is_chosen() -> None:
    matrix = PackedMatrix(FLOAT32, [torch.zeros(70, 16)], torch.zeros(70), gates=False)
    blocked = torch.zeros(128)
    blocked[:2] = -torch.inf
    chosen, log_probs = torch.zeros(1, dtype=torch.int32), torch.zeros(1)
    kernels.arg_max(matrix, torch.zeros(1, 16), blocked, chosen, log_probs)
    assert chosen.item() == 2
    assert log_probs.item() == pytest.approx(-math.log(70), abs=1e-6)


def test_top_k_equals_torchs_and_fills_up_with_minus_infinity() -> None:
    torch.manual_seed(3)
    logits = torch.zeros(4, 144)
    logits[:, :131] = torch.randn(4, 131) * 5
    blocked = torch.zeros(192)
    blocked[[0, 5]] = -torch.inf

    chosen, log_probs = kernels.top_k(logits, 131, blocked, 7)

    expected, ids = (logits[:, :131].log_softmax(dim=1) + blocked[:131]).topk(7, dim=1)
    assert chosen.tolist() == ids.tolist()
    torch.testing.assert_close(log_probs, expected, rtol=1e-5, atol=1e-5)

    few = torch.zeros(64)
    few[1:] = -torch.inf
    chosen, log_probs = kernels.top_k(torch.zeros(1, 16), 4, few, 3)
    assert chosen[0, 0] == 0
    assert log_probs[0].tolist() == pytest.approx([-math.log(4), -math.inf, -math.inf])


def test_attention_by_hand() -> None:
    # Two positions, H = 2, query (1, 0). Outputs (ln 3, 5) and (0, 1): scores ln 3 and 0,
    # weights 3/4 and 1/4; context (0.75 ln 3, 0.75 * 5 + 0.25 * 1) = (0.823959, 4.0)
    outputs = torch.zeros(2, 16)
    outputs[:, :2] = torch.tensor([[math.log(3), 5.0], [0.0, 1.0]])
    query, context = torch.zeros(1, 16), torch.zeros(1, 16)
    query[0, 0] = 1.0
    address = torch.tensor([outputs.data_ptr()])
    lengths = torch.tensor([2], dtype=torch.int32)

    kernels.attend(FLOAT32, address, None, lengths, query, None, context, hidden_dim=2)

    assert context[0, :2].tolist() == pytest.approx([0.75 * math.log(3), 4.0], abs=1e-6)

    # Additive attention with v = (2, 0) and the outputs as keys: scores 2 tanh(1 + ln 3), 2 tanh(1)
    scores = [2 * math.tanh(1 + math.log(3)), 2 * math.tanh(1)]
    weight = math.exp(scores[0]) / (math.exp(scores[0]) + math.exp(scores[1]))
    v = torch.tensor([2.0, 0.0])
    kernels.attend(FLOAT32, address, address, lengths, query, v, context, hidden_dim=2)
    assert context[0, 0].item() == pytest.approx(weight * math.log(3), abs=1e-6)


@each_precision
@pytest.mark.parametrize("additive", [False, True])
def test_attention_equals_torchs(name: str, additive: bool) -> None:
    torch.manual_seed(7)
    form, size, lengths = FORMATS[name], 23, [5, 1, 3]
    attention = AdditiveAttention(size) if additive else DotAttention()
    outputs = torch.rand(3, 5, size) * 2 - 1
    state = torch.rand(3, size) * 2 - 1
    mask = torch.arange(5) < torch.tensor(lengths).unsqueeze(1)
    with torch.no_grad():
        expected, _ = attention(state.unsqueeze(1), EncoderOutputs(outputs, mask))
        if isinstance(attention, AdditiveAttention):
            keys, query = attention.W_enc(outputs), attention.W_dec(state)
            v = attention.v.weight.flatten().clone()
        else:
            keys, query, v = outputs, state, None

    def held(values: Tensor) -> tuple[list[Tensor], Tensor]:
        """Padded float32 rows of each sentence, and their addresses."""
        rows = [rows_of(sentence) for sentence in values]
        return rows, torch.tensor([row.data_ptr() for row in rows])

    output_rows, output_addresses = held(outputs)
    key_rows, key_addresses = held(keys)
    context = torch.zeros(3, 32, dtype=form.precision.activation)

    kernels.attend(
        form.precision,
        output_addresses,
        key_addresses,
        torch.tensor(lengths, dtype=torch.int32),
        rows_of(query),
        v,
        context,
        hidden_dim=size,
    )

    assert len(output_rows) == len(key_rows) == 3  # the addresses are valid until here
    tolerance = max(form.resolution, 2e-6)
    torch.testing.assert_close(
        form.read(context, size), expected[:, 0], rtol=tolerance, atol=tolerance
    )
