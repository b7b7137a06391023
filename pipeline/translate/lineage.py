"""Where a model comes from, as far as its bundle says."""

from __future__ import annotations

from pathlib import Path

from lingo_model import read_bundle_manifest, read_training
from pipeline.table.manifest import Lineage


def lineage_of(model: Path) -> Lineage:
    """The lineage that a run with this model records.

    Raises:
        InputError: the bundle is damaged.
    """
    training = read_training(model)
    return Lineage(
        model=str(model.resolve()),
        dataset_fingerprint=read_bundle_manifest(model).dataset_fingerprint,
        corpus=tuple(training.get("corpus", ())),
    )
