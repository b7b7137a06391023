"""Measures a model during training: loss and BLEU on the validation split.

Reads: the validation split of a dataset.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from lingo_model import Engine, SearchConfig, SimpleSeq2SeqLSTM, Subwords, SummedLoss
from lingo_model.unicode_text import nfc
from pipeline.dataset.dataset import Dataset
from pipeline.evaluate.metrics import bleu_metric
from pipeline.train.batches import make_batch
from pipeline.train.worker_context import WorkerContext

_ROWS_PER_BATCH = 64


@dataclasses.dataclass(frozen=True)
class _Share:
    """What one worker measured: its summed loss (nats), and its translations by ``pair_id``."""

    loss: float
    n_target_tokens: int
    translations: dict[str, str]


class Validation:
    """This worker's share of the validation sentences: every n-th, for n workers.

    Args:
        dataset: the dataset.
        subwords: the dataset's subword model.
        context: this worker.
        max_sentences: use the first sentences of the split, at most so many.

    Raises:
        InputError: a file of the validation split is damaged.
    """

    def __init__(
        self,
        dataset: Dataset,
        subwords: Subwords,
        context: WorkerContext,
        *,
        max_sentences: int,
    ) -> None:
        encoded = dataset.encoded("valid").slice(0, max_sentences)
        references = dataset.pairs("valid").slice(0, max_sentences)
        self._context = context
        self._subwords = subwords
        self._bleu = bleu_metric(dataset.manifest.target_lang)
        self._references: dict[str, str] = dict(
            zip(
                references["pair_id"].to_pylist(),
                map(nfc, references["target"].to_pylist()),
                strict=True,
            )
        )
        share = encoded.take(np.arange(context.rank, encoded.num_rows, context.n_workers))
        self._pair_ids: list[str] = share["pair_id"].to_pylist()
        self._sources: list[list[int]] = share["source_ids"].to_pylist()
        self._targets: list[list[int]] = share["target_ids"].to_pylist()
        # Training has no limit of the length either.
        longest = max(map(len, self._sources), default=0)
        limit = max(longest, SearchConfig.max_source_tokens)
        self._search = SearchConfig(max_source_tokens=limit)

    def measure(self, model: SimpleSeq2SeqLSTM) -> tuple[float, float]:
        """Loss and BLEU over the shares of all workers. Every worker must call this.

        Args:
            model: in ``eval`` mode, the same on every worker.

        Returns:
            the mean loss of a target token in nats, and BLEU from 0 to 100.
        """
        hypotheses = Engine(model).translate(self._sources, self._search)
        texts = self._subwords.decode([hypothesis.token_ids for hypothesis in hypotheses])
        texts = list(map(nfc, texts))
        shares = self._context.all_gather(
            _Share(
                loss=self._loss_sum(model),
                n_target_tokens=sum(map(len, self._targets)),
                translations=dict(zip(self._pair_ids, texts, strict=True)),
            )
        )
        translations = {key: text for share in shares for key, text in share.translations.items()}
        bleu = self._bleu.corpus_score(
            [translations[pair_id] for pair_id in self._references],
            [list(self._references.values())],
        )
        loss = sum(share.loss for share in shares)
        return loss / sum(share.n_target_tokens for share in shares), bleu.score

    def _loss_sum(self, model: SimpleSeq2SeqLSTM) -> float:
        """The loss of this worker's share, summed over target tokens (nats)."""
        total = 0.0
        loss = SummedLoss(model)
        order = sorted(range(len(self._targets)), key=lambda i: len(self._targets[i]))
        with torch.inference_mode():
            for start in range(0, len(order), _ROWS_PER_BATCH):
                rows = order[start : start + _ROWS_PER_BATCH]
                batch = make_batch(
                    [np.array(self._sources[i]) for i in rows],
                    [np.array(self._targets[i]) for i in rows],
                ).to(self._context.device)
                total += loss(batch.source, batch.target_in, batch.target_out).item()
        return total
