"""The sentences on which the subword model is trained: all, or a sample by hash of the text."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.prepare.config import SubwordsConfig
from pipeline.prepare.encoding import train_subwords
from pipeline.prepare.subword_sample import training_sentences
from pipeline.schemas import PAIRS

TEXTS = [f"text {n} é" * (1 + n % 3) for n in range(2000)]


def written(folder: Path, texts: list[str], *, n_files: int = 1) -> list[Path]:
    """PAIRS files of texts that are source and target in turn."""
    folder.mkdir(exist_ok=True)
    files = []
    rows = [
        {"pair_id": str(i), "source": source, "target": target, "origin": "x"}
        for i, (source, target) in enumerate(zip(texts[::2], texts[1::2], strict=True))
    ]
    for number in range(n_files):
        files.append(folder / f"part-{number}.parquet")
        part = rows[len(rows) * number // n_files : len(rows) * (number + 1) // n_files]
        pq.write_table(pa.Table.from_pylist(part, schema=PAIRS), files[-1], row_group_size=77)
    return files


@pytest.mark.parametrize("max_sentences", [2000, 2001, 10**9])
def test_all_sentences_are_used_if_they_are_no_more_than_the_limit(
    tmp_path: Path, max_sentences: int
) -> None:
    files = written(tmp_path / "pairs", TEXTS, n_files=2)
    found = list(training_sentences(files, max_sentences=max_sentences, seed=1))
    assert sorted(found) == sorted(TEXTS)


@pytest.mark.parametrize("max_sentences", [1, 10, 999, 1999])
def test_a_sample_has_the_given_size_and_the_same_texts_in_any_order(
    tmp_path: Path, max_sentences: int
) -> None:
    shuffled = random.Random(7).sample(TEXTS, len(TEXTS))
    samples = [
        list(training_sentences(files, max_sentences=max_sentences, seed=1))
        for files in (
            written(tmp_path / "a", TEXTS),
            written(tmp_path / "b", shuffled, n_files=5),
        )
    ]
    assert samples[0] == samples[1]
    assert len(set(samples[0])) == max_sentences
    assert set(samples[0]) <= set(TEXTS)


def test_the_seed_decides_what_is_sampled_and_all_texts_have_the_same_chance(
    tmp_path: Path,
) -> None:
    files = written(tmp_path / "pairs", TEXTS)
    counts: Counter[str] = Counter()
    n_samples = 40
    for seed in range(n_samples):
        sample = list(training_sentences(files, max_sentences=500, seed=seed))
        assert len(sample) == 500
        counts.update(sample)
    assert len(counts) > 1990  # a text is in no sample with a chance of 0.75 ** 40
    thirds = [sum(counts[text] for text in TEXTS[k::3]) for k in range(3)]  # by length
    assert all(0.95 < third / (n_samples * 500 / 3) < 1.05 for third in thirds)


def test_repeated_texts_are_sampled_together(tmp_path: Path) -> None:
    texts = ["again and again"] * 400 + TEXTS[:600]
    found = [
        Counter(training_sentences(written(tmp_path / "p", texts), max_sentences=500, seed=seed))
        for seed in range(12)
    ]
    repeats = {counts["again and again"] for counts in found}
    assert {0, 400} <= repeats  # a sample that reaches its limit among them has a part of them


def test_the_model_of_a_sample_does_not_depend_on_the_order_of_the_pairs(tmp_path: Path) -> None:
    shuffled = random.Random(8).sample(TEXTS, len(TEXTS))
    config = SubwordsConfig(vocab_size=60, max_training_sentences=300)
    models = [
        train_subwords(written(tmp_path / name, texts, n_files=n), config, seed=3).to_bytes()
        for name, texts, n in (("a", TEXTS, 1), ("b", shuffled, 3))
    ]
    assert models[0] == models[1]
    assert train_subwords(written(tmp_path / "c", TEXTS), config, seed=4).to_bytes() != models[0]
