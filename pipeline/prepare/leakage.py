"""Proves on the written files that no source is in two splits."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq

from pipeline.dataset.manifest import InputCounts, LeakageCertificate
from pipeline.dataset.splits import Split
from pipeline.prepare.normalise import normalise
from pipeline.storage.hashing import hash64

_BATCH_ROWS = 10_000


def leakage_certificate(
    pairs_files: dict[Split, list[Path]], counts: list[InputCounts]
) -> LeakageCertificate:
    """Compare the splits as they were written, whatever the splitter says it did."""
    sources: dict[Split, set[int]] = {}
    for split, files in pairs_files.items():
        batches = (
            batch
            for file in files
            for batch in pq.ParquetFile(file).iter_batches(_BATCH_ROWS, columns=["source"])
        )
        sources[split] = {
            hash64(normalise(text)) for batch in batches for text in batch.column(0).to_pylist()
        }
    shared = (
        (sources["train"] & sources["valid"])
        | (sources["train"] & sources["test"])
        | (sources["valid"] & sources["test"])
    )
    if shared:
        raise RuntimeError(f"{len(shared)} sources stand in several splits")
    lost: Counter[str] = Counter()  # two inputs may have one name
    for item in counts:
        if item.split is not None and item.n_kept < item.n_read:
            lost[item.name] += item.n_read - item.n_kept
    return LeakageCertificate(
        method="normalised source (NFKC, case folded, letters and digits), BLAKE2b 64 bit",
        n_rejected_as_leak=sum(item.n_rejected.get("leak", 0) for item in counts),
        n_sources_in_several_splits=len(shared),
        inputs_that_lost_rows=dict(lost),
    )
