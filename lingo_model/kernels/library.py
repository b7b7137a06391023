"""Loading of the compiled library. This module needs no torch.

The library is built with the package if there is a C++ compiler. Without one, or on a processor
without AVX-512, :func:`native_precisions` is empty and everything runs on torch's operations.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util

PRECISION_CODES = {"float32": 0, "bfloat16": 1, "int8": 2}
"""The codes that native/kernels.cpp gives the precisions."""


class MatrixStruct(ctypes.Structure):
    """``LingoMatrix`` of native/kernels.cpp."""

    _fields_ = (
        ("precision", ctypes.c_int32),
        ("n_outputs", ctypes.c_int32),
        ("n_panels", ctypes.c_int32),
        ("k1_words", ctypes.c_int32),
        ("k2_words", ctypes.c_int32),
        ("packed", ctypes.c_void_p),
        ("sum_start", ctypes.c_void_p),
        ("output_scale", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
    )


_INT, _LONG, _FLOAT, _POINTER = ctypes.c_int32, ctypes.c_int64, ctypes.c_float, ctypes.c_void_p
_MATRIX = ctypes.POINTER(MatrixStruct)
# Functions that take a precision. They return 0, or 1 if the precision is unknown.
_WITH_PRECISION: dict[str, tuple[object, ...]] = {
    "lingo_encode_layer": (
        *(_MATRIX, _INT, _INT, _INT, _POINTER, _POINTER, _POINTER, _POINTER, _INT),
        *(_POINTER, _POINTER, _INT, _LONG, _POINTER),
    ),
    "lingo_decode_layer": (
        *(_MATRIX, _INT, _INT, _POINTER, _POINTER, _POINTER, _POINTER),
        *(_POINTER, _POINTER, _POINTER, _LONG),
    ),
    "lingo_linear": (
        *(_MATRIX, _INT, _POINTER, _POINTER, _LONG, _INT, _POINTER, _LONG, _POINTER, _LONG),
    ),
    "lingo_arg_max": (_MATRIX, _INT, _POINTER, _LONG, _POINTER, _POINTER, _POINTER),
    "lingo_attend": (
        *(_INT, _INT, _INT, _LONG, _POINTER, _POINTER, _POINTER, _POINTER, _POINTER, _POINTER),
    ),
}
_WITHOUT_PRECISION: dict[str, tuple[object, ...]] = {
    "lingo_top_k": (_INT, _INT, _LONG, _POINTER, _POINTER, _INT, _POINTER, _POINTER),
    "lingo_pack_down_float32": (_LONG, _LONG, _POINTER, _POINTER),
    "lingo_pack_down_bfloat16": (_LONG, _LONG, _POINTER, _POINTER),
    "lingo_pack_across": (_LONG, _LONG, _INT, _POINTER, _POINTER),
    "lingo_product": (_LONG, _LONG, _LONG, _POINTER, _INT, *[_POINTER] * 4),
    "lingo_lstm_forward": (_LONG, _POINTER, _LONG, *[_POINTER] * 4),
    "lingo_lstm_backward": (_LONG, _POINTER, _LONG, *[_POINTER] * 8),
    "lingo_cross_entropy": (_LONG, _LONG, _POINTER, _POINTER, _FLOAT, _POINTER, _POINTER),
    "lingo_cross_entropy_backward": (
        *(_LONG, _LONG, _POINTER, _POINTER, _FLOAT, _FLOAT, _POINTER, _POINTER),
    ),
    "lingo_column_sums": (_LONG, _LONG, _POINTER, _POINTER),
}


@functools.cache
def native_precisions() -> tuple[str, ...]:
    """Names of the precisions that the compiled kernels support on this processor."""
    library = _library()
    if library is None:
        return ()
    bits = library.lingo_precisions()
    return tuple(name for name, code in PRECISION_CODES.items() if bits >> code & 1)


def kernels() -> ctypes.CDLL:
    """The functions of the library. Callers check :func:`native_precisions` first."""
    library = _library()
    assert library is not None, "native_precisions() is empty: the library is not built"
    return library


@functools.cache
def _library() -> ctypes.CDLL | None:
    spec = importlib.util.find_spec("lingo_model._kernels")
    if spec is None or spec.origin is None:
        return None
    library = ctypes.CDLL(spec.origin)
    functions = ("lingo_precisions", *_WITH_PRECISION, *_WITHOUT_PRECISION)
    if missing := [name for name in functions if not hasattr(library, name)]:
        raise ImportError(
            f"{spec.origin}: the function {missing[0]} is missing, so the library was built from "
            "other sources; install the package again"
        )
    for name, argument_types in _WITHOUT_PRECISION.items():
        function = getattr(library, name)
        function.argtypes, function.restype = argument_types, None
    for name, argument_types in _WITH_PRECISION.items():
        function = getattr(library, name)
        function.argtypes, function.restype = argument_types, ctypes.c_int32
        function.errcheck = _raise_on_error
    return library


def _raise_on_error(status: int, function: object, _arguments: object) -> int:
    """Called by ctypes with the status that a function returned."""
    if status:
        kernel = getattr(function, "__name__", "kernel")
        known = ", ".join(f"{code} ({name})" for name, code in PRECISION_CODES.items())
        raise ValueError(f"{kernel}: its precision code is unknown; needs one of {known}")
    return status
