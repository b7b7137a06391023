"""The dataset that ``prepare`` writes and ``train`` and ``evaluate`` read: layout and manifest.

DATASET/
  pairs/split=train|valid|test/part-00000.parquet     PAIRS
  rejected/part-00000.parquet                         REJECTED
  encoded/split=train|valid|test/part-00000.parquet   ENCODED
  subwords.model                                      SentencePiece, joint
  manifest.json                                       written last
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lingo_model import InputError, Subwords
from pipeline.dataset.splits import Split
from pipeline.settings import Settings
from pipeline.storage.manifests import Manifest

MANIFEST = "manifest.json"
SUBWORDS = "subwords.model"


class InputCounts(Settings):
    """Rows of one input: ``n_kept + sum(n_rejected) == n_read``."""

    name: str
    split: Split | None
    n_read: int
    n_kept: int
    n_rejected: dict[str, int]


class SplitCounts(Settings):
    """Size of one split; token counts include each sentence's eos."""

    n_pairs: int
    n_source_tokens: int
    n_target_tokens: int
    pairs_files: tuple[str, ...]
    encoded_files: tuple[str, ...]


class LeakageCertificate(Settings):
    """Proof that no normalised source stands in two splits, counted on the written files."""

    method: str
    n_rejected_as_leak: int
    n_sources_in_several_splits: int
    inputs_that_lost_rows: dict[str, int]


class DatasetManifest(Manifest):
    """The content of ``manifest.json``. ``fingerprint`` covers inputs, settings and format."""

    FORMAT_VERSION = 1
    WHAT = "a dataset"
    REMEDY = "make one with `lingo prepare`"

    fingerprint: str
    made_from: dict[str, Any]
    source_lang: str
    target_lang: str
    subwords_sha256: str
    vocab_size: int
    inputs: tuple[InputCounts, ...]
    splits: dict[Split, SplitCounts]
    leakage: LeakageCertificate | None = None

    @property
    def n_rejected(self) -> dict[str, int]:
        """Rejected pairs by reason, over all inputs."""
        total: dict[str, int] = {}
        for item in self.inputs:
            for reason, n in item.n_rejected.items():
                total[reason] = total.get(reason, 0) + n
        return dict(sorted(total.items()))


def load_dataset(path: Path) -> DatasetManifest:
    """Read a dataset's manifest.

    Raises:
        InputError: ``path`` is no dataset, or one of another format version.
    """
    return DatasetManifest.load(path / MANIFEST)


def load_subwords(path: Path, manifest: DatasetManifest) -> Subwords:
    """The dataset's subword model, checked against the manifest."""
    subwords = Subwords.load(path / SUBWORDS)
    if subwords.fingerprint != manifest.subwords_sha256:
        raise InputError(
            f"{path / SUBWORDS}: fingerprint {subwords.fingerprint[:12]} but the manifest says "
            f"{manifest.subwords_sha256[:12]}; prepare the dataset again"
        )
    return subwords
