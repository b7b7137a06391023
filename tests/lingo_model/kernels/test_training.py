"""The training kernels, compared with torch."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from lingo_model.kernels import training as kernels
from lingo_model.kernels.library import native_precisions

pytestmark = pytest.mark.skipif(
    "bfloat16" not in native_precisions(), reason="this processor has no bfloat16 kernels"
)


def test_the_cross_entropy_equals_torchs_to_the_last_bits() -> None:
    torch.manual_seed(6)
    logits = (5 * torch.randn(7, 2050)).bfloat16().requires_grad_()
    targets = torch.randint(0, 2050, (7,))
    loss, log_sums = kernels.cross_entropy(logits.detach(), targets, 0.2)
    expected = cross_entropy(logits.float(), targets, reduction="sum", label_smoothing=0.2)
    (gradient,) = torch.autograd.grad(expected * 0.25, logits)

    d_logits = kernels.cross_entropy_backward(logits.detach(), targets, 0.2, 0.25, log_sums)

    torch.testing.assert_close(loss, expected.detach(), rtol=1e-6, atol=0)
    torch.testing.assert_close(log_sums, logits.detach().float().logsumexp(1), rtol=1e-6, atol=0)
    torch.testing.assert_close(d_logits, gradient, rtol=2**-7, atol=1e-9)


@pytest.mark.parametrize("m", [1, 5, 13, 70])
@pytest.mark.parametrize("n", [2, 63, 130])
@pytest.mark.parametrize("k", [2, 34, 2050, 4100])  # also more than one block
def test_products_equal_those_of_the_rounded_matrices(m: int, n: int, k: int) -> None:
    torch.manual_seed(m * n * k)
    left, right = torch.randn(m, k).bfloat16(), torch.randn(k, n).bfloat16()
    bias = torch.randn(n)
    expected = left.double() @ right.double() + bias.double()
    atol = 1e-6 * k

    packed = kernels.pack(right)
    across = kernels.pack_transposed(right.float().t().contiguous())
    assert torch.equal(packed, across)
    assert torch.equal(packed, kernels.pack(right.float()))
    result = kernels.product(left, packed, (m, n, k), bias=bias)
    torch.testing.assert_close(result.double(), expected, rtol=1e-5, atol=atol)
    rounded = kernels.product(left, packed, (m, n, k), bias=bias, out=torch.bfloat16)
    assert torch.equal(rounded, result.bfloat16())
    packed_left = kernels.pack(left.t().contiguous())
    again = kernels.product(packed_left, packed, (m, n, k), bias=bias, left_is_packed=True)
    torch.testing.assert_close(again.double(), expected, rtol=1e-5, atol=atol)


def test_an_odd_number_of_rows_is_packed_with_a_zero() -> None:
    left, right = torch.randn(5, 3).bfloat16(), torch.randn(5, 9).bfloat16()
    result = kernels.product(
        kernels.pack(left), kernels.pack(right), (3, 9, 5), left_is_packed=True
    )
    torch.testing.assert_close(result, left.float().t() @ right.float())


def test_column_sums() -> None:
    matrix = torch.randn(9, 35).bfloat16()
    torch.testing.assert_close(kernels.column_sums(matrix), matrix.float().sum(0))


def test_a_nan_stays_a_nan_in_the_loss() -> None:
    logits = torch.randn(3, 20).bfloat16()
    logits[1, 3] = torch.nan
    assert kernels.cross_entropy(logits, torch.tensor([0, 1, 2]), 0.0)[0].isnan()
