"""Flow ``prepare-corpus``: raw parallel text to a dataset."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.artifacts import show_dataset
from flows.stages import prepare_dataset
from pipeline.prepare.config import PrepareConfig


@flow(log_prints=True)
def prepare_corpus(corpus: Path, output: Path, config: PrepareConfig = PrepareConfig()) -> str:
    """Clean, split and encode the corpus that a description names.

    Args:
        corpus: the description, a YAML file.
        output: folder of the dataset; one made from the same inputs is kept.
        config: settings of cleaning, splitting and subwords.

    Returns:
        the dataset's fingerprint.
    """
    manifest = prepare_dataset(corpus, output, config)
    show_dataset(output, manifest)
    return manifest.fingerprint
