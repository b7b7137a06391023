"""Flow ``prepare-corpus``: make a dataset from raw parallel text."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from flows.artifacts import show_dataset
from flows.stages import prepare_dataset
from pipeline.prepare.config import PrepareConfig
from pipeline.storage.location import LocalPath, LocationField


@flow(log_prints=True)
def prepare_corpus(
    corpus: Path,
    output: LocationField,
    config: PrepareConfig = PrepareConfig(),
    n_workers: int | None = None,
    work_folder: LocalPath | None = None,
    ray_address: str | None = None,
) -> str:
    """Clean, split and encode a corpus into a dataset.

    Args:
        corpus: the corpus description, a YAML file.
        output: folder of the dataset, here or on S3. A dataset made earlier from the same
            inputs is kept.
        config: settings of cleaning, splitting and subwords.
        n_workers: the number of processes. None is one for each CPU, or one for a small corpus.
        work_folder: folder of copies of inputs on S3, and of a dataset for S3 before it is
            uploaded. None is ``lingo/prepare`` in the user's cache.
        ray_address: a Ray cluster that does the work. Its nodes must see all files. None is
            processes of this machine, without Ray.

    Returns:
        the fingerprint of the dataset.
    """
    manifest = prepare_dataset(corpus, output, config, n_workers, work_folder, ray_address)
    show_dataset(output, manifest)
    return manifest.fingerprint
