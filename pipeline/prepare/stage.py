"""The stage ``prepare``: from raw parallel text to a dataset.

Reads: the files that a corpus description names.
Writes: a dataset; ``pipeline/dataset/manifest.py`` shows its files.
Run: ``lingo prepare corpus.yaml --output DATASET``
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lingo_model import InputError, Subwords
from lingo_model.atomic_files import new_folder
from pipeline.dataset.dataset import open_dataset
from pipeline.dataset.manifest import (
    MANIFEST,
    SUBWORDS,
    DatasetManifest,
    InputCounts,
    SplitCounts,
)
from pipeline.dataset.splits import SPLITS, Split
from pipeline.observability.progress import progress_bar
from pipeline.prepare.cleaning import reason_to_reject, strip_pair
from pipeline.prepare.config import PrepareConfig
from pipeline.prepare.corpus import CorpusDescription, check_inputs, extra_schema
from pipeline.prepare.encoding import encode_split, train_subwords
from pipeline.prepare.leakage import leakage_certificate
from pipeline.prepare.pairs import RawPair, iter_pairs
from pipeline.prepare.rows_writer import RowsWriter
from pipeline.prepare.splitting import Splitter, reading_order
from pipeline.schemas import PAIRS, REJECTED
from pipeline.storage.files import write_bytes, write_json
from pipeline.storage.hashing import fingerprint_of, hex_digest, sha256_of_file


def prepare_corpus(
    corpus: CorpusDescription, output: Path, config: PrepareConfig = PrepareConfig()
) -> DatasetManifest:
    """Read, clean, split and encode a corpus. The dataset appears whole or not at all.

    If ``output`` is a dataset made from the same inputs and settings, it is left as it is.

    Args:
        corpus: the languages and the inputs, with absolute paths.
        output: the folder of the dataset.
        config: the settings.

    Returns:
        the manifest of the dataset.

    Raises:
        InputError: an input cannot be used (see ``pipeline/prepare/corpus.py``) or changes while it
            is read, no training pair remains, or ``output`` holds something else.
    """
    columns = check_inputs(corpus)
    made_from = _fingerprinted_values(corpus, config)
    if output.exists():
        return _existing_dataset(output, made_from)
    schema = pa.schema([*PAIRS, *extra_schema(corpus, columns)])
    with new_folder(output) as staging:
        counts, n_pairs = _write_pairs(staging, corpus, config, schema)
        pairs_files = {
            split: sorted((staging / "pairs" / f"split={split}").glob("*.parquet"))
            for split in SPLITS
        }
        subwords = train_subwords(pairs_files["train"], config.subwords, seed=config.seed)
        write_bytes(staging / SUBWORDS, subwords.to_bytes())
        splits = _encode_splits(staging, pairs_files, subwords, n_pairs, seed=config.seed)
        if _fingerprinted_values(corpus, config) != made_from:
            raise InputError(f"{output}: an input changed while it was read; prepare it again")
        manifest = DatasetManifest(
            format_version=DatasetManifest.FORMAT_VERSION,
            fingerprint=fingerprint_of(made_from),
            made_from=made_from,
            source_lang=corpus.source_lang,
            target_lang=corpus.target_lang,
            subwords_sha256=subwords.fingerprint,
            vocab_size=subwords.vocab_size,
            inputs=tuple(counts),
            splits=splits,
            leakage=leakage_certificate(pairs_files, counts),
        )
        write_json(staging / MANIFEST, manifest.model_dump(mode="json"))
    return manifest


def _fingerprinted_values(corpus: CorpusDescription, config: PrepareConfig) -> dict[str, Any]:
    """Everything that can change the dataset. The dataset's fingerprint is a hash of this."""
    inputs = []
    for item in corpus.inputs:
        entry = item.model_dump(mode="json", exclude={"source", "target", "path"})
        # A list, because source and target may have the same name, and their order matters.
        inputs.append(entry | {"files": [[f.name, sha256_of_file(f)] for f in item.files]})
    return {
        "format_version": DatasetManifest.FORMAT_VERSION,
        "source_lang": corpus.source_lang,
        "target_lang": corpus.target_lang,
        "inputs": inputs,
        "config": config.model_dump(mode="json"),
    }


def _existing_dataset(output: Path, made_from: dict[str, Any]) -> DatasetManifest:
    """The manifest of the dataset in ``output``, if it was made from the given values."""
    manifest = open_dataset(output).manifest
    if manifest.fingerprint == fingerprint_of(made_from):
        return manifest
    differing = ", ".join(_differing_keys(manifest.made_from, made_from))
    raise InputError(
        f"{output}: holds a dataset made with different values of {differing}; "
        "name another output, or remove the dataset"
    )


def _differing_keys(old: Any, new: Any, key: str = "") -> Iterator[str]:
    """The dotted keys of values that differ, such as ``config.clean.max_characters``."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            inner = f"{key}.{name}" if key else name
            yield from _differing_keys(old.get(name), new.get(name), inner)
    elif old != new:
        yield key


def _write_pairs(
    staging: Path, corpus: CorpusDescription, config: PrepareConfig, schema: pa.Schema
) -> tuple[list[InputCounts], dict[Split, int]]:
    """Write PAIRS, with the columns of ``schema``, and REJECTED.

    Returns:
        the counts of each input, in reading order, and the number of pairs of each split.
    """
    kept = {split: RowsWriter(staging / "pairs" / f"split={split}", schema) for split in SPLITS}
    rejected = RowsWriter(staging / "rejected", REJECTED)
    splitter = Splitter(corpus.inputs, config.split)
    counts: list[InputCounts] = []
    n_pairs: dict[Split, int] = dict.fromkeys(SPLITS, 0)
    with progress_bar("read and clean", None) as bar:
        for input_number, item in enumerate(reading_order(corpus.inputs)):
            n_read = n_kept = 0
            n_rejected: Counter[str] = Counter()
            for pair in iter_pairs(item):
                n_read += 1
                bar.advance()
                source, target = strip_pair(pair)
                split = splitter.split_of(item, source)
                reason = reason_to_reject(
                    pair, config.clean, item.split
                ) or splitter.reason_to_reject(split, source, target)
                if reason is None:
                    n_kept += 1
                    n_pairs[split] += 1
                    kept[split].write(_pairs_row(input_number, pair, source, target))
                else:
                    n_rejected[reason] += 1
                    rejected.write(_rejected_row(pair, split, reason))
            if n_kept + n_rejected.total() != n_read:
                raise RuntimeError(f"{item.name}: {n_kept} + {n_rejected} is not the {n_read} read")
            counts.append(
                InputCounts(
                    name=item.name,
                    split=item.split,
                    n_read=n_read,
                    n_kept=n_kept,
                    n_rejected=dict(sorted(n_rejected.items())),
                )
            )
    for writer in (*kept.values(), rejected):
        writer.close()
    if n_pairs["train"] == 0:
        raise InputError(_nothing_to_train_on(counts))
    return counts, n_pairs


def _pairs_row(input_number: int, pair: RawPair, source: str, target: str) -> dict[str, Any]:
    return pair.extra | {
        # The input's number keeps the ids of two files with the same name apart.
        "pair_id": hex_digest(str(input_number), pair.origin, source, target),
        "source": source,
        "target": target,
        "origin": pair.origin,
    }


def _rejected_row(pair: RawPair, split: Split, reason: str) -> dict[str, Any]:
    return {
        "origin": pair.origin,
        "split": split,
        "reason": reason,
        "source": pair.source,
        "target": pair.target,
    }


def _nothing_to_train_on(counts: list[InputCounts]) -> str:
    n_rejected: Counter[str] = Counter()
    for item in counts:
        n_rejected.update(item.n_rejected)
    reasons = ", ".join(f"{n} as {reason}" for reason, n in sorted(n_rejected.items())) or "none"
    return (
        f"{', '.join(item.name for item in counts)}: no training pair in "
        f"{sum(item.n_read for item in counts)} rows (rejected: {reasons}); check the files and "
        "the limits in 'clean'"
    )


def _encode_splits(
    staging: Path,
    pairs_files: dict[Split, list[Path]],
    subwords: Subwords,
    n_pairs: dict[Split, int],
    *,
    seed: int,
) -> dict[Split, SplitCounts]:
    """Write ENCODED of every split. Counts its rows in the files, and checks them."""
    splits: dict[Split, SplitCounts] = {}
    with progress_bar("encode", sum(n_pairs.values())) as bar:
        for split in SPLITS:
            encoded_files = encode_split(
                staging, split, pairs_files[split], subwords, seed=seed, bar=bar
            )
            splits[split] = _split_counts(staging, pairs_files[split], encoded_files)
            if splits[split].n_pairs != n_pairs[split]:
                raise RuntimeError(
                    f"{split}: wrote {n_pairs[split]} pairs, read back {splits[split].n_pairs}"
                )
    return splits


def _split_counts(root: Path, pairs_files: list[Path], encoded_files: list[Path]) -> SplitCounts:
    """The size of a split, counted in its ENCODED files."""
    n_pairs = n_source_tokens = n_target_tokens = 0
    for file in encoded_files:
        table = pq.read_table(
            file, columns=["n_source_tokens", "n_target_tokens"], partitioning=None
        )
        n_pairs += table.num_rows
        n_source_tokens += pc.sum(table["n_source_tokens"]).as_py() or 0
        n_target_tokens += pc.sum(table["n_target_tokens"]).as_py() or 0
    return SplitCounts(
        n_pairs=n_pairs,
        n_source_tokens=n_source_tokens,
        n_target_tokens=n_target_tokens,
        pairs_files=tuple(str(file.relative_to(root)) for file in pairs_files),
        encoded_files=tuple(str(file.relative_to(root)) for file in encoded_files),
    )
