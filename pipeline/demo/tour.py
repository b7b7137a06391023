"""Runs the whole pipeline on a generated corpus.

Reads: nothing.
Writes, below one folder:

    demo/corpus/{train,valid,test}.tsv, corpus.yaml    the generated parallel text
         lake/sentences.parquet                        sentences to translate
         dataset/ models/demo/ table/ reports/         the output of each stage

Run: ``lingo demo``
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml

from pipeline.dataset.splits import SPLITS, Split
from pipeline.demo.sentence_pairs import SentencePair, generate_pairs
from pipeline.evaluate.report import example_rows
from pipeline.evaluate.scores import ScoreReport
from pipeline.evaluate.stage import evaluate_model
from pipeline.models.registry import promote
from pipeline.prepare.config import PrepareConfig, SubwordsConfig
from pipeline.prepare.corpus import load_corpus
from pipeline.prepare.stage import prepare_corpus
from pipeline.storage.files import read_parquet, write_bytes, write_parquet
from pipeline.table.query import sql_command
from pipeline.train.export import training_summary
from pipeline.train.recipe import TrainResources, recipe_named
from pipeline.train.stage import train_model
from pipeline.translate.config import TranslateConfig, TranslateResources
from pipeline.translate.stage import translate_table

MODEL = "demo"

# Each split has its own seed. Validation and test have combinations of verb and object noun that
# training does not have; see generate_pairs.
_SEEDS: dict[Split, int] = {"train": 1, "valid": 2, "test": 3}
_LAKE_SEED = 4
_N_VALID, _N_TEST, _N_LAKE = 500, 1000, 5000
DEMO_SUBWORDS = SubwordsConfig(vocab_size=1000)
"""The settings of the demo's subword model."""


def run_demo(
    output: Path, *, n_pairs: int, only_corpus: bool = False, ray_address: str | None = None
) -> ScoreReport | None:
    """Generate a corpus, prepare, train, translate and evaluate, then print the results.

    If it is run again, each stage keeps its output for the same input.

    Args:
        output: the folder for everything.
        n_pairs: the number of training pairs to generate.
        only_corpus: stop after the dataset is prepared.
        ray_address: a cluster, or None for the default.

    Returns:
        the score report, or None with ``only_corpus``.
    """
    with _timed("generate"):
        write_demo_corpus(output, n_pairs=n_pairs)
    with _timed("prepare"):
        prepare_corpus(
            load_corpus(output / "corpus" / "corpus.yaml"),
            output / "dataset",
            PrepareConfig(subwords=DEMO_SUBWORDS),
        )
    if only_corpus:
        print(f"dataset: {output / 'dataset'}")
        return None
    model = output / "models" / MODEL
    with _timed("train"):
        train_model(
            output / "dataset", model, recipe_named("demo"), TrainResources(ray_address=ray_address)
        )
        print(f"  {training_summary(model)}")
    with _timed("translate"):
        translate_table(
            output / "lake",
            model,
            output / "table",
            TranslateConfig(text_column="sentence", id_column="sentence_id", rows_per_unit=1000),
            TranslateResources(ray_address=ray_address),
        )
    with _timed("evaluate"):
        report = evaluate_model(output / "dataset", model, output / "reports")
    promote(output / "models", MODEL, Path(report.folder) / "report.json")
    _print_result(output, report)
    return report


def write_demo_corpus(output: Path, *, n_pairs: int) -> None:
    """Write the corpus and the lake. The same ``n_pairs`` gives the same files."""
    sizes: dict[Split, int] = {"train": n_pairs, "valid": _N_VALID, "test": _N_TEST}
    description: dict[str, Any] = {"source_lang": "en", "target_lang": "es", "inputs": []}
    for split in SPLITS:
        pairs = generate_pairs(sizes[split], seed=_SEEDS[split], split=split)
        lines = ("\t".join((p.source, p.target, p.combination)) for p in pairs)
        text = "\n".join(itertools.chain(["source\ttarget\tcombination"], lines)) + "\n"
        _write_if_new(output / "corpus" / f"{split}.tsv", text.encode())
        description["inputs"].append({"path": f"{split}.tsv", "split": split})
    _write_if_new(
        output / "corpus" / "corpus.yaml", yaml.safe_dump(description, sort_keys=False).encode()
    )
    lake = output / "lake" / "sentences.parquet"
    if not lake.exists():
        sentences = generate_pairs(_N_LAKE, seed=_LAKE_SEED, split="test")
        write_parquet(lake, _lake_table(sentences))


def _lake_table(sentences: Iterator[SentencePair]) -> pa.Table:
    rows = [
        {"sentence_id": number, "sentence": pair.source, "combination": pair.combination}
        for number, pair in enumerate(sentences, start=1)
    ]
    return pa.Table.from_pylist(rows)


def _write_if_new(path: Path, content: bytes) -> None:
    if not path.exists() or path.read_bytes() != content:
        write_bytes(path, content)


@contextmanager
def _timed(stage: str) -> Iterator[None]:
    print(f"{stage} ...", flush=True)
    started = time.monotonic()
    yield
    print(f"  {stage}: {time.monotonic() - started:.0f} s", flush=True)


def _print_result(output: Path, report: ScoreReport) -> None:
    segments = read_parquet(Path(report.folder) / "segments.parquet")
    print("\nTen test sentences; training had none of their combinations of verb and object noun:")
    for row in example_rows(segments):
        print(f"\n  source     {row['source']}")
        print(f"  reference  {row['reference']}")
        print(f"  output     {row['translation']}")
    print()
    for score in report.scores:
        print(f"{score.metric} = {score.score:.2f}   {score.signature}")
    page = Path(report.folder) / "report.html"
    print(
        f"\nreport:  {page}\ntable:   {output / 'table'}\nquery:   {sql_command(output / 'table')}"
    )
