"""How good a model is: BLEU, chrF and TER on a test set, with signatures.

Reads: a dataset's PAIRS, a model bundle. Writes, below the folder of reports:

    REPORTS/MODEL-SPLIT-1a2b3c4d/report.json|md|html     what pipeline/evaluate/report.py makes
                                /segments.parquet        SEGMENTS, a row for each sentence
    REPORTS/scores/part-1a2b3c4d5e6f7a8b.parquet         SCORES, a row for each metric

Run: ``lingo evaluate DATASET --model models/NAME --reports reports``.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
from sacrebleu.metrics.chrf import CHRF

from lingo_model import InputError, Translation, Translator, load_bundle
from pipeline.dataset.manifest import load_dataset
from pipeline.dataset.splits import Split
from pipeline.dataset.tables import read_pairs
from pipeline.decoding import DecodeConfig
from pipeline.evaluate.report import write_report
from pipeline.evaluate.scores import ScoreReport, corpus_scores, scores_table
from pipeline.observability.progress import progress_bar
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
    split: Split = "test",
    decode: DecodeConfig = DecodeConfig(),
) -> ScoreReport:
    """Translate a split of a dataset and score it against its references, joined by ``pair_id``.

    The same model on the same split gives the same report in the same place.

    Raises:
        InputError: no dataset or bundle there, an empty split, or other languages.
    """
    manifest = load_dataset(dataset)
    bundle = load_bundle(model)
    languages = (bundle.manifest.source_lang, bundle.manifest.target_lang)
    if languages != (manifest.source_lang, manifest.target_lang):
        raise InputError(
            f"{model}: translates {'-'.join(languages)} but {dataset} is "
            f"{manifest.source_lang}-{manifest.target_lang}; give a model of its languages"
        )
    pairs = read_pairs(dataset, manifest, split)
    if pairs.num_rows == 0:
        raise InputError(f"{dataset}: its {split} split is empty; name another split")

    training = TrainingRecord.load(model)
    started = datetime.now(UTC)
    translations = _translate(decode.translator(bundle), pairs)
    seconds = (datetime.now(UTC) - started).total_seconds()
    segments = join_by_id(pairs, translations)
    evaluation_id = fingerprint_of(
        [bundle.manifest.model_id, manifest.fingerprint, split, decode.fingerprint()]
    )[:16]
    name = model.resolve().name
    folder = reports / f"{name}-{split}-{evaluation_id[:8]}"
    report = ScoreReport(
        format_version=ScoreReport.FORMAT_VERSION,
        evaluation_id=evaluation_id,
        evaluated_at=started,
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
        scores=tuple(
            corpus_scores(
                segments["translation"].to_pylist(),
                segments["reference"].to_pylist(),
                manifest.target_lang,
            )
        ),
        folder=str(folder),
    )
    write_parquet(folder / "segments.parquet", segments)
    write_report(folder, report.model_dump(mode="json"), segments, training)
    write_parquet(reports / "scores" / f"part-{evaluation_id}.parquet", scores_table(report))
    return report


def join_by_id(pairs: pa.Table, translations: dict[str, Translation]) -> pa.Table:
    """SEGMENTS: each reference beside the translation of the same ``pair_id``.

    Raises:
        ValueError: the two sides do not hold the same ids, each once.
    """
    ids: list[str] = pairs["pair_id"].to_pylist()
    lacking, extra = set(ids) - set(translations), set(translations) - set(ids)
    n_repeated = len(ids) - len(set(ids))
    if lacking or extra or n_repeated:
        raise ValueError(
            f"references and translations do not have the same ids: {len(lacking)} references "
            f"have no translation, {len(extra)} translations no reference, {n_repeated} ids repeat"
        )
    metric = CHRF()
    references: list[str] = pairs["target"].to_pylist()
    found = [translations[pair_id] for pair_id in ids]
    return pa.Table.from_pydict(
        {
            "pair_id": ids,
            "source": pairs["source"].to_pylist(),
            "reference": references,
            "translation": [t.text for t in found],
            "score": [t.score for t in found],
            "chrf": [
                metric.sentence_score(t.text, [reference]).score
                for t, reference in zip(found, references, strict=True)
            ],
        },
        schema=SEGMENTS,
    )


def _translate(translator: Translator, pairs: pa.Table) -> dict[str, Translation]:
    translations: dict[str, Translation] = {}
    with progress_bar("evaluate", pairs.num_rows) as bar:
        for batch in pairs.to_batches(max_chunksize=_SENTENCES_PER_BATCH):
            ids, sources = batch.column("pair_id").to_pylist(), batch.column("source").to_pylist()
            translations |= zip(ids, translator.translate(sources), strict=True)
            bar.advance(batch.num_rows)
    return translations
