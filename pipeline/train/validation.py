"""Loss and BLEU of a model in training, on the validation split, shared out over the workers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from lingo_model import Engine, SearchConfig, SimpleSeq2SeqLSTM, Subwords, SummedLoss
from pipeline.dataset.manifest import DatasetManifest
from pipeline.dataset.tables import read_encoded, read_pairs
from pipeline.evaluate.metrics import bleu_metric
from pipeline.train.batches import make_batch
from pipeline.train.worker_context import WorkerContext

_ROWS_PER_BATCH = 64


class Validation:
    """The first ``max_sentences`` of the validation split: this worker's share of them."""

    def __init__(
        self,
        dataset: Path,
        manifest: DatasetManifest,
        subwords: Subwords,
        place: WorkerContext,
        *,
        max_sentences: int,
    ) -> None:
        encoded = read_encoded(dataset, manifest, "valid").slice(0, max_sentences)
        references = read_pairs(dataset, manifest, "valid").slice(0, max_sentences)
        self._place = place
        self._subwords = subwords
        self._bleu = bleu_metric(manifest.target_lang)
        self._references: dict[str, str] = dict(
            zip(references["pair_id"].to_pylist(), references["target"].to_pylist(), strict=True)
        )
        mine = encoded.take(np.arange(place.rank, encoded.num_rows, place.n_workers))
        self._pair_ids: list[str] = mine["pair_id"].to_pylist()
        self._sources: list[list[int]] = mine["source_ids"].to_pylist()
        longest = max(map(len, self._sources), default=0)
        limit = max(longest, SearchConfig.max_source_tokens)  # as long as what is trained on
        self._search = SearchConfig(max_source_tokens=limit)
        self._targets: list[list[int]] = mine["target_ids"].to_pylist()

    def measure(self, model: SimpleSeq2SeqLSTM) -> tuple[float, float]:
        """Mean loss of a target token (nats) and BLEU (0 to 100) over all workers' shares.

        Every worker calls this, with the model in ``eval`` mode.
        """
        found = Engine(model).translate(self._sources, self._search)
        texts = self._subwords.decode([hypothesis.token_ids for hypothesis in found])
        shares = self._place.gathered(
            {
                "loss": self._loss_sum(model),
                "n_target_tokens": sum(map(len, self._targets)),
                "texts": dict(zip(self._pair_ids, texts, strict=True)),
            }
        )
        texts_by_id = {key: text for share in shares for key, text in share["texts"].items()}
        bleu = self._bleu.corpus_score(
            [texts_by_id[pair_id] for pair_id in self._references],
            [list(self._references.values())],
        )
        loss = sum(share["loss"] for share in shares)
        return loss / sum(share["n_target_tokens"] for share in shares), bleu.score

    def _loss_sum(self, model: SimpleSeq2SeqLSTM) -> float:
        total = 0.0
        loss = SummedLoss(model)
        order = sorted(range(len(self._targets)), key=lambda i: len(self._targets[i]))
        with torch.inference_mode():
            for start in range(0, len(order), _ROWS_PER_BATCH):
                rows = order[start : start + _ROWS_PER_BATCH]
                batch = make_batch(
                    [np.array(self._sources[i]) for i in rows],
                    [np.array(self._targets[i]) for i in rows],
                ).to(self._place.device)
                total += loss(batch.source, batch.target_in, batch.target_out).item()
        return total
