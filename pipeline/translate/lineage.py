"""Where a model comes from, as far as its bundle says."""

from __future__ import annotations

from pathlib import Path

from lingo_model import read_bundle_manifest
from pipeline.table.manifest import Lineage
from pipeline.training_record import TrainingRecord


def lineage_of(model: Path) -> Lineage:
    """The lineage that a run with this model records.

    Raises:
        InputError: the bundle is damaged.
    """
    return Lineage(
        model=str(model.resolve()),
        dataset_fingerprint=read_bundle_manifest(model).dataset_fingerprint,
        corpus=TrainingRecord.load(model).corpus,
    )
