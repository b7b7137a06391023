"""Validation during training."""

from __future__ import annotations

import math
import shutil
import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from lingo_model import Subwords
from pipeline.dataset.dataset import Dataset, open_dataset
from pipeline.prepare.corpus import CorpusDescription
from pipeline.prepare.stage import prepare_corpus
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


def validated(dataset: Path) -> tuple[float, float]:
    """Loss and BLEU of an untrained model on the validation split."""
    opened = open_dataset(dataset)
    subwords = opened.subwords()
    torch.manual_seed(1)
    model = new_model(subwords, CONFIG).eval()
    context = WorkerContext(0, 1, torch.device("cpu"))
    return Validation(opened, subwords, context, max_sentences=100).measure(model)


def test_validation_takes_a_given_file_with_empty_lines(dataset: Path, tmp_path: Path) -> None:
    lines = ["source\ttarget", "\t", "a dog\t", "\tun perro", "the cat\tel gato"]
    (tmp_path / "valid.tsv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    inputs = [
        {"path": dataset.parent / "train.tsv", "split": "train"},
        {"path": tmp_path / "valid.tsv", "split": "valid"},
    ]
    corpus = CorpusDescription.model_validate(
        {"source_lang": "en", "target_lang": "es", "inputs": inputs}
    )
    assert prepare_corpus(corpus, tmp_path / "dataset").splits["valid"].n_pairs == 4
    loss, bleu = validated(tmp_path / "dataset")
    assert math.isfinite(loss)
    assert 0.0 <= bleu <= 100.0


def test_references_of_a_dataset_in_another_normal_form_have_the_same_bleu(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(dataset, tmp_path / "nfd")
    for file in (tmp_path / "nfd" / "pairs" / "split=valid").iterdir():
        table = pq.ParquetFile(file).read()
        targets = [unicodedata.normalize("NFD", text) for text in table["target"].to_pylist()]
        pq.write_table(table.set_column(2, table.schema.field("target"), pa.array(targets)), file)
    # A model that translates perfectly.
    perfect = open_dataset(dataset).pairs("valid")["target"].to_pylist()
    assert any(not text.isascii() for text in perfect)
    monkeypatch.setattr(Subwords, "decode", lambda *_: perfect)
    assert validated(tmp_path / "nfd")[1] == pytest.approx(100)
