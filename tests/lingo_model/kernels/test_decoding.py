"""Each compiled kernel against torch, or against numbers worked out by hand."""

import math

import pytest
import torch
from torch import nn

from lingo_model.kernels import decoding as kernels
from lingo_model.kernels.decoding import TIERS, PackedMatrix, native_tiers

pytestmark = pytest.mark.skipif(
    "exact" not in native_tiers(),
    reason="the compiled kernels are not built, or do not run on this processor",
)
EXACT = TIERS["exact"]
# One row, a full tile of rows, and every rest; outputs that fill no panel.
N_ROWS = [1, 2, 3, 4, 5, 6, 13]


def rows_of(values: torch.Tensor) -> torch.Tensor:
    """With room for the kernels' whole registers."""
    wide = torch.zeros(len(values), kernels.padded(values.size(1)), dtype=values.dtype)
    wide[:, : values.size(1)] = values
    return wide


@pytest.mark.parametrize("n_rows", N_ROWS)
@pytest.mark.parametrize("tanh", [False, True])
def test_a_linear_layer_of_two_inputs(n_rows: int, tanh: bool) -> None:
    torch.manual_seed(0)
    first, second, bias = torch.randn(37, 21), torch.randn(37, 21), torch.randn(37)
    x1, x2 = torch.randn(n_rows, 21), torch.randn(n_rows, 21)
    found = torch.full((n_rows, 48), 7.0)

    matrix = PackedMatrix(EXACT, [first, second], bias, gates=False)
    kernels.linear(matrix, [rows_of(x1), rows_of(x2)], tanh=tanh, outputs_float=found)

    expected = x1 @ first.T + x2 @ second.T + bias
    torch.testing.assert_close(
        found[:, :37], expected.tanh() if tanh else expected, rtol=1e-5, atol=1e-5
    )
    assert (found[:, 37:] == 7.0).all()  # nothing is written beyond the outputs


@pytest.mark.parametrize("n_outputs", [64, 70])  # a full panel, and one that is padded
@pytest.mark.parametrize("tier", native_tiers())
def test_packing_copies(n_outputs: int, tier: str) -> None:
    weight, bias = torch.ones(n_outputs, 16), torch.ones(n_outputs)
    matrix = PackedMatrix(TIERS[tier], [weight], bias, gates=False)
    packed, packed_bias = matrix.packed.clone(), matrix.bias.clone()

    assert (weight == 1.0).all()
    weight.zero_()
    bias.zero_()

    assert torch.equal(matrix.packed, packed)
    assert torch.equal(matrix.bias, packed_bias)


def test_an_int8_product_by_hand() -> None:
    # weights 1.0, -0.5 -> scale 1/127, levels 127 and -64 (63.5 rounds to the even 64)
    # inputs 0.5, 1.0 -> levels round(63.5) = 64 and 127, stored with zero point 128: 192, 255
    # sum of levels 64 * 127 - 127 * 64 = 0, plus the bias 0.25; exactly 0 + 0.25
    matrix = PackedMatrix(
        TIERS["int8"], [torch.tensor([[1.0, -0.5]])], torch.tensor([0.25]), gates=False
    )
    inputs = torch.zeros(1, 16, dtype=torch.uint8)
    inputs[0, :2] = torch.tensor([192, 255], dtype=torch.uint8)
    found = torch.zeros(1, 16)

    if "int8" not in native_tiers():
        pytest.skip("this processor does not run the int8 tier")
    kernels.linear(matrix, [inputs], outputs_float=found)

    assert found[0, 0].item() == pytest.approx(0.25, abs=1e-7)


@pytest.mark.parametrize("n_rows", N_ROWS)
@pytest.mark.parametrize("scale", [1.0, 200.0])  # 200: gates far into saturation
def test_an_lstm_step_is_torchs(n_rows: int, scale: float) -> None:
    torch.manual_seed(1)
    size = 23
    cell = nn.LSTMCell(size, size)
    x, h, c = (torch.randn(n_rows, size) * scale for _ in range(3))
    bias = cell.bias_ih + cell.bias_hh
    matrix = PackedMatrix(EXACT, [cell.weight_ih, cell.weight_hh], bias.detach(), gates=True)
    found, found_float, found_cell = torch.zeros(n_rows, 32), torch.zeros(n_rows, 32), rows_of(c)

    kernels.decode_layer(
        matrix,
        rows_of(x),
        rows_of(h),
        None,
        torch.zeros(n_rows, dtype=torch.int32),
        found,
        found_float,
        found_cell,
        hidden_dim=size,
    )

    expected_h, expected_c = cell(x, (h, c))
    torch.testing.assert_close(found[:, :size], expected_h, rtol=1e-5, atol=2e-6)
    torch.testing.assert_close(found_cell[:, :size], expected_c, rtol=1e-4, atol=2e-5)
    assert torch.equal(found, found_float)


@pytest.mark.parametrize("n_rows", N_ROWS)
def test_arg_max_and_its_log_probability(n_rows: int) -> None:
    torch.manual_seed(2)
    weight, bias, x = torch.randn(131, 24), torch.randn(131), torch.randn(n_rows, 24) * 3
    blocked = torch.zeros(192)
    logits = x @ weight.T + bias
    winners = logits.argmax(dim=1)
    blocked[winners[0]] = -torch.inf
    chosen, log_probs = torch.zeros(n_rows, dtype=torch.int32), torch.zeros(n_rows)

    matrix = PackedMatrix(EXACT, [weight], bias, gates=False)
    kernels.arg_max(matrix, rows_of(x), blocked, chosen, log_probs)

    # What is blocked is never chosen, but keeps its share of the probability.
    expected, expected_ids = (logits.log_softmax(dim=1) + blocked[:131]).max(dim=1)
    assert chosen.tolist() == expected_ids.tolist()
    torch.testing.assert_close(log_probs, expected, rtol=1e-5, atol=1e-5)


def test_of_equal_logits_the_first_is_chosen() -> None:
    matrix = PackedMatrix(EXACT, [torch.zeros(70, 16)], torch.zeros(70), gates=False)
    blocked = torch.zeros(128)
    blocked[:2] = -torch.inf
    chosen, log_probs = torch.zeros(1, dtype=torch.int32), torch.zeros(1)
    kernels.arg_max(matrix, torch.zeros(1, 16), blocked, chosen, log_probs)
    assert chosen.item() == 2
    assert log_probs.item() == pytest.approx(-math.log(70), abs=1e-6)


def test_top_k_is_torchs_and_short_of_candidates_gives_minus_infinity() -> None:
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

    kernels.attend(EXACT, address, None, lengths, query, None, context, hidden_dim=2)

    assert context[0, :2].tolist() == pytest.approx([0.75 * math.log(3), 4.0], abs=1e-6)

    # Additive with v = (2, 0), the same memory as keys: scores 2 tanh(1 + ln 3), 2 tanh(1)
    scores = [2 * math.tanh(1 + math.log(3)), 2 * math.tanh(1)]
    weight = math.exp(scores[0]) / (math.exp(scores[0]) + math.exp(scores[1]))
    v = torch.tensor([2.0, 0.0])
    kernels.attend(EXACT, address, address, lengths, query, v, context, hidden_dim=2)
    assert context[0, 0].item() == pytest.approx(weight * math.log(3), abs=1e-6)
