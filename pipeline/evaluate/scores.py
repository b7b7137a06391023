"""Scores and the score report."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
from sacrebleu.metrics.chrf import CHRF

from pipeline.dataset.splits import Split
from pipeline.decoding import DecodeConfig
from pipeline.evaluate.metrics import bleu_metric, ter_metric
from pipeline.schemas import SCORES
from pipeline.settings import Settings
from pipeline.storage.manifests import Manifest


class Score(Settings):
    """One metric over the whole test set, 0 to 100 (TER may be more); never without signature."""

    metric: str
    score: float
    signature: str


class ScoreReport(Manifest):
    """What an evaluation found; ``report.json``.

    ``same_dataset`` says that the model was trained on this very dataset, whose certificate rules
    leaks out; without it nobody has checked that the model never saw these sentences.
    """

    FORMAT_VERSION = 1
    WHAT = "a score report"
    REMEDY = "make one with `lingo evaluate`"

    evaluation_id: str
    evaluated_at: datetime
    model: str
    model_id: str
    dataset: str
    dataset_fingerprint: str
    same_dataset: bool
    split: Split
    source_lang: str
    target_lang: str
    decode: DecodeConfig = DecodeConfig()
    n_sentences: int
    seconds: float
    scores: tuple[Score, ...]
    folder: str

    def score(self, metric: str) -> float:
        """The score of a metric by its name; KeyError for one that was not measured."""
        return {s.metric: s.score for s in self.scores}[metric]


def corpus_scores(translations: list[str], references: list[str], target_lang: str) -> list[Score]:
    """BLEU, chrF and (see ``languages.py``) TER of a corpus by sacreBLEU (Post 2018), one reference
    each.

    Raises:
        ValueError: lists of unequal length, which sacreBLEU's metrics would score regardless.
    """
    if len(translations) != len(references):
        raise ValueError(f"{len(translations)} translations but {len(references)} references")
    scores = []
    for metric in (bleu_metric(target_lang), CHRF(), ter_metric(target_lang)):
        if metric is None:
            continue
        score = metric.corpus_score(translations, [references])
        scores.append(
            Score(metric=score.name, score=score.score, signature=str(metric.get_signature()))
        )
    return scores


def scores_table(report: ScoreReport) -> pa.Table:
    """The SCORES rows of a report, one for each metric."""
    shared = report.model_dump(
        include={name for name in SCORES.names if name not in ("metric", "score", "signature")}
    ) | {"precision": report.decode.tier, "beam_size": report.decode.beam_size}
    rows = [shared | score.model_dump() for score in report.scores]
    return pa.Table.from_pylist(rows, schema=SCORES)
