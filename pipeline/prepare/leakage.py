"""Checks on the written files that no source is in two splits, and writes the certificate.

Reads: PAIRS of all splits.
Writes: nothing.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from pipeline.dataset.manifest import InputCounts, LeakageCertificate, LeakingPair
from pipeline.dataset.splits import Split
from pipeline.prepare.leaks_config import N_ROWS_SHOWN, LeaksConfig
from pipeline.prepare.near_check import compare_splits
from pipeline.prepare.splitting import LEAK
from pipeline.prepare.tasks import TaskResult
from pipeline.prepare.texts import Hashes, TextColumn
from pipeline.prepare.written_pairs import iter_batches

_METHOD = (
    "letters, marks and digits of the source (NFKC, case folded, without spaces and invisible "
    "characters), multilinear hash, 64 bit"
)


@dataclasses.dataclass(frozen=True)
class RecountTask:
    """One PAIRS file of training pairs to compare with the held-out pairs.

    Args:
        file: the file.
        held_out: the PAIRS files of the validation and the test split.
    """

    file: Path
    held_out: tuple[tuple[Path, ...], tuple[Path, ...]]


def recount_shared_sources(task: RecountTask) -> TaskResult:
    """Compare sources as they were written, independently of the passes that wrote them.

    Returns:
        ``n_shared``: how many training sources are validation or test sources, too.
    """
    held_out = _hashes_of(tuple(file for files in task.held_out for file in files))
    n_shared = 0
    for batch in _batches_of_hashes([task.file]):
        n_shared += len(np.intersect1d(batch, held_out))
    return {"n_shared": n_shared}


def leakage_certificate(
    pairs_files: Mapping[Split, Sequence[Path]],
    counts: Sequence[InputCounts],
    config: LeaksConfig,
    recounted: Sequence[TaskResult],
    written: Sequence[TaskResult],
) -> LeakageCertificate:
    """The certificate of a new dataset.

    Args:
        pairs_files: the PAIRS files of each split.
        counts: the counts of each input.
        config: what was looked for.
        recounted: what :func:`recount_shared_sources` found, for each training file.
        written: what the tasks of the second pass removed.

    Raises:
        RuntimeError: a normalised source is in two splits.
    """
    test, valid = (_hashes_of(tuple(pairs_files[split])) for split in ("test", "valid"))
    n_shared = len(np.intersect1d(test, valid)) + sum(item["n_shared"] for item in recounted)
    if n_shared:
        raise RuntimeError(f"{n_shared} sources are in several splits")
    n_lost: Counter[str] = Counter()  # two inputs may have the same name
    for item in counts:
        if item.split is not None and item.n_kept < item.n_read:
            n_lost[item.name] += item.n_read - item.n_kept
    n_removed: Counter[str] = Counter()
    for result in written:
        n_removed.update(result["n_leaks"])
    removed = [LeakingPair.model_validate(leak) for result in written for leak in result["leaks"]]
    comparisons, left = compare_splits({**pairs_files, "train": ()}, config)
    return LeakageCertificate(
        method=_METHOD,
        n_rejected_as_leak=sum(item.n_rejected.get(LEAK, 0) for item in counts),
        n_sources_in_several_splits=n_shared,
        inputs_that_lost_rows=dict(n_lost),
        similarity=config.similarity if config.near else None,
        max_changed_words=config.max_changed_words if config.near else None,
        min_words=config.min_words if config.near else None,
        min_target_words=config.min_target_words,
        n_removed=dict(n_removed),
        removed=tuple(removed[:N_ROWS_SHOWN]),
        comparisons=tuple(item for item in comparisons if item.split != "train"),
        left=tuple(row.without_texts() for row in left),
    )


def _batches_of_hashes(files: Sequence[Path]) -> Iterator[Hashes]:
    """Hashes of the normalised sources of some PAIRS files, without empty sources."""
    for batch in iter_batches(files, ["source"]):
        hashes = TextColumn.from_arrow(batch.column(0)).letter_hashes
        yield hashes[hashes != 0]


def _hashes_of(files: tuple[Path, ...]) -> Hashes:
    """The different hashes of all sources of some files, sorted."""
    return _remembered_hashes(files, tuple(file.stat().st_mtime_ns for file in files))


@functools.lru_cache(maxsize=4)
def _remembered_hashes(files: tuple[Path, ...], modified_ns: tuple[int, ...]) -> Hashes:
    """See :func:`_hashes_of`. A later dataset at the same path has other times of modification."""
    return np.unique(np.concatenate([np.zeros(0, np.uint64), *_batches_of_hashes(files)]))
