"""The training layers give torch's outputs, states and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lingo_model import SimpleSeq2SeqLSTM, lstm_training
from lingo_model.lstm_training import lstm_layers
from lingo_model.native_kernels import native_tiers

LENGTHS = torch.tensor([4, 1, 6, 3])


def torch_layers(
    lstm: nn.LSTM, inputs: Tensor, state: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    packed = pack_padded_sequence(inputs, LENGTHS, batch_first=True, enforce_sorted=False)
    outputs, after = lstm(packed, state)
    return pad_packed_sequence(outputs, batch_first=True, total_length=inputs.size(1))[0], after


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("with_state", [False, True])
def test_outputs_states_and_gradients_are_torchs(bidirectional: bool, with_state: bool) -> None:
    torch.manual_seed(0)
    lstm = nn.LSTM(5, 7, 2, batch_first=True, bidirectional=bidirectional).double()
    inputs = torch.randn(4, 6, 5, dtype=torch.float64, requires_grad=True)
    state = None
    if with_state:
        size = (4 if bidirectional else 2, 4, 7)
        state = (
            torch.randn(size, dtype=torch.float64, requires_grad=True),
            torch.randn(size, dtype=torch.float64, requires_grad=True),
        )
    leaves = [inputs, *(state or ()), *lstm.parameters()]
    within = (torch.arange(6) < LENGTHS.unsqueeze(1)).unsqueeze(2)  # padding is nobody's business
    weights = [torch.randn(4, 6, 14 if bidirectional else 7, dtype=torch.float64)]
    weights += [torch.randn(4 if bidirectional else 2, 4, 7, dtype=torch.float64) for _ in "hc"]

    def results(run: Any) -> list[Tensor]:
        outputs, (hidden, cell) = run()
        found = [outputs * within, hidden, cell]
        total = sum((part * weight).sum() for part, weight in zip(found, weights, strict=True))
        return [*found, *torch.autograd.grad(total, leaves)]

    expected = results(lambda: torch_layers(lstm, inputs, state))
    found = results(lambda: lstm_layers(lstm, inputs, LENGTHS, state))

    assert len(found) == 3 + len(leaves)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_without_lengths_every_step_is_read() -> None:
    lstm = nn.LSTM(3, 4, 1, batch_first=True).double()
    inputs = torch.randn(2, 5, 3, dtype=torch.float64)
    outputs, (hidden, cell) = lstm_layers(lstm, inputs, None, None)
    expected, (expected_hidden, expected_cell) = lstm(inputs)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(hidden, expected_hidden)
    torch.testing.assert_close(cell, expected_cell)


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
        torch.testing.assert_close(ours, theirs, rtol=0.05, atol=0.05 * float(theirs.abs().max()))


@pytest.mark.skipif("bf16" not in native_tiers(), reason="this processor has no bfloat16 kernels")
def test_the_kernels_give_what_torchs_operations_give(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(4)
    lstm = nn.LSTM(5, 23, 2, batch_first=True, bidirectional=True)  # fills no register
    inputs = torch.randn(4, 6, 5, requires_grad=True)

    def results() -> list[Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            outputs, (hidden, cell) = lstm_layers(lstm, inputs, LENGTHS, None)
        total = outputs.float().sum() + hidden.float().sum() + 2 * cell.sum()
        return [hidden, cell, *torch.autograd.grad(total, [inputs, *lstm.parameters()])]

    found = results()
    monkeypatch.setattr(lstm_training, "_compiled", lambda inputs: False)
    for ours, theirs in zip(found, results(), strict=True):
        atol = 0.02 * float(theirs.detach().abs().max())  # bfloat16 has eight bits
        torch.testing.assert_close(ours, theirs, rtol=0.02, atol=atol)


def test_bfloat16_stays_close_over_many_steps() -> None:
    torch.manual_seed(2)
    lstm = nn.LSTM(16, 32, 2, batch_first=True)
    inputs = torch.randn(3, 60, 16, requires_grad=True)
    expected, _ = lstm(inputs)
    (expected_gradient,) = torch.autograd.grad(expected.sum(), inputs)

    with torch.autocast("cpu", torch.bfloat16):
        found, (_, cell) = lstm_layers(lstm, inputs, None, None)
    (gradient,) = torch.autograd.grad(found.float().sum(), inputs)

    assert (found.dtype, cell.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=0.02)
    torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=0.05)


def test_dropout_between_layers_zeroes_and_scales() -> None:
    lstm = nn.LSTM(4, 8, 2, batch_first=True, dropout=0.5)
    inputs = torch.randn(2, 3, 4)
    torch.manual_seed(3)
    first, _ = lstm_layers(lstm, inputs, None, None)
    again, _ = lstm_layers(lstm, inputs, None, None)
    torch.manual_seed(3)
    same, _ = lstm_layers(lstm, inputs, None, None)
    without, _ = lstm_layers(lstm.eval(), inputs, None, None)

    assert torch.equal(first, same)
    assert not torch.equal(first, again)
    torch.testing.assert_close(without, lstm(inputs)[0])
