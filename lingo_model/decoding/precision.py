"""The numeric precisions that decoding can use. This module needs no torch."""

from __future__ import annotations

from typing import Literal, get_args

from lingo_model.errors import InputError
from lingo_model.kernels import library

DecodePrecision = Literal["float32", "bfloat16", "int8"]
DECODE_PRECISIONS: tuple[DecodePrecision, ...] = get_args(DecodePrecision)


def check_precision(precision: str, *, on_gpu: bool = False) -> None:
    """Refuse a precision that is unknown or that this machine does not support.

    Args:
        precision: name of the precision.
        on_gpu: whether the model runs on a GPU.

    Raises:
        InputError: names the precision and the supported ones.
    """
    if precision not in DECODE_PRECISIONS:
        raise InputError(f"precision={precision!r}: needs one of {', '.join(DECODE_PRECISIONS)}")
    on_cpu = dict.fromkeys(("float32", *library.native_precisions()))  # float32 runs on torch too
    supported = ("float32", "bfloat16") if on_gpu else tuple(on_cpu)
    if precision not in supported:
        reason = (
            "a GPU does not support it, choose bfloat16"
            if on_gpu
            else "its processor lacks the instructions (AVX-512 with BF16 or VNNI), "
            "or the package was installed without a C++ compiler"
        )
        raise InputError(
            f"precision={precision!r}: this machine supports {', '.join(supported)}; {reason}"
        )
