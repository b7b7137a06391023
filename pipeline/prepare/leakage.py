"""Checks on the written files that no source is in two splits.

Reads: PAIRS of all splits.
Writes: nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pipeline.dataset.manifest import InputCounts, LeakageCertificate
from pipeline.dataset.splits import Split
from pipeline.prepare.splitting import LEAK
from pipeline.prepare.texts import Hashes, TextColumn
from pipeline.prepare.written_pairs import iter_batches


def leakage_certificate(
    pairs_files: dict[Split, list[Path]], counts: list[InputCounts]
) -> LeakageCertificate:
    """Compare the sources of the splits as they were written, independently of the passes.

    Args:
        pairs_files: the PAIRS files of each split.
        counts: the counts of each input.

    Raises:
        RuntimeError: a normalised source is in two splits.
    """
    test, valid = (_source_hashes(pairs_files[split]) for split in ("test", "valid"))
    held_out = np.union1d(test, valid)
    n_shared = len(np.intersect1d(test, valid))
    for batch in _batches_of_hashes(pairs_files["train"]):
        n_shared += len(np.intersect1d(batch, held_out))
    if n_shared:
        raise RuntimeError(f"{n_shared} sources are in several splits")
    n_lost: Counter[str] = Counter()  # two inputs may have the same name
    for item in counts:
        if item.split is not None and item.n_kept < item.n_read:
            n_lost[item.name] += item.n_read - item.n_kept
    return LeakageCertificate(
        method="letters, marks and digits of the source (NFKC, case folded, without spaces and "
        "invisible characters), multilinear hash, 64 bit",
        n_rejected_as_leak=sum(item.n_rejected.get(LEAK, 0) for item in counts),
        n_sources_in_several_splits=n_shared,
        inputs_that_lost_rows=dict(n_lost),
    )


def _batches_of_hashes(files: Iterable[Path]) -> Iterable[Hashes]:
    """Hashes of the normalised sources of some PAIRS files, without empty sources."""
    for batch in iter_batches(files, ["source"]):
        hashes = TextColumn.from_arrow(batch.column(0)).letter_hashes
        yield hashes[hashes != 0]


def _source_hashes(files: Iterable[Path]) -> Hashes:
    return np.unique(np.concatenate([np.zeros(0, np.uint64), *_batches_of_hashes(files)]))
