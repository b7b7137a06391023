"""The names of a dataset's splits."""

from __future__ import annotations

from typing import Literal

from lingo_model import InputError

Split = Literal["train", "valid", "test"]
SPLITS: tuple[Split, ...] = ("train", "valid", "test")
TEST_SPLIT: Split = "test"


def checked_split(name: str) -> Split:
    """A split's name from outside.

    Raises:
        InputError: no split of that name.
    """
    for split in SPLITS:
        if split == name:
            return split
    raise InputError(f"split={name!r}: needs one of {', '.join(SPLITS)}")
