"""Loading of the compiled library, and refusal of an unknown precision."""

import dataclasses
import os

import pytest
import torch

from lingo_model.kernels import decoding, library
from lingo_model.kernels.library import PRECISION_CODES, native_precisions
from lingo_model.kernels.packed_matrix import PackedMatrix
from lingo_model.kernels.precision import KERNEL_PRECISIONS

needs_kernels = pytest.mark.skipif(
    not native_precisions(), reason="the kernels are not built, or this processor lacks AVX-512"
)


def check_required_kernels(required: str | None) -> None:
    missing = [name for name in PRECISION_CODES if name not in library.native_precisions()]
    if required == "1" and missing:
        pytest.fail(
            f"LINGO_REQUIRE_KERNELS=1, but there are no kernels for {', '.join(missing)}; "
            "run `python setup.py build_ext --inplace` on a processor with AVX-512"
        )


def test_kernels_are_present_if_they_are_required() -> None:
    """Most tests of kernels are skipped without kernels. This one fails if CI requires them."""
    check_required_kernels(os.environ.get("LINGO_REQUIRE_KERNELS"))


def test_required_kernels_that_are_missing_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "native_precisions", lambda: ("float32",))
    check_required_kernels(None)
    with pytest.raises(pytest.fail.Exception, match="no kernels for bfloat16, int8"):
        check_required_kernels("1")


@needs_kernels
def test_a_library_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(library._WITH_PRECISION, "lingo_of_tomorrow", ())
    load = library._library.__wrapped__  # without the cache
    with pytest.raises(ImportError, match=r"lingo_of_tomorrow is missing.*; install the package"):
        load()


@needs_kernels
def test_an_unknown_precision_in_a_matrix_is_refused() -> None:
    matrix = PackedMatrix(
        KERNEL_PRECISIONS["float32"], [torch.ones(3, 16)], torch.zeros(3), gates=False
    )
    matrix._struct.precision = 7
    outputs = torch.full((1, 16), 5.0)
    with pytest.raises(ValueError, match=r"lingo_linear: its precision code is unknown; needs"):
        decoding.linear(matrix, [torch.ones(1, 16)], outputs_float=outputs)
    assert (outputs == 5.0).all()


@needs_kernels
def test_an_unknown_precision_in_an_argument_is_refused() -> None:
    precision = dataclasses.replace(KERNEL_PRECISIONS["float32"], code=-1)
    outputs, context = torch.ones(2, 16), torch.zeros(1, 16)
    with pytest.raises(ValueError, match=r"lingo_attend: .* one of 0 \(float32\), 1 \(bfloat16\)"):
        decoding.attend(
            precision,
            torch.tensor([outputs.data_ptr()]),
            None,
            torch.tensor([2], dtype=torch.int32),
            torch.ones(1, 16),
            None,
            context,
            hidden_dim=2,
        )
    assert (context == 0.0).all()
