"""The types of scores and of the score report. Computes nothing, so it imports no metric."""

from __future__ import annotations

from datetime import datetime

import pyarrow as pa
from pydantic import Field

from pipeline.dataset.splits import Split
from pipeline.decoding import DecodeConfig
from pipeline.schemas import SCORES
from pipeline.settings import Settings
from pipeline.storage.manifests import Manifest


class Score(Settings):
    """One metric over a whole split. A score always comes with its signature."""

    metric: str = Field(description="name that sacreBLEU gives the metric, such as BLEU")
    score: float = Field(description="0 to 100; TER can exceed 100")
    signature: str = Field(description="sacreBLEU's signature: version, tokeniser, options")


class ScoreReport(Manifest):
    """The result of an evaluation. The content of ``report.json``."""

    FORMAT_VERSION = 1
    WHAT = "a score report"
    REMEDY = "make one with `lingo evaluate`"

    evaluation_id: str = Field(description="hash of model, dataset, split and decoding settings")
    evaluated_at: datetime
    model: str = Field(description="name of the model's folder")
    model_id: str
    dataset: str = Field(description="folder of the dataset")
    dataset_fingerprint: str
    same_dataset: bool = Field(
        description="whether the model was trained on this dataset, whose leakage certificate "
        "covers its splits; if false, the model may have seen these sentences"
    )
    split: Split
    source_lang: str
    target_lang: str
    decode: DecodeConfig = DecodeConfig()
    n_sentences: int
    n_given_rows: int | None = Field(
        default=None,
        description="rows of the files that are given for the split; none if it is sampled",
    )
    seconds: float = Field(description="duration of the translation")
    scores: tuple[Score, ...]
    folder: str = Field(description="folder of this report")
    notes: tuple[str, ...] = Field(default=(), description="what makes the scores hard to compare")

    def score(self, metric: str) -> float:
        """The score of a metric, by the metric's name.

        Raises:
            KeyError: the report has no such metric.
        """
        return {score.metric: score.score for score in self.scores}[metric]


def scores_table(report: ScoreReport) -> pa.Table:
    """A report as a SCORES table with one row per metric."""
    shared = report.model_dump(
        include={name for name in SCORES.names if name not in ("metric", "score", "signature")}
    ) | report.decode.model_dump(include={"precision", "beam_size"})
    rows = [shared | score.model_dump() for score in report.scores]
    return pa.Table.from_pylist(rows, schema=SCORES)
