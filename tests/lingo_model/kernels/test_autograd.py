"""The training kernels give torch's outputs, losses and gradients, as far as bfloat16 can."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lingo_model import SimpleSeq2SeqLSTM, SummedLoss
from lingo_model.kernels import autograd as cpu_training
from lingo_model.kernels import training as training_kernels
from lingo_model.kernels.decoding import native_tiers

pytestmark = pytest.mark.skipif(
    "bf16" not in native_tiers(), reason="this processor has no bfloat16 kernels"
)
LENGTHS = torch.tensor([4, 1, 6, 3])


def assert_close(ours: Tensor, theirs: Tensor, share: float = 0.02) -> None:
    """Within a share of the largest value: bfloat16 has eight bits."""
    atol = share * float(theirs.detach().abs().max())
    torch.testing.assert_close(ours.float(), theirs.float(), rtol=share, atol=atol)


def torch_layers(
    lstm: nn.LSTM, inputs: Tensor, state: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    packed = pack_padded_sequence(inputs, LENGTHS, batch_first=True, enforce_sorted=False)
    outputs, after = lstm(packed, state)
    return pad_packed_sequence(outputs, batch_first=True, total_length=inputs.size(1))[0], after


@pytest.mark.parametrize("hidden", [4, 22, 64])  # registers filled in part and in full
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("with_state", [False, True])
def test_layers_give_torchs_outputs_states_and_gradients(
    bidirectional: bool, with_state: bool, hidden: int
) -> None:
    torch.manual_seed(0)
    lstm = nn.LSTM(6, hidden, 2, batch_first=True, bidirectional=bidirectional)
    inputs = torch.randn(4, 6, 6, requires_grad=True)
    n_states = 4 if bidirectional else 2
    state = None
    if with_state:
        size = (n_states, 4, hidden)
        state = (torch.randn(size, requires_grad=True), torch.randn(size, requires_grad=True))
    leaves = [inputs, *(state or ()), *lstm.parameters()]
    within = (torch.arange(6) < LENGTHS.unsqueeze(1)).unsqueeze(2)  # padding is nobody's business
    weights = [torch.randn(4, 6, (n_states // 2) * hidden)]
    weights += [torch.randn(n_states, 4, hidden) for _ in "hc"]

    def results(run: Any) -> list[Tensor]:
        outputs, (hidden, cell) = run()
        found = [outputs.float() * within, hidden.float(), cell]
        total = sum((part * weight).sum() for part, weight in zip(found, weights, strict=True))
        return [*found, *torch.autograd.grad(total, leaves)]

    expected = results(lambda: torch_layers(lstm, inputs, state))
    found = results(lambda: cpu_training.lstm_layers(lstm, inputs, LENGTHS, state))

    assert len(found) == 3 + len(leaves)
    for ours, theirs in zip(found, expected, strict=True):
        assert_close(ours, theirs, share=0.03)


def test_without_lengths_every_step_is_read() -> None:
    lstm = nn.LSTM(4, 6, 1, batch_first=True)
    inputs = torch.randn(2, 5, 4)
    outputs, (hidden, cell) = cpu_training.lstm_layers(lstm, inputs, None, None)
    expected, (expected_hidden, expected_cell) = lstm(inputs)
    assert_close(outputs, expected)
    assert_close(hidden, expected_hidden)
    assert_close(cell, expected_cell)


@pytest.mark.parametrize("attention", [False, True])
def test_a_model_in_bfloat16_gives_the_logits_and_gradients_of_float32(attention: bool) -> None:
    torch.manual_seed(1)
    model = SimpleSeq2SeqLSTM(
        11, 11, emb_dim=6, hidden_dim=8, dropout=0.0, attention=attention, bidirectional=True
    )
    source = torch.tensor([[5, 9, 7, 4, 3], [8, 3, 0, 0, 0], [0, 0, 0, 0, 0]])
    target = torch.tensor([[2, 5, 6], [2, 7, 0], [2, 4, 4]])

    def logits_and_gradients() -> tuple[Tensor, list[Tensor]]:
        logits = model(source, target).float()
        return logits, list(torch.autograd.grad(logits.square().sum(), list(model.parameters())))

    expected, expected_gradients = logits_and_gradients()
    with torch.autocast("cpu", torch.bfloat16):
        found, gradients = logits_and_gradients()

    torch.testing.assert_close(found, expected, rtol=0, atol=0.02)
    for ours, theirs in zip(gradients, expected_gradients, strict=True):
        assert_close(ours, theirs, share=0.05)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
@pytest.mark.parametrize("attention", [False, True])
def test_the_summed_loss_and_its_gradients_are_torchs(
    attention: bool, label_smoothing: float
) -> None:
    torch.manual_seed(5)
    model = SimpleSeq2SeqLSTM(12, 70, emb_dim=6, hidden_dim=8, dropout=0.0, attention=attention)
    loss = SummedLoss(model, label_smoothing=label_smoothing)
    source = torch.tensor([[5, 9, 7, 4, 3], [8, 3, 0, 0, 0]])
    target = torch.tensor([[2, 5, 60, 69], [2, 7, 0, 0]])
    expected_tokens = torch.tensor([[5, 60, 69, 3], [7, 3, 0, 0]])

    def loss_and_gradients() -> list[Tensor]:
        found = loss(source, target, expected_tokens)
        return [found, *torch.autograd.grad(3.0 * found, list(model.parameters()))]

    expected = loss_and_gradients()
    with torch.autocast("cpu", torch.bfloat16):
        found = loss_and_gradients()

    assert found[0].dtype is torch.float32
    for ours, theirs in zip(found, expected, strict=True):
        assert_close(ours, theirs, share=0.05)


def test_the_cross_entropy_kernel_is_torchs_to_the_last_bits() -> None:
    torch.manual_seed(6)
    logits = (5 * torch.randn(7, 2050)).bfloat16().requires_grad_()
    targets = torch.randint(0, 2050, (7,))
    loss, log_sums = training_kernels.cross_entropy(logits.detach(), targets, 0.2)
    expected = cross_entropy(logits.float(), targets, reduction="sum", label_smoothing=0.2)
    (gradient,) = torch.autograd.grad(expected * 0.25, logits)

    found = training_kernels.cross_entropy_backward(logits.detach(), targets, 0.2, 0.25, log_sums)

    torch.testing.assert_close(loss, expected.detach(), rtol=1e-6, atol=0)
    torch.testing.assert_close(log_sums, logits.detach().float().logsumexp(1), rtol=1e-6, atol=0)
    torch.testing.assert_close(found, gradient, rtol=2**-7, atol=1e-9)


@pytest.mark.parametrize("m", [1, 5, 13, 70])
@pytest.mark.parametrize("n", [2, 63, 130])
@pytest.mark.parametrize("k", [2, 34, 2050, 4100])  # also beyond a block
def test_products_are_those_of_the_rounded_matrices(m: int, n: int, k: int) -> None:
    torch.manual_seed(m * n * k)
    left, right = torch.randn(m, k).bfloat16(), torch.randn(k, n).bfloat16()
    bias = torch.randn(n)
    expected = left.double() @ right.double() + bias.double()
    atol = 1e-6 * k

    packed = training_kernels.pack(right)
    across = training_kernels.pack_transposed(right.float().t().contiguous())
    assert torch.equal(packed, across)
    assert torch.equal(packed, training_kernels.pack(right.float()))
    found = training_kernels.product(left, packed, (m, n, k), bias=bias)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=atol)
    rounded = training_kernels.product(left, packed, (m, n, k), bias=bias, out=torch.bfloat16)
    assert torch.equal(rounded, found.bfloat16())
    turned = training_kernels.pack(left.t().contiguous())
    again = training_kernels.product(turned, packed, (m, n, k), bias=bias, left_is_packed=True)
    torch.testing.assert_close(again.double(), expected, rtol=1e-5, atol=atol)


def test_an_odd_number_of_rows_is_packed_with_a_zero() -> None:
    left, right = torch.randn(5, 3).bfloat16(), torch.randn(5, 9).bfloat16()
    found = training_kernels.product(
        training_kernels.pack(left), training_kernels.pack(right), (3, 9, 5), left_is_packed=True
    )
    torch.testing.assert_close(found, left.float().t() @ right.float())


def test_column_sums() -> None:
    matrix = torch.randn(9, 35).bfloat16()
    torch.testing.assert_close(training_kernels.column_sums(matrix), matrix.float().sum(0))


def test_a_nan_stays_one_through_gates_and_loss() -> None:
    lstm = nn.LSTM(4, 6, 1, batch_first=True)
    inputs = torch.randn(2, 5, 4)
    inputs[1, 2, 0] = torch.nan
    outputs, _ = cpu_training.lstm_layers(lstm, inputs, None, None)
    assert outputs[1, 2:].isnan().all()
    assert outputs[0].isfinite().all()
    logits = torch.randn(3, 20).bfloat16()
    logits[1, 3] = torch.nan
    assert training_kernels.cross_entropy(logits, torch.tensor([0, 1, 2]), 0.0)[0].isnan()


def test_bfloat16_stays_close_over_many_steps() -> None:
    torch.manual_seed(2)
    lstm = nn.LSTM(16, 32, 2, batch_first=True)
    inputs = torch.randn(3, 60, 16, requires_grad=True)
    expected, _ = lstm(inputs)
    (expected_gradient,) = torch.autograd.grad(expected.sum(), inputs)

    found, (_, cell) = cpu_training.lstm_layers(lstm, inputs, None, None)
    (gradient,) = torch.autograd.grad(found.float().sum(), inputs)

    assert (found.dtype, cell.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=0.02)
    torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=0.05)


def test_dropout_between_layers_zeroes_and_scales(monkeypatch: pytest.MonkeyPatch) -> None:
    lstm = nn.LSTM(4, 8, 2, batch_first=True, dropout=0.5)
    upper = nn.LSTM(8, 8, 1, batch_first=True)
    upper.load_state_dict(
        {n.replace("_l1", "_l0"): w for n, w in lstm.state_dict().items() if n.endswith("_l1")}
    )
    inputs = torch.randn(2, 3, 4)
    true_dropout = cpu_training.functional.dropout
    dropped: list[tuple[torch.Tensor, torch.Tensor]] = []

    def seen(outputs: torch.Tensor, *how: Any, **options: Any) -> torch.Tensor:
        dropped.append((outputs, true_dropout(outputs, *how, **options)))
        return dropped[-1][1]

    monkeypatch.setattr(cpu_training.functional, "dropout", seen)
    torch.manual_seed(3)
    found, _ = cpu_training.lstm_layers(lstm, inputs, None, None)
    without, _ = cpu_training.lstm_layers(lstm.eval(), inputs, None, None)

    between, left = dropped[0]
    assert (left.float() / between.float()).unique().tolist() == [0.0, 2.0]
    by_sentence = left.float().view(3, 2, 8).transpose(0, 1)  # it lies step after step
    assert_close(found, upper(by_sentence)[0])
    assert_close(without, lstm(inputs)[0])
