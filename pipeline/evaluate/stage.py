"""Score a model on a split of a dataset with BLEU, chrF and TER.

Reads:
    a dataset's PAIRS, a model bundle

Writes, below the folder of reports:
    REPORTS/MODEL-SPLIT-1a2b3c4d/report.json|md|html     see pipeline/evaluate/report.py
                                /segments.parquet        SEGMENTS, one row per sentence
    REPORTS/scores/part-1a2b3c4d5e6f7a8b.parquet         SCORES, one row per metric

Run:
    lingo evaluate DATASET --model models/NAME --reports reports
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from lingo_model import (
    Bundle,
    BundleManifest,
    InputError,
    Translation,
    Translator,
    load_bundle,
)
from pipeline.dataset.dataset import open_dataset
from pipeline.dataset.manifest import DatasetManifest
from pipeline.dataset.splits import TEST_SPLIT, Split
from pipeline.decoding import DecodeConfig
from pipeline.evaluate.metrics import corpus_scores, sentence_chrf
from pipeline.evaluate.reference_checks import reference_warnings
from pipeline.evaluate.report import write_report
from pipeline.evaluate.scores import ScoreReport, scores_table
from pipeline.languages import primary_language
from pipeline.observability.progress import OnProgress, ignore_progress, progress_bar
from pipeline.schemas import SEGMENTS
from pipeline.storage.files import write_parquet
from pipeline.storage.hashing import fingerprint_of
from pipeline.training_record import TrainingRecord

_SENTENCES_PER_BATCH = 500


def evaluate_model(
    dataset: Path,
    model: Path,
    reports: Path,
    *,
    split: Split = TEST_SPLIT,
    decode: DecodeConfig = DecodeConfig(),
    on_progress: OnProgress = ignore_progress,
) -> ScoreReport:
    """Translate a split, score the translations against its references and write a report.

    The same model, split and decoding settings overwrite their earlier report.

    Args:
        dataset: folder of the dataset.
        model: folder of the model bundle.
        reports: folder of reports; created if missing.
        split: the split to translate.
        decode: precision and search.
        on_progress: called with the sentences done, at most once a second.

    Raises:
        InputError: the dataset or the bundle is missing or damaged, their languages differ, or
            the split is empty.
    """
    opened = open_dataset(dataset)
    manifest = opened.manifest
    bundle = load_bundle(model)
    notes = _language_notes(model, bundle.manifest, dataset, manifest)
    pairs = opened.pairs(split)
    if pairs.num_rows == 0:
        raise InputError(f"{dataset}: the {split} split is empty; choose another split")
    training = TrainingRecord.load(model)

    started_at = datetime.now(UTC)
    translations = _translate(_translator(bundle, decode, pairs), pairs, on_progress)
    seconds = (datetime.now(UTC) - started_at).total_seconds()

    segments = join_by_id(pairs, translations)
    texts, references = segments["translation"].to_pylist(), segments["reference"].to_pylist()
    notes += reference_warnings(texts, references)
    n_changed = len(bundle.subwords.changed(references))
    if n_changed:
        notes.append(
            f"{n_changed:,} of {len(references):,} references do not survive the model's subwords, "
            "so no translation can equal them"
        )
    evaluation_id = fingerprint_of(
        [bundle.manifest.model_id, manifest.fingerprint, split, decode.fingerprint()]
    )[:16]
    name = model.resolve().name
    folder = reports / f"{name}-{split}-{evaluation_id[:8]}"
    report = ScoreReport(
        format_version=ScoreReport.FORMAT_VERSION,
        evaluation_id=evaluation_id,
        evaluated_at=started_at,
        model=name,
        model_id=bundle.manifest.model_id,
        dataset=str(dataset),
        dataset_fingerprint=manifest.fingerprint,
        same_dataset=bundle.manifest.dataset_fingerprint == manifest.fingerprint,
        split=split,
        source_lang=manifest.source_lang,
        target_lang=manifest.target_lang,
        decode=decode,
        n_sentences=pairs.num_rows,
        seconds=seconds,
        n_given_rows=_n_given_rows(manifest, split),
        scores=tuple(corpus_scores(texts, references, manifest.target_lang)),
        folder=str(folder),
        notes=tuple(notes),
    )
    write_parquet(folder / "segments.parquet", segments)
    write_report(folder, report, segments, training)
    write_parquet(reports / "scores" / f"part-{evaluation_id}.parquet", scores_table(report))
    return report


def join_by_id(pairs: pa.Table, translations: dict[str, Translation]) -> pa.Table:
    """Join references with translations on ``pair_id``.

    Args:
        pairs: PAIRS of the split.
        translations: the translation of each pair, by ``pair_id``.

    Returns:
        a SEGMENTS table in the order of ``pairs``.

    Raises:
        ValueError: the two sides do not hold the same ids, each exactly once.
    """
    ids: list[str] = pairs["pair_id"].to_pylist()
    n_untranslated = len(set(ids) - set(translations))
    n_unreferenced = len(set(translations) - set(ids))
    n_repeated = len(ids) - len(set(ids))
    if n_untranslated or n_unreferenced or n_repeated:
        raise ValueError(
            "the ids of references and translations differ: "
            f"{n_untranslated} references without a translation, "
            f"{n_unreferenced} translations without a reference, {n_repeated} repeated ids"
        )
    references: list[str] = pairs["target"].to_pylist()
    in_order = [translations[pair_id] for pair_id in ids]
    texts = [translation.text for translation in in_order]
    return pa.Table.from_pydict(
        {
            "pair_id": ids,
            "source": pairs["source"].to_pylist(),
            "reference": references,
            "translation": texts,
            "score": [translation.score for translation in in_order],
            "chrf": sentence_chrf(texts, references),
        },
        schema=SEGMENTS,
    )


def _language_notes(
    model: Path, bundle: BundleManifest, dataset: Path, manifest: DatasetManifest
) -> list[str]:
    """A note if model and dataset have different tags of the same languages.

    Raises:
        InputError: their languages differ.
    """
    of_model = (bundle.source_lang, bundle.target_lang)
    of_dataset = (manifest.source_lang, manifest.target_lang)
    if of_model == of_dataset:
        return []
    model_languages, dataset_languages = "-".join(of_model), "-".join(of_dataset)
    if list(map(primary_language, of_model)) != list(map(primary_language, of_dataset)):
        raise InputError(
            f"{model}: the model translates {model_languages}, but {dataset} is "
            f"{dataset_languages}; choose a model for {dataset_languages}"
        )
    return [
        f"the model translates {model_languages}, and the dataset is {dataset_languages}: the "
        "languages are the same, but regions or scripts may differ"
    ]


def _n_given_rows(manifest: DatasetManifest, split: Split) -> int | None:
    """The number of rows of the files that the corpus description gives for a split."""
    n_rows = [item.n_read for item in manifest.inputs if item.split == split]
    return sum(n_rows) if n_rows and split != "train" else None


def _translator(bundle: Bundle, decode: DecodeConfig, pairs: pa.Table) -> Translator:
    """A translator that accepts every source of a split, however long it is."""
    longest = max(
        len(ids)
        for batch in pairs.to_batches(max_chunksize=_SENTENCES_PER_BATCH)
        for ids in bundle.subwords.encode(batch.column("source").to_pylist())
    )
    limit = max(decode.max_source_tokens, longest + 1)  # with eos
    return decode.model_copy(update={"max_source_tokens": limit}).translator(bundle)


def _translate(
    translator: Translator, pairs: pa.Table, on_progress: OnProgress
) -> dict[str, Translation]:
    """The translation of each pair's source, by ``pair_id``."""
    translations: dict[str, Translation] = {}
    with progress_bar("evaluate", pairs.num_rows, on_progress=on_progress) as bar:
        for batch in pairs.to_batches(max_chunksize=_SENTENCES_PER_BATCH):
            ids, sources = batch.column("pair_id").to_pylist(), batch.column("source").to_pylist()
            translations |= zip(ids, translator.translate(sources), strict=True)
            bar.advance(batch.num_rows)
    return translations
