"""LSTM layers on the training kernels, compared with torch within the precision of bfloat16."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from lingo_model.kernels import autograd
from lingo_model.kernels.library import native_precisions

pytestmark = pytest.mark.skipif(
    "bfloat16" not in native_precisions(), reason="this processor has no bfloat16 kernels"
)
LENGTHS = torch.tensor([4, 1, 6, 3])


def assert_close(actual: Tensor, expected: Tensor, share: float = 0.02) -> None:
    """Compare within a share of the largest value, because bfloat16 has eight bits."""
    atol = share * float(expected.detach().abs().max())
    torch.testing.assert_close(actual.float(), expected.float(), rtol=share, atol=atol)


def torch_layers(
    lstm: nn.LSTM, inputs: Tensor, state: tuple[Tensor, Tensor] | None
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    packed = pack_padded_sequence(inputs, LENGTHS, batch_first=True, enforce_sorted=False)
    outputs, after = lstm(packed, state)
    return pad_packed_sequence(outputs, batch_first=True, total_length=inputs.size(1))[0], after


@pytest.mark.parametrize("hidden", [4, 22, 64])  # registers that are partly and completely used
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("with_state", [False, True])
def test_layers_have_torchs_outputs_states_and_gradients(
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
    is_token = (torch.arange(6) < LENGTHS.unsqueeze(1)).unsqueeze(
        2
    )  # outputs at padding do not count
    weights = [torch.randn(4, 6, (n_states // 2) * hidden)]
    weights += [torch.randn(n_states, 4, hidden) for _ in "hc"]

    def results(run: Any) -> list[Tensor]:
        outputs, (hidden, cell) = run()
        parts = [outputs.float() * is_token, hidden.float(), cell]
        total = sum((part * weight).sum() for part, weight in zip(parts, weights, strict=True))
        return [*parts, *torch.autograd.grad(total, leaves)]

    expected = results(lambda: torch_layers(lstm, inputs, state))
    actual = results(lambda: autograd.lstm_layers(lstm, inputs, LENGTHS, state))

    assert len(actual) == 3 + len(leaves)
    for actual_part, expected_part in zip(actual, expected, strict=True):
        assert_close(actual_part, expected_part, share=0.03)


def test_without_lengths_every_step_is_read() -> None:
    lstm = nn.LSTM(4, 6, 1, batch_first=True)
    inputs = torch.randn(2, 5, 4)
    outputs, (hidden, cell) = autograd.lstm_layers(lstm, inputs, None, None)
    expected, (expected_hidden, expected_cell) = lstm(inputs)
    assert_close(outputs, expected)
    assert_close(hidden, expected_hidden)
    assert_close(cell, expected_cell)


def test_a_nan_stays_a_nan_through_the_gates() -> None:
    lstm = nn.LSTM(4, 6, 1, batch_first=True)
    inputs = torch.randn(2, 5, 4)
    inputs[1, 2, 0] = torch.nan
    outputs, _ = autograd.lstm_layers(lstm, inputs, None, None)
    assert outputs[1, 2:].isnan().all()
    assert outputs[0].isfinite().all()


def test_bfloat16_stays_close_over_many_steps() -> None:
    torch.manual_seed(2)
    lstm = nn.LSTM(16, 32, 2, batch_first=True)
    inputs = torch.randn(3, 60, 16, requires_grad=True)
    expected, _ = lstm(inputs)
    (expected_gradient,) = torch.autograd.grad(expected.sum(), inputs)

    outputs, (_, cell) = autograd.lstm_layers(lstm, inputs, None, None)
    (gradient,) = torch.autograd.grad(outputs.float().sum(), inputs)

    assert (outputs.dtype, cell.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(outputs.float(), expected, rtol=0, atol=0.02)
    torch.testing.assert_close(gradient, expected_gradient, rtol=0, atol=0.05)


def test_dropout_between_layers_zeroes_and_scales(monkeypatch: pytest.MonkeyPatch) -> None:
    lstm = nn.LSTM(4, 8, 2, batch_first=True, dropout=0.5)
    upper = nn.LSTM(8, 8, 1, batch_first=True)
    upper.load_state_dict(
        {n.replace("_l1", "_l0"): w for n, w in lstm.state_dict().items() if n.endswith("_l1")}
    )
    inputs = torch.randn(2, 3, 4)
    true_dropout = autograd.functional.dropout
    calls: list[tuple[torch.Tensor, torch.Tensor]] = []  # inputs and outputs of dropout

    def recording_dropout(outputs: torch.Tensor, *how: Any, **options: Any) -> torch.Tensor:
        calls.append((outputs, true_dropout(outputs, *how, **options)))
        return calls[-1][1]

    monkeypatch.setattr(autograd.functional, "dropout", recording_dropout)
    torch.manual_seed(3)
    outputs, _ = autograd.lstm_layers(lstm, inputs, None, None)
    without, _ = autograd.lstm_layers(lstm.eval(), inputs, None, None)

    before, after = calls[0]
    assert (after.float() / before.float()).unique().tolist() == [0.0, 2.0]
    by_sentence = after.float().view(3, 2, 8).transpose(0, 1)  # tokens lie step by step
    assert_close(outputs, upper(by_sentence)[0])
    assert_close(without, lstm(inputs)[0])
