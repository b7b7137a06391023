"""Sums what the tasks of ``prepare`` collected for the report."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.dataset.manifest import DatasetManifest
from pipeline.dataset.report import (
    LENGTH_EDGES,
    N_EXAMPLES,
    RATIO_EDGES,
    DatasetReport,
    Distribution,
    Distributions,
    InputReport,
    LanguageShares,
    RejectedExample,
    RepairExample,
)
from pipeline.prepare.config import PrepareConfig
from pipeline.prepare.corpus import CorpusInput
from pipeline.prepare.job import Job
from pipeline.prepare.report_samples import (
    DISTRIBUTIONS,
    N_JUDGED,
    LowestHashes,
    RejectedSamples,
    shortened,
)
from pipeline.prepare.tasks import TaskResult

UNKNOWN = "unknown"
"""Stands for the language of texts that are not judged."""

_CHARACTERS_OF_ALL_EXAMPLES = 240_000
_MAX_CHARACTERS, _MIN_CHARACTERS = 300, 60
_UNSET = "not set"
# What tells the inputs apart is no setting of theirs.
_NO_SETTINGS = {"files"}


def dataset_report(
    job: Job,
    manifest: DatasetManifest,
    cleaned: Sequence[TaskResult],
    written: Sequence[TaskResult],
    rejected: RejectedSamples,
) -> DatasetReport:
    """The content of ``report.json``.

    Args:
        job: the run.
        manifest: the manifest, perhaps without digests of files.
        cleaned: the results of the first pass.
        written: the results of the second pass.
        rejected: examples of rejected rows.
    """
    inputs = job.inputs_of_ranks()
    names = [item.name for item in manifest.inputs]
    languages: dict[int, LowestHashes] = defaultdict(lambda: LowestHashes(N_JUDGED))
    repaired: dict[tuple[int, str], LowestHashes] = defaultdict(lambda: LowestHashes(N_EXAMPLES))
    for result in cleaned:
        number = int(inputs[result["rank"]])
        languages[number].merge(result["samples"]["languages"])
        for name, items in result["samples"]["repaired"].items():
            repaired[number, name].merge(items)
    lengths = _distributions(written)
    n_texts = 2 * sum(len(sample.items) for sample in (*rejected.samples.values(),))
    n_texts += 2 * sum(len(sample.items) for sample in repaired.values())
    limit = max(
        _MIN_CHARACTERS, min(_MAX_CHARACTERS, _CHARACTERS_OF_ALL_EXAMPLES // max(1, n_texts))
    )
    return DatasetReport(
        format_version=DatasetReport.FORMAT_VERSION,
        inputs=tuple(
            InputReport(
                counts=counts,
                lengths=lengths.get(number),
                languages=_shares(languages[number]),
                rejected={
                    reason: _rejected_examples(rejected.samples[number, reason], limit)
                    for reason in counts.n_rejected
                },
                repaired={
                    name: _repair_examples(job, repaired[number, name], limit)
                    for name in counts.n_repaired
                },
            )
            for number, counts in enumerate(manifest.inputs)
        ),
        changed_settings=changed_settings(manifest.made_from, names),
    )


def _distributions(written: Sequence[TaskResult]) -> dict[int, Distributions]:
    """The distributions of each input with kept pairs, by its number."""
    counts: dict[tuple[int, str], Counter[int]] = defaultdict(Counter)
    sums: Counter[tuple[int, str]] = Counter()
    longest: dict[tuple[int, str], float] = {}
    for result in written:
        for name, counted in (result["lengths"] or {}).items():
            for number, position, n in counted["bins"]:
                counts[number, name][position] += n
            for number, total, largest in counted["totals"]:
                sums[number, name] += total
                longest[number, name] = max(largest, longest.get((number, name), 0))

    def distribution(number: int, name: str) -> Distribution:
        of_bins = counts[number, name]
        is_ratio = name == "ratio"
        n_bins = len(RATIO_EDGES if is_ratio else LENGTH_EDGES)
        mean = sums[number, name] / (1000 if is_ratio else 1) / of_bins.total()
        return Distribution(
            counts=tuple(of_bins[position] for position in range(n_bins)),
            mean=round(mean, 3),
            longest=round(longest[number, name], 3),
        )

    numbers = sorted({number for number, _ in counts})
    return {
        number: Distributions(**{name: distribution(number, name) for name in DISTRIBUTIONS})
        for number in numbers
    }


def added(distributions: Sequence[Distribution]) -> Distribution:
    """The distribution over several inputs."""
    counts = np.sum([item.counts for item in distributions], axis=0)
    sizes = [sum(item.counts) for item in distributions]
    total = sum(item.mean * size for item, size in zip(distributions, sizes, strict=True))
    return Distribution(
        counts=tuple(int(n) for n in counts),
        mean=round(total / max(1, sum(sizes)), 3),
        longest=max(item.longest for item in distributions),
    )


def _shares(sample: LowestHashes) -> LanguageShares | None:
    if not sample.items:
        return None
    sides = [
        Counter(item[column] or UNKNOWN for item in sample.items).most_common() for column in (1, 2)
    ]
    source, target = (dict(sorted(side, key=lambda item: (-item[1], item[0]))) for side in sides)
    return LanguageShares(n_sampled=len(sample.items), source=source, target=target)


def _rejected_examples(sample: LowestHashes, limit: int) -> tuple[RejectedExample, ...]:
    rows = sorted((row for _, row in sample.items), key=lambda row: (row["rank"], row["number"]))
    return tuple(
        RejectedExample(
            origin=row["origin"],
            **{
                name: None if row[name] is None else shortened(row[name], limit)
                for name in ("source", "target", "detail", "text")
            },
        )
        for row in rows
    )


def _repair_examples(job: Job, sample: LowestHashes, limit: int) -> tuple[RepairExample, ...]:
    rows = sorted(item[1:] for item in sample.items)
    return tuple(
        RepairExample(
            origin=f"{job.parts[rank][1].origin}:{number}",
            side=side,
            before=shortened(before, limit),
            after=shortened(after, limit),
        )
        for rank, number, *sides in rows
        for side, before, after in sides
    )


def changed_settings(
    made_from: Mapping[str, Any], names: Sequence[str]
) -> dict[str, tuple[Any, Any]]:
    """The settings that differ from their defaults.

    Args:
        made_from: what the dataset was made from; see the manifest.
        names: the names of the inputs.

    Returns:
        the default and the value of each setting, by dotted key. A setting of an input has the
        input's name before its key.
    """
    defaults = dict(_flat(PrepareConfig().model_dump(mode="json"), ""))
    fields = CorpusInput.model_fields
    values = _flat(made_from.get("config", {}), "")
    changed = {
        key: (defaults.get(key, _UNSET), value)
        for key, value in values
        if defaults.get(key, _UNSET) != value
    }
    for name, item in zip(names, made_from.get("inputs", ()), strict=False):
        own = {key: value for key, value in item.items() if key not in _NO_SETTINGS}
        for key, value in _flat(own, ""):
            default = defaults.get(key)
            if key in fields:
                default = fields[key].get_default(call_default_factory=True)
            if value != default:
                changed[f"{name}: {key}"] = (default, value)
    return changed


def _flat(values: Any, key: str) -> Iterator[tuple[str, Any]]:
    """The single values of nested settings, by dotted key. An empty dictionary is a value."""
    if isinstance(values, dict) and values:
        for name, value in values.items():
            yield from _flat(value, f"{key}.{name}" if key else name)
    else:
        yield key, values
