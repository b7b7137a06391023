"""Checks on the written files that no source is in two splits.

Reads: PAIRS of all splits.
Writes: nothing.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from pipeline.dataset.manifest import InputCounts, LeakageCertificate
from pipeline.dataset.splits import Split
from pipeline.prepare.normalise import normalise
from pipeline.prepare.written_pairs import iter_batches
from pipeline.storage.hashing import hash64


def leakage_certificate(
    pairs_files: dict[Split, list[Path]], counts: list[InputCounts]
) -> LeakageCertificate:
    """Compare the sources of the splits as they were written, independently of the splitter.

    Args:
        pairs_files: the PAIRS files of each split.
        counts: the counts of each input.

    Raises:
        RuntimeError: a normalised source is in two splits.
    """
    sources = {split: _source_hashes(files) for split, files in pairs_files.items()}
    shared: set[int] = set()
    for first, second in itertools.combinations(sources.values(), 2):
        shared |= first & second
    if shared:
        raise RuntimeError(f"{len(shared)} sources are in several splits")
    n_lost: Counter[str] = Counter()  # two inputs may have the same name
    for item in counts:
        if item.split is not None and item.n_kept < item.n_read:
            n_lost[item.name] += item.n_read - item.n_kept
    return LeakageCertificate(
        method="letters, marks and digits of the source (NFKC, case folded, without spaces and "
        "invisible characters), BLAKE2b 64 bit",
        n_rejected_as_leak=sum(item.n_rejected.get("leak", 0) for item in counts),
        n_sources_in_several_splits=len(shared),
        inputs_that_lost_rows=dict(n_lost),
    )


def _source_hashes(files: Iterable[Path]) -> set[int]:
    """Hashes of the normalised sources of some PAIRS files, without empty sources."""
    batches = iter_batches(files, ["source"])
    texts = (text for batch in batches for text in batch.column(0).to_pylist())
    return {hash64(normalised) for normalised in map(normalise, texts) if normalised}
