"""One step of each attention, compared with numbers worked by hand.

The scores are multiples of ln 3, so that the weights are simple fractions.
"""

import math

import pytest
import torch

from lingo_model.network.attention import AdditiveAttention, DotAttention, EncoderOutputs

LN2, LN3 = math.log(2), math.log(3)


def test_dot_step_by_hand() -> None:
    # H = 2, S = 3, the third position is padding.
    # Scores for s = (ln 3, 0):     h1 . s = ln 3, h2 . s = 0
    # softmax:                      3 / (3 + 1) = 0.75, 1 / (3 + 1) = 0.25
    # context:                      0.75 (1, 0) + 0.25 (0, 1) = (0.75, 0.25)
    # Scores for s = (0, 2 ln 3):   0, 2 ln 3;  softmax 0.1, 0.9;  context (0.1, 0.9)
    encoder_outputs = EncoderOutputs(
        torch.tensor([[[1.0, 0.0], [0.0, 1.0], [50.0, 50.0]]]),
        torch.tensor([[True, True, False]]),
    )
    decoder_outputs = torch.tensor([[[LN3, 0.0], [0.0, 2 * LN3]]])
    context, weights = DotAttention()(decoder_outputs, encoder_outputs)
    torch.testing.assert_close(weights, torch.tensor([[[0.75, 0.25, 0.0], [0.1, 0.9, 0.0]]]))
    torch.testing.assert_close(context, torch.tensor([[[0.75, 0.25], [0.1, 0.9]]]))


def test_additive_step_by_hand() -> None:
    # H = 2, S = 2. tanh(ln 2) = (4 - 1) / (4 + 1) = 0.6 and tanh(ln 3) = (9 - 1) / (9 + 1) = 0.8.
    # W_dec swaps the two units:    W_dec s = W_dec (0, ln 2) = (ln 2, 0)
    # W_enc doubles:               W_enc h1 = (0, ln 2),  W_enc h2 = (ln 3 - ln 2, 0)
    # tanh of the sums:            h1 (0.6, 0.6),  h2 (0.8, 0)
    # v = ln 3 (5, -5/3):          h1 ln 3 (3 - 1) = 2 ln 3,  h2 ln 3 (4 - 0) = 4 ln 3
    # softmax:                     9 / (9 + 81) = 0.1,  81 / 90 = 0.9
    # context:                     0.1 h1 + 0.9 h2 = (0.9 (ln 3 - ln 2) / 2, 0.1 (ln 2) / 2)
    attention = AdditiveAttention(hidden_dim=2)
    with torch.no_grad():
        attention.W_dec.weight.copy_(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
        attention.W_enc.weight.copy_(2 * torch.eye(2))
        attention.v.weight.copy_(LN3 * torch.tensor([[5.0, -5 / 3]]))
    encoder_outputs = EncoderOutputs(
        torch.tensor([[[0.0, LN2 / 2], [(LN3 - LN2) / 2, 0.0]]]), torch.tensor([[True, True]])
    )
    context, weights = attention(torch.tensor([[[0.0, LN2]]]), encoder_outputs)
    torch.testing.assert_close(weights, torch.tensor([[[0.1, 0.9]]]))
    torch.testing.assert_close(context, torch.tensor([[[0.9 * (LN3 - LN2) / 2, 0.1 * LN2 / 2]]]))


@pytest.mark.parametrize("attention", [DotAttention(), AdditiveAttention(8)], ids=["dot", "add"])
def test_weights_sum_to_one_and_are_zero_at_padding(attention: torch.nn.Module) -> None:
    torch.manual_seed(0)
    mask = torch.arange(6) < torch.tensor([6, 3, 1]).unsqueeze(1)  # [B = 3, S = 6]
    _, weights = attention(torch.randn(3, 4, 8), EncoderOutputs(torch.randn(3, 6, 8), mask))
    assert weights.shape == (3, 4, 6)
    torch.testing.assert_close(weights.sum(dim=2), torch.ones(3, 4))
    on_padding = weights.masked_select(~mask.unsqueeze(1))
    assert on_padding.numel() == (0 + 3 + 5) * 4
    assert (on_padding == 0.0).all()
    assert (weights.masked_select(mask.unsqueeze(1)) > 0.0).all()


@pytest.mark.parametrize("attention", [DotAttention(), AdditiveAttention(8)], ids=["dot", "add"])
def test_row_of_padding_has_zero_context(attention: torch.nn.Module) -> None:
    encoder_outputs = EncoderOutputs(torch.ones(1, 3, 8), torch.zeros(1, 3, dtype=torch.bool))
    context, weights = attention(torch.ones(1, 2, 8), encoder_outputs)
    assert torch.equal(weights, torch.zeros(1, 2, 3))
    assert torch.equal(context, torch.zeros(1, 2, 8))


def test_rows_selects_outputs_and_mask() -> None:
    encoder_outputs = EncoderOutputs(
        torch.arange(6.0).view(3, 2, 1), torch.tensor([[1, 1], [1, 0], [0, 0]]).bool()
    )
    kept = encoder_outputs.rows(torch.tensor([2, 0]))
    assert kept.outputs.squeeze(2).tolist() == [[4.0, 5.0], [0.0, 1.0]]
    assert kept.mask.tolist() == [[False, False], [True, True]]
