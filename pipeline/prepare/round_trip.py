"""Counts the texts that the subword model cannot hold.

A model can only write what its subwords can spell. If encoding and decoding change a target, no
translation can equal it, and scores have a ceiling.

Reads: PAIRS of all splits.
Writes: nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lingo_model import Subwords
from pipeline.dataset.manifest import ChangedText, RoundTripCounts
from pipeline.dataset.splits import Split
from pipeline.prepare.written_pairs import iter_batches


def round_trip_counts(
    pairs_files: Mapping[Split, list[Path]], subwords: Subwords
) -> dict[Split, RoundTripCounts]:
    """Encode and decode the sources and targets of every split, and count those that change.

    Normal forms, runs of spaces and line breaks do not count, because no score counts them.

    Args:
        pairs_files: the PAIRS files of each split.
        subwords: the subword model.
    """
    counts: dict[Split, RoundTripCounts] = {}
    for split, files in pairs_files.items():
        n_changed = {"source": 0, "target": 0}
        example = None
        for batch in iter_batches(files, list(n_changed)):
            for side in n_changed:
                changed = subwords.changed(batch.column(side).to_pylist())
                n_changed[side] += len(changed)
                if side == "target" and example is None and changed:
                    text, decoded = min(changed, key=lambda texts: len(texts[0]))
                    example = ChangedText(text=text, decoded=decoded)
        counts[split] = RoundTripCounts(
            n_sources_changed=n_changed["source"],
            n_targets_changed=n_changed["target"],
            target_example=example,
        )
    return counts
