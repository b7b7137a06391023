"""From raw parallel text to a dataset.

Reads: the files of a corpus description.
Writes: a dataset (tree in ``pipeline/dataset/manifest.py``).
Run: ``lingo prepare corpus.yaml --output DATASET``.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lingo_model import InputError
from pipeline.dataset.manifest import (
    MANIFEST,
    SUBWORDS,
    DatasetManifest,
    InputCounts,
    SplitCounts,
    load_dataset,
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
from pipeline.storage.folders import new_folder
from pipeline.storage.hashing import fingerprint_of, sha256_of_file


def prepare_corpus(
    corpus: CorpusDescription, output: Path, config: PrepareConfig | None = None
) -> DatasetManifest:
    """Ingest, clean, split, train subwords, encode; the dataset appears whole or not at all.

    A dataset that was made from the same inputs and settings is returned as it is.

    Raises:
        InputError: an input that cannot be used (see ``pipeline/prepare/corpus.py``) or that changes, no
            training pair left, or an ``output`` that holds something else.
    """
    config = config if config is not None else PrepareConfig()
    check_inputs(corpus)
    made_from = _made_from(corpus, config)
    if output.exists():
        return _existing(output, made_from)
    with new_folder(output) as staging:
        counts, n_pairs = _write_pairs(staging, corpus, config)
        pairs_files = {
            split: sorted((staging / "pairs" / f"split={split}").glob("*.parquet"))
            for split in SPLITS
        }
        subwords = train_subwords(pairs_files["train"], config.subwords, seed=config.seed)
        write_bytes(staging / SUBWORDS, subwords.to_bytes())
        splits: dict[Split, SplitCounts] = {}
        with progress_bar("encode", sum(n_pairs.values())) as bar:
            for split in SPLITS:
                encoded = encode_split(
                    staging, split, pairs_files[split], subwords, seed=config.seed, bar=bar
                )
                splits[split] = _split_counts(staging, pairs_files[split], encoded)
                if splits[split].n_pairs != n_pairs[split]:
                    raise RuntimeError(
                        f"{split}: wrote {n_pairs[split]} pairs, read back {splits[split].n_pairs}"
                    )
        if _made_from(corpus, config) != made_from:
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


def _made_from(corpus: CorpusDescription, config: PrepareConfig) -> dict[str, Any]:
    """Everything that can change the dataset: the fingerprint is of this."""
    inputs = []
    for item in corpus.inputs:
        entry = item.model_dump(mode="json", exclude={"source", "target", "path"})
        # A list: source and target may have one name, and which is which matters.
        inputs.append(entry | {"files": [[f.name, sha256_of_file(f)] for f in item.files]})
    return {
        "format_version": DatasetManifest.FORMAT_VERSION,
        "source_lang": corpus.source_lang,
        "target_lang": corpus.target_lang,
        "inputs": inputs,
        "config": config.model_dump(mode="json"),
    }


def _existing(output: Path, made_from: dict[str, Any]) -> DatasetManifest:
    found = load_dataset(output)
    if found.fingerprint == fingerprint_of(made_from):
        return found
    differs = ", ".join(_differing(found.made_from, made_from))
    raise InputError(
        f"{output}: holds a dataset made with another {differs}; name another output or remove it"
    )


def _differing(found: Any, wanted: Any, key: str = "") -> Iterator[str]:
    """Keys of the values that differ, such as ``config.clean.max_characters``."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for name in sorted(found.keys() | wanted.keys()):
            inner = f"{key}.{name}" if key else name
            yield from _differing(found.get(name), wanted.get(name), inner)
    elif found != wanted:
        yield key


def _write_pairs(
    staging: Path, corpus: CorpusDescription, config: PrepareConfig
) -> tuple[list[InputCounts], dict[Split, int]]:
    """Write PAIRS and REJECTED; return the counts of each input and the pairs of each split."""
    schema = pa.schema([*PAIRS, *extra_schema(corpus)])
    kept = {split: RowsWriter(staging / "pairs" / f"split={split}", schema) for split in SPLITS}
    rejected = RowsWriter(staging / "rejected", REJECTED)
    splitter = Splitter(corpus.inputs, config.split)
    counts: list[InputCounts] = []
    n_pairs: dict[Split, int] = dict.fromkeys(SPLITS, 0)
    with progress_bar("read and clean", None) as bar:
        for number, item in enumerate(reading_order(corpus.inputs)):
            n_read = n_kept = 0
            reasons: Counter[str] = Counter()
            for pair in iter_pairs(item):
                n_read += 1
                bar.advance()
                source, target = strip_pair(pair)
                split = splitter.split_of(item, source)
                reason = reason_to_reject(pair, config.clean) or splitter.reason_to_reject(
                    split, source, target
                )
                if reason is None:
                    n_kept += 1
                    n_pairs[split] += 1
                    kept[split].write(_pairs_row(number, pair, source, target))
                else:
                    reasons[reason] += 1
                    rejected.write(_rejected_row(pair, split, reason))
            if n_kept + reasons.total() != n_read:
                raise RuntimeError(f"{item.name}: {n_kept} + {reasons} is not the {n_read} read")
            counts.append(
                InputCounts(
                    name=item.name,
                    split=item.split,
                    n_read=n_read,
                    n_kept=n_kept,
                    n_rejected=dict(sorted(reasons.items())),
                )
            )
    for writer in (*kept.values(), rejected):
        writer.close()
    if n_pairs["train"] == 0:
        raise InputError(_nothing_to_train_on(counts))
    return counts, n_pairs


def _pairs_row(input_number: int, pair: RawPair, source: str, target: str) -> dict[str, Any]:
    # The input's number keeps ids apart where two inputs hold files of one name.
    content = "\x1f".join((str(input_number), pair.origin, source, target)).encode()
    pair_id = hashlib.blake2b(content, digest_size=16).hexdigest()
    return pair.extra | {
        "pair_id": pair_id,
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
    reasons: Counter[str] = Counter()
    for item in counts:
        reasons.update(item.n_rejected)
    listed = ", ".join(f"{n} as {reason}" for reason, n in sorted(reasons.items())) or "none"
    return (
        f"{', '.join(item.name for item in counts)}: no training pair in "
        f"{sum(item.n_read for item in counts)} rows (rejected: {listed}); check the files and "
        "the limits in 'clean'"
    )


def _split_counts(root: Path, pairs_files: list[Path], encoded_files: list[Path]) -> SplitCounts:
    """Counts read back from the written files, not remembered."""
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
