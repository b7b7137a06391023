"""Checks of the tensors that the kernels read and write.

The kernels take bare addresses, so a tensor of the wrong type or shape would mean reads and writes
outside its memory. Every binding checks its tensors here. A check takes about a microsecond.
"""

from __future__ import annotations

import torch
from torch import Tensor


def check_tensor(
    name: str, tensor: Tensor, dtype: torch.dtype, shape: tuple[int | None, ...]
) -> None:
    """Refuse a tensor that a kernel cannot use.

    Args:
        name: name of the argument, for the message.
        tensor: the argument. It must be contiguous and on the CPU.
        dtype: the type that it must have.
        shape: the shape that it must have; None allows any size.

    Raises:
        ValueError: names the argument, its value and the requirement.
    """
    if tensor.dtype is not dtype:
        raise ValueError(f"{name}: its type is {tensor.dtype}; needs {dtype}")
    actual = tensor.shape
    # Most shapes are known in full, and comparing them whole is fast.
    if actual != shape and (
        len(actual) != len(shape)
        or any(
            needed is not None and size != needed
            for size, needed in zip(actual, shape, strict=True)
        )
    ):
        needed_sizes = ", ".join("any" if size is None else str(size) for size in shape)
        raise ValueError(f"{name}: its shape is {list(actual)}; needs [{needed_sizes}]")
    if not tensor.is_contiguous():
        raise ValueError(
            f"{name}: its strides are {list(tensor.stride())}; needs a contiguous tensor"
        )
    if not tensor.is_cpu:
        raise ValueError(f"{name}: it is on {tensor.device}; needs a tensor on the CPU")


def check_minimum(name: str, value: int, minimum: int) -> None:
    """Refuse a size that is too small.

    Args:
        name: the size in words, for the message.
        value: the size.
        minimum: the smallest size that the kernel can use.

    Raises:
        ValueError: names the size, its value and the minimum.
    """
    if value < minimum:
        raise ValueError(f"{name}: it is {value}; needs {minimum} or more")
