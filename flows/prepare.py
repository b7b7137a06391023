"""Flow ``prepare-corpus``: make a dataset from raw parallel text."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.artifacts import show_dataset
from flows.stages import prepare_dataset
from pipeline.prepare.config import PrepareConfig


@flow(log_prints=True)
def prepare_corpus(
    corpus: Path,
    output: Path,
    config: PrepareConfig = PrepareConfig(),
    n_workers: int | None = None,
) -> str:
    """Clean, split and encode a corpus into a dataset.

    Args:
        corpus: the corpus description, a YAML file.
        output: folder of the dataset. A dataset made earlier from the same inputs is kept.
        config: settings of cleaning, splitting and subwords.
        n_workers: the number of processes. None is one for each CPU, or one for a small corpus.

    Returns:
        the fingerprint of the dataset.
    """
    manifest = prepare_dataset(corpus, output, config, n_workers)
    show_dataset(output, manifest)
    return manifest.fingerprint
