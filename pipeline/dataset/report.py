"""The content of ``report.json``: what ``prepare`` saw in the inputs of a dataset.

The manifest has the counts. This has the distributions and the examples.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from pipeline.dataset.manifest import InputCounts
from pipeline.settings import Settings
from pipeline.storage.manifests import Manifest

REPORT = "report.json"
REPORT_PAGE = "report.html"

N_EXAMPLES = 3
"""Examples of each reason and of each repair, for each input."""

LENGTH_EDGES = (
    *(0, 1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512, 724, 1024),
    *(1448, 2048, 4096, 8192, 16384, 32768, 65536),
)
"""Where the bins of lengths begin. The last one has no end."""

RATIO_EDGES = (
    *(0.0, 0.125, 0.1667, 0.2, 0.25, 0.3333, 0.4, 0.5, 0.5714, 0.6667, 0.7407, 0.8, 0.87, 0.9434),
    *(1.06, 1.15, 1.25, 1.35, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0),
)
"""Where the bins of length ratios begin. The last one has no end."""


class Distribution(Settings):
    """How a number is distributed over the kept pairs of an input.

    Args:
        counts: pairs in each bin, as many as the edges: :data:`LENGTH_EDGES` or
            :data:`RATIO_EDGES`.
        mean: the mean.
        longest: the largest value.
    """

    counts: tuple[int, ...]
    mean: float
    longest: float


class Distributions(Settings):
    """The lengths of the kept pairs of an input.

    Args:
        source_characters: code points of the sources.
        target_characters: code points of the targets.
        source_words: words of the sources. In scripts without spaces, each letter counts as one.
        target_words: words of the targets.
        ratio: characters of the target over those of the source; an empty side counts as one.
    """

    source_characters: Distribution
    target_characters: Distribution
    source_words: Distribution
    target_words: Distribution
    ratio: Distribution


class RejectedExample(Settings):
    """A rejected row. Long texts are cut.

    Args:
        origin: where the row comes from, such as ``train.tsv:7``.
        source: the source, or None.
        target: the target, or None.
        detail: what is wrong, or None.
        text: the row as it was read, if it cannot be split into source and target.
    """

    origin: str
    source: str | None
    target: str | None
    detail: str | None
    text: str | None = None


class RepairExample(Settings):
    """A text that was repaired. Long texts are cut around the first difference.

    Args:
        origin: where the row comes from.
        side: ``source`` or ``target``.
        before: the text as it was read.
        after: the text after all repairs.
    """

    origin: str
    side: str
    before: str
    after: str


class LanguageShares(Settings):
    """The languages of a sample of the readable rows of an input, after repairs.

    Args:
        n_sampled: rows of the sample.
        source: sources by language; ``unknown`` counts those too short to be judged.
        target: targets by language.
    """

    n_sampled: int
    source: dict[str, int]
    target: dict[str, int]


class InputReport(Settings):
    """What ``prepare`` saw in one input.

    Args:
        counts: the same as in the manifest.
        lengths: the lengths of the kept pairs. None if no pair was kept.
        languages: the languages of a sample. None if ``clean.language`` is off.
        rejected: up to three examples of each reason, sampled by hash.
        repaired: up to three examples of each repair, sampled by hash.
    """

    counts: InputCounts
    lengths: Distributions | None
    languages: LanguageShares | None
    rejected: dict[str, tuple[RejectedExample, ...]] = Field(default_factory=dict)
    repaired: dict[str, tuple[RepairExample, ...]] = Field(default_factory=dict)


class DatasetReport(Manifest):
    """The content of ``report.json``.

    Args:
        inputs: every input, in the order of the manifest.
        length_edges: where the bins of lengths begin.
        ratio_edges: where the bins of length ratios begin.
        changed_settings: the settings that differ from their defaults, by dotted key: the default
            and the value. Keys of an input begin with its name.
    """

    FORMAT_VERSION = 1
    WHAT = "a dataset with a report"
    REMEDY = "make one with `lingo prepare`"

    inputs: tuple[InputReport, ...]
    length_edges: tuple[float, ...] = LENGTH_EDGES
    ratio_edges: tuple[float, ...] = RATIO_EDGES
    changed_settings: dict[str, tuple[Any, Any]] = Field(default_factory=dict)
