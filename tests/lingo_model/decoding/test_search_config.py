"""Search settings: which values are refused, and how."""

import math
from typing import Any

import pytest

from lingo_model import InputError, SearchConfig


@pytest.mark.parametrize("value", [0, -1, 65, 1.5, True])
def test_a_beam_size_out_of_range_is_named(value: Any) -> None:
    message = f"^beam_size={value!r}: needs a whole number from 1 to 64$"
    with pytest.raises(InputError, match=message):
        SearchConfig(beam_size=value)


def test_the_bounds_of_the_beam_size_are_allowed() -> None:
    assert [SearchConfig(beam_size=size).beam_size for size in (1, 64)] == [1, 64]


@pytest.mark.parametrize("name", ["n_best", "max_source_tokens", "max_source_tokens_per_batch"])
def test_a_size_below_one_is_named(name: str) -> None:
    with pytest.raises(InputError, match=f"^{name}=0: needs a whole number of 1 or more$"):
        SearchConfig(**{name: 0})


def test_n_best_above_the_beam_size_is_refused() -> None:
    with pytest.raises(InputError, match="n_best=3: needs beam_size=2 or less"):
        SearchConfig(beam_size=2, n_best=3)


def test_a_value_that_is_not_a_number_is_named() -> None:
    with pytest.raises(InputError, match="length_penalty_alpha=nan: needs a number of 0 or more"):
        SearchConfig(length_penalty_alpha=math.nan)
    with pytest.raises(InputError, match="max_length_offset=-1"):
        SearchConfig(max_length_offset=-1)
