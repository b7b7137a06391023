"""What a user should know about a dataset that ``prepare`` wrote."""

from __future__ import annotations

from pipeline.dataset.manifest import DatasetManifest
from pipeline.dataset.splits import SPLITS

_EXAMPLE_CHARACTERS = 40


def notes_of(manifest: DatasetManifest) -> list[str]:
    """A sentence for each fact about the subword model that limits what a model can learn."""
    notes = []
    wanted = manifest.made_from.get("config", {}).get("subwords", {}).get("vocab_size")
    if wanted is not None and manifest.vocab_size < wanted:
        notes.append(
            f"the subword model has {manifest.vocab_size:,} pieces, not the {wanted:,} of "
            "subwords.vocab_size; the training pairs do not have more"
        )
    for split in SPLITS:
        counts = manifest.round_trips.get(split)
        if counts is None or counts.target_example is None:
            continue
        before, after = _where_they_differ(
            counts.target_example.text, counts.target_example.decoded
        )
        notes.append(
            f"{counts.n_targets_changed:,} of {manifest.splits[split].n_pairs:,} {split} targets "
            "do not survive the subword model, so no translation can equal them "
            f"({before} becomes {after})"
        )
    return notes


def _where_they_differ(text: str, other: str) -> tuple[str, str]:
    """The parts of two texts around their first difference, in quotation marks."""
    shorter = min(len(text), len(other))
    n_equal = next((i for i in range(shorter) if text[i] != other[i]), shorter)
    start = max(0, n_equal - _EXAMPLE_CHARACTERS // 2)
    return _quoted(text, start), _quoted(other, start)


def _quoted(text: str, start: int) -> str:
    """Some characters of a text, with invisible ones as escapes."""
    end = start + _EXAMPLE_CHARACTERS
    quoted = repr(text[start:end])
    return f"{'...' if start else ''}{quoted}{'...' if end < len(text) else ''}"
