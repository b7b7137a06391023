"""The stage ``prepare``: from raw parallel text to a dataset.

Reads: the files that a corpus description names.
Writes: a dataset; ``pipeline/dataset/manifest.py`` shows its files.
Run: ``lingo prepare corpus.yaml --output DATASET``
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lingo_model import InputError, Subwords
from pipeline.dataset.manifest import (
    MANIFEST,
    SUBWORDS,
    DatasetManifest,
    InputCounts,
    SplitCounts,
)
from pipeline.dataset.splits import SPLITS, Split
from pipeline.observability.progress import OnProgress, ignore_progress, progress_bar
from pipeline.prepare.cleaning import cleaned_texts, reason_to_reject
from pipeline.prepare.config import PrepareConfig
from pipeline.prepare.corpus import CorpusDescription, check_inputs, extra_schema
from pipeline.prepare.encoding import encode_split
from pipeline.prepare.input_names import NamedInput, named_inputs
from pipeline.prepare.leakage import leakage_certificate
from pipeline.prepare.output_folder import check_output, reserved_output, staged_output
from pipeline.prepare.pairs import RawPair, iter_pairs
from pipeline.prepare.piece_counts import PieceCounts, subword_statistics
from pipeline.prepare.reuse import usable_dataset, values_made_from
from pipeline.prepare.rows_writer import RowsWriter
from pipeline.prepare.splitting import Splitter, reading_order
from pipeline.prepare.subwords_process import train_subwords_in_child
from pipeline.schemas import PAIRS, REJECTED
from pipeline.storage.files import names_below, read_parquet, write_json
from pipeline.storage.hashing import fingerprint_of, hex_digest, sha256_of_file


def prepare_corpus(
    corpus: CorpusDescription,
    output: Path,
    config: PrepareConfig = PrepareConfig(),
    *,
    on_progress: OnProgress = ignore_progress,
) -> DatasetManifest:
    """Read, clean, split and encode a corpus. The dataset appears whole or not at all.

    If ``output`` is a dataset made from the same inputs and settings, it is left as it is. If such
    a dataset is damaged, it is made anew, and a line on standard error says so.

    Args:
        corpus: the languages and the inputs, with absolute paths.
        output: the folder of the dataset; new or empty.
        config: the settings.
        on_progress: called with the rows done, or the seconds passed, as each phase proceeds.

    Returns:
        the manifest of the dataset.

    Raises:
        InputError: an input cannot be used (see ``pipeline/prepare/corpus.py``) or changes while it
            is read, no training pair remains, ``output`` holds something else, or another process
            writes to it.
        RunError: the training of the subword model was killed.
    """
    columns = check_inputs(corpus)
    check_output(output.absolute())
    inputs = named_inputs(corpus.inputs)
    if (output / MANIFEST).exists():
        made_from = values_made_from(corpus, inputs, config)
        manifest = usable_dataset(output, made_from, on_damage=_report_damage)
        if manifest is not None:
            return manifest
    # pyarrow takes a relative path such as `ds:1/a.parquet` for a URI.
    with reserved_output(output.absolute()):
        made_from = values_made_from(corpus, inputs, config)
        if (output / MANIFEST).exists():  # perhaps of the process that held the lock before
            manifest = usable_dataset(output, made_from, on_damage=lambda damage: None)
            if manifest is not None:
                return manifest
        schema = pa.schema([*PAIRS, *extra_schema(corpus, columns)])
        with staged_output(output.absolute()) as staging:
            manifest = _write_dataset(
                staging, corpus, inputs, config, schema, made_from, on_progress
            )
            if values_made_from(corpus, inputs, config) != made_from:
                raise InputError(f"{output}: an input changed while it was read; prepare it again")
    return manifest


def _report_damage(damage: str) -> None:
    print(f"lingo: {damage}; the dataset is prepared anew", file=sys.stderr)


def _write_dataset(
    staging: Path,
    corpus: CorpusDescription,
    inputs: list[NamedInput],
    config: PrepareConfig,
    schema: pa.Schema,
    made_from: dict[str, Any],
    on_progress: OnProgress,
) -> DatasetManifest:
    """Write every file of a dataset, the manifest last."""
    counts, n_pairs = _write_pairs(staging, inputs, config, schema, on_progress)
    pairs_files = {
        split: sorted((staging / "pairs" / f"split={split}").glob("*.parquet")) for split in SPLITS
    }
    with progress_bar("train subwords", None, unit="seconds", on_progress=on_progress) as bar:
        subwords = train_subwords_in_child(
            pairs_files["train"], staging / SUBWORDS, config.subwords, seed=config.seed, bar=bar
        )
    counts_of_pieces = {split: PieceCounts(subwords.vocab_size) for split in SPLITS}
    splits = _encode_splits(
        staging,
        pairs_files,
        subwords,
        n_pairs,
        counts_of_pieces,
        seed=config.seed,
        on_progress=on_progress,
    )
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
        round_trips={split: item.round_trips() for split, item in counts_of_pieces.items()},
        subword_statistics=subword_statistics(counts_of_pieces),
        files_sha256=_digests(staging),
    )
    write_json(staging / MANIFEST, manifest.model_dump(mode="json"))
    return manifest


def _digests(staging: Path) -> dict[str, str]:
    """SHA-256 of every file of a dataset, by relative path."""
    names = sorted(name for name in names_below(staging) if not name.startswith("."))
    return {name: sha256_of_file(staging / name) for name in names}


def _write_pairs(
    staging: Path,
    inputs: list[NamedInput],
    config: PrepareConfig,
    schema: pa.Schema,
    on_progress: OnProgress,
) -> tuple[list[InputCounts], dict[Split, int]]:
    """Write PAIRS, with the columns of ``schema``, and REJECTED.

    Returns:
        the counts of each input, in the order of ``inputs``, and the number of pairs of each split.
    """
    kept = {split: RowsWriter(staging / "pairs" / f"split={split}", schema) for split in SPLITS}
    rejected = RowsWriter(staging / "rejected", REJECTED)
    splitter = Splitter((named.item for named in inputs), config.split)
    counts: dict[int, InputCounts] = {}
    n_pairs: dict[Split, int] = dict.fromkeys(SPLITS, 0)
    with progress_bar("read and clean", None, on_progress=on_progress) as bar:
        for reading_number, named in enumerate(reading_order(inputs)):
            item = named.item
            n_read = n_kept = 0
            n_rejected: Counter[str] = Counter()
            pairs = (
                pair
                for part in named.parts
                for pair in iter_pairs(item, part.part, origin=part.origin)
            )
            for pair in pairs:
                n_read += 1
                bar.advance()
                source, target = cleaned_texts(pair)
                split = splitter.split_of(item, source)
                reason = reason_to_reject(
                    pair, config.clean, item.split
                ) or splitter.reason_to_reject(split, source, target)
                if reason is None:
                    n_kept += 1
                    n_pairs[split] += 1
                    kept[split].write(_pairs_row(reading_number, pair, source, target))
                else:
                    n_rejected[reason] += 1
                    rejected.write(_rejected_row(pair, split, reason))
            if n_kept + n_rejected.total() != n_read:
                raise RuntimeError(
                    f"{named.name}: {n_kept} + {n_rejected} is not the {n_read} read"
                )
            counts[named.number] = InputCounts(
                name=named.name,
                split=item.split,
                n_read=n_read,
                n_kept=n_kept,
                n_rejected=dict(sorted(n_rejected.items())),
            )
    for writer in (*kept.values(), rejected):
        writer.close()
    in_order = [counts[named.number] for named in inputs]
    if n_pairs["train"] == 0:
        raise InputError(_nothing_to_train_on(in_order))
    return in_order, n_pairs


def _pairs_row(reading_number: int, pair: RawPair, source: str, target: str) -> dict[str, Any]:
    return pair.extra | {
        "pair_id": hex_digest(str(reading_number), pair.origin, source, target),
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
        "detail": pair.detail,
        "line": pair.line,
        "text": pair.text,
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
    counts: dict[Split, PieceCounts],
    *,
    seed: int,
    on_progress: OnProgress,
) -> dict[Split, SplitCounts]:
    """Write ENCODED of every split. Counts its rows in the files, and checks them."""
    splits: dict[Split, SplitCounts] = {}
    with progress_bar("encode", sum(n_pairs.values()), on_progress=on_progress) as bar:
        for split in SPLITS:
            encoded_files = encode_split(
                staging,
                split,
                pairs_files[split],
                subwords,
                seed=seed,
                bar=bar,
                counts=counts[split],
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
        table = read_parquet(file, ["n_source_tokens", "n_target_tokens"])
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
