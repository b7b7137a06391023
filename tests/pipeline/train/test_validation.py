"""Validation during training."""

from __future__ import annotations

import math
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from pipeline.dataset.dataset import Dataset, open_dataset
from pipeline.train.recipe import TrainConfig
from pipeline.train.validation import Validation
from pipeline.train.worker import new_model
from pipeline.train.worker_context import WorkerContext

CONFIG = TrainConfig(emb_dim=8, hidden_dim=16, num_layers=1)


def test_validation_takes_sentences_of_any_length(dataset: Path) -> None:
    opened = open_dataset(dataset)
    subwords = opened.subwords()
    context = WorkerContext(0, 1, torch.device("cpu"))
    model = new_model(subwords, CONFIG).eval()
    encoded = opened.encoded("valid").slice(0, 1)
    long = encoded.set_column(
        encoded.schema.get_field_index("source_ids"),
        encoded.schema.field("source_ids"),
        pa.array([[5] * 5000], encoded.schema.field("source_ids").type),
    )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dataset, "encoded", lambda *_: long)
        validation = Validation(opened, subwords, context, max_sentences=1)
    loss, bleu = validation.measure(model)

    assert math.isfinite(loss)
    assert 0.0 <= bleu <= 100.0
