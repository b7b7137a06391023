"""Finds the place where two aligned files with unequal numbers of lines stop fitting."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.formats.options import ReadOptions
from pipeline.formats.read import iter_rows
from pipeline.formats.text_column import TEXT_COLUMN

_Floats: TypeAlias = "npt.NDArray[np.float32]"

MAX_LINES = 20_000_000
"""Of longer files no place is looked for. It takes 16 bytes for each line of both files."""

_MAX_COST = 2.0
_DIGITS_COST = 1.0
# Places that cost less than this more than the best one are as likely. They must be close.
_MIN_GAIN = 2.0
_MAX_SPREAD_LINES = 50
_MAX_SPREAD_SHARE = 0.02
_DIGIT = re.compile(r"\d")


@dataclasses.dataclass(frozen=True)
class _Lines:
    """What is compared of the lines of a file.

    Args:
        lengths: the number of characters of each line.
        digits: the number of digits of each line.
    """

    lengths: _Floats
    digits: _Floats


def unequal_lengths(source: Path, target: Path, options: ReadOptions) -> str:
    """The message about two aligned files with unequal numbers of lines.

    It has both numbers, and the place where the files stop fitting if the lengths of the lines show
    one. The lines before it fit as they are. Those after it fit if one side is shifted by the
    difference of the numbers.

    Args:
        source: the file with the sources.
        target: the file with the targets.
        options: how both files are read.

    Raises:
        InputError: a file cannot be read.
    """
    sides = _lines_of(source, options), _lines_of(target, options)
    n_source, n_target = (len(side.lengths) for side in sides)
    place = likely_break(*sides) if max(n_source, n_target) <= MAX_LINES else None
    longer = source if n_source > n_target else target
    shorter = target if n_source > n_target else source
    if place is None:
        where = "find the line that is missing or doubled"
    elif place == min(n_source, n_target):
        where = (
            f"the lines fit up to the end of {shorter}, so copy that file again, or cut "
            f"{longer} to {place} lines"
        )
    else:
        n_lines = abs(n_source - n_target)
        lines = "a line is" if n_lines == 1 else f"{n_lines} lines are"
        where = (
            f"they stop fitting from about line {place + 1} on, where {lines} missing in "
            f"{shorter} or too many in {longer}"
        )
    return (
        f"{source} has {n_source} lines and {target} has {n_target}: aligned files need equally "
        f"many; {where}"
    )


def _lines_of(file: Path, options: ReadOptions) -> _Lines:
    lengths, digits = [], []
    for row in iter_rows(file, options):
        text = row.values[TEXT_COLUMN]
        lengths.append(len(text.strip()))
        digits.append(len(_DIGIT.findall(text)))
    return _Lines(np.asarray(lengths, np.float32), np.asarray(digits, np.float32))


def likely_break(source: _Lines, target: _Lines) -> int | None:
    """The number of lines before the place where lines of one side are missing.

    Of all places, the one with the least cost is taken: the lines before it are compared one with
    the other from the beginning, the lines after it from the end. The cost of two lines is how far
    the ratio of their lengths is from the usual one, and more if their numbers of digits differ.

    Args:
        source: the lines of the sources.
        target: the lines of the targets.

    Returns:
        the number of lines; None if no place is clearly better than others.
    """
    n_lines = min(len(source.lengths), len(target.lengths))
    if n_lines == 0:
        return None
    usual = float(np.log((target.lengths.sum() + 1) / (source.lengths.sum() + 1)))
    before = _costs(_part(source, 0, n_lines), _part(target, 0, n_lines), usual)
    after = _costs(
        _part(source, len(source.lengths) - n_lines, n_lines),
        _part(target, len(target.lengths) - n_lines, n_lines),
        usual,
    )
    zero = np.zeros(1)
    cost_before = np.concatenate([zero, np.cumsum(before, dtype=np.float64)])
    cost_after = np.concatenate([np.cumsum(after[::-1], dtype=np.float64)[::-1], zero])
    costs = cost_before + cost_after
    place = int(np.argmin(costs))
    # If the lengths tell nothing, many places far from each other cost about the same.
    likely = np.flatnonzero(costs <= costs[place] + _MIN_GAIN)
    spread = int(likely[-1] - likely[0])
    is_clear = spread <= max(_MAX_SPREAD_LINES, _MAX_SPREAD_SHARE * n_lines)
    return place if is_clear and spread <= n_lines / 2 else None


def _part(lines: _Lines, start: int, n_lines: int) -> _Lines:
    end = start + n_lines
    return _Lines(lines.lengths[start:end], lines.digits[start:end])


def _costs(source: _Lines, target: _Lines, usual: float) -> _Floats:
    ratio = np.log((target.lengths + 1) / (source.lengths + 1)) - usual
    costs: _Floats = np.minimum(np.abs(ratio), _MAX_COST)
    costs += _DIGITS_COST * (source.digits != target.digits)
    return costs
