"""The second pass: which pair of several with one source stays, and which files hold the pairs."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.dataset.splits import SPLITS, Split
from pipeline.prepare.config import LeaksConfig, PrepareConfig, SplitConfig
from pipeline.prepare.corpus import CorpusInput
from pipeline.prepare.input_names import named_inputs
from pipeline.prepare.job import Job
from pipeline.prepare.near import duplicate_keys
from pipeline.prepare.partitions import PartitionTask, find_repeats, write_held_out
from pipeline.prepare.rules.lengths import word_counts
from pipeline.prepare.spill import read_rows, write_spill
from pipeline.prepare.splitting import TRAIN, SplitRule, reading_order
from pipeline.prepare.texts import PairTexts, TextColumn
from tests.pipeline.prepare.normalised import normalise

SHARES = SplitConfig(valid_share=0.1, test_share=0.2)
GIVEN: tuple[Split | None, ...] = ("test", "valid", "train")

Pair = tuple[Split | None, str, str]


class Passed:
    """What the second pass made of some pairs.

    Args:
        folder: a folder for files.
        pairs: the pairs in the order of reading, each with the split of its input.
        inputs: the splits of the inputs.
        n_partitions: the number of partitions.
    """

    def __init__(
        self,
        folder: Path,
        pairs: list[Pair],
        inputs: tuple[Split | None, ...] = GIVEN,
        n_partitions: int = 3,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        items = [CorpusInput(path=(Path(f"{split}.tsv"),), split=split) for split in inputs]
        job = Job(
            dataset=folder / "dataset",
            work=folder / "work",
            source_lang="en",
            target_lang="es",
            parts=tuple(reading_order(named_inputs(items))),
            config=PrepareConfig(split=SHARES, leaks=LeaksConfig(near=False)),
            extra=pa.schema([]),
            n_partitions=n_partitions,
            split_rule=SplitRule.of(items, SHARES, 0),
        )
        ranks = {named.item.split: rank for rank, (named, _) in enumerate(job.parts)}
        sources = TextColumn.of([source for _, source, _ in pairs])
        hashes = sources.letter_hashes
        targets = TextColumn.of([target for _, _, target in pairs])
        splits = [
            job.split_rule.splits_of(split, TextColumn.of([source]))[0]
            for split, source, _ in pairs
        ]
        rows = pa.table(
            {
                "rank": [ranks[split] for split, _, _ in pairs],
                "number": np.arange(1, len(pairs) + 1),
                "line": np.zeros(len(pairs), np.int64),
                "split": splits,
                "source": sources.to_arrow(),
                "target": targets.to_arrow(),
                "source_hash": hashes,
                "duplicate_key": duplicate_keys(PairTexts(sources, targets, "en", "es"), "pair"),
                "source_characters": sources.n_characters,
                "target_characters": targets.n_characters,
                "source_words": word_counts(sources),
                "target_words": word_counts(targets),
            },
            schema=job.kept_schema,
        )
        partitions = (hashes % np.uint64(n_partitions)).astype(np.int64)
        partitions[np.array(splits) != TRAIN] = n_partitions
        half = len(pairs) // 2
        names = ("kept-0.arrow", "kept-1.arrow")
        for name, part in ((names[0], slice(0, half)), (names[1], slice(half, None))):
            taken = rows.take(pa.array(np.arange(len(pairs))[part]))
            write_spill(job.work / name, taken, partitions[part], n_partitions + 1)
        self.results = [write_held_out(PartitionTask(job, n_partitions, names))]
        self.results += [find_repeats(PartitionTask(job, n, names)) for n in range(n_partitions)]
        self.rejected: dict[int, dict[str, Any]] = {}
        for result in self.results:
            if result["rejected"] is not None:
                found = read_rows(job.work / result["rejected"]).to_pylist()
                self.rejected |= {row["number"]: row for row in found}
        self.kept: dict[Split, list[dict[str, Any]]] = {split: [] for split in SPLITS}
        for result in self.results:
            for split, files in result["files"].items():
                for file in files:
                    table = pq.ParquetFile(job.dataset / file["name"]).read()
                    assert len(table) == file["n_pairs"]
                    self.kept[split] += table.to_pylist()
        n_rejected = Counter(row["reason"] for row in self.rejected.values())
        counted: Counter[str] = Counter()
        for result in self.results:
            for _, reason, n in result["n_rejected"]:
                counted[reason] += n
        assert counted == n_rejected
        n_kept = sum(n for result in self.results for _, n in result["n_kept"])
        assert n_kept == sum(map(len, self.kept.values()))
        assert n_kept + len(self.rejected) == len(pairs)
        self._n_pairs = len(pairs)

    @property
    def reasons(self) -> list[str | None]:
        """The reason of each pair, or None for one that stays."""
        numbers = range(1, self._n_pairs + 1)
        return [self.rejected[n]["reason"] if n in self.rejected else None for n in numbers]


def test_a_sentence_stays_in_the_first_of_test_valid_train(tmp_path: Path) -> None:
    passed = Passed(
        tmp_path,
        [
            ("test", "Hello, world!", "a"),
            ("valid", "hello world", "b"),
            ("valid", "Good day.", "a"),
            ("train", "HELLO WORLD", "c"),
            ("train", "good day", "a"),
            ("train", "good night", "a"),
        ],
    )
    assert passed.reasons == [None, "leak", None, "leak", "leak", None]


def test_a_sampled_test_split_gives_way_to_a_validation_file(tmp_path: Path) -> None:
    sampled = _sampled("test", ("valid", None), tmp_path / "first")
    pairs: list[Pair] = [
        ("valid", sampled.upper(), "a"),
        (None, sampled, "a"),
        (None, sampled, "b"),
    ]
    passed = Passed(tmp_path / "second", pairs, ("valid", None))
    assert passed.reasons == [None, "leak", "leak"]
    assert [row["origin"] for row in passed.kept["valid"]] == ["valid.tsv:1"]


def word(number: int) -> str:
    """A word of letters. Sources that differ in digits only are in one split."""
    return "".join("abcdefghij"[int(digit)] for digit in str(number))


def _sampled(split: Split, inputs: tuple[Split | None, ...], folder: Path) -> str:
    """A source that is sampled for a split."""
    pairs: list[Pair] = [(None, f"sentence {word(n)}", "x") for n in range(100)]
    source: str = Passed(folder, pairs, inputs).kept[split][0]["source"]
    return source


def test_repeated_pairs_of_training_are_rejected(tmp_path: Path) -> None:
    passed = Passed(
        tmp_path,
        [
            ("train", "one", "uno"),
            ("train", "one", "uno"),
            ("train", "one", "una"),  # another translation
            ("train", "One", "uno"),  # not the same text
            ("train", "oneu", "no"),
            ("train", "one", "uno"),
        ],
    )
    assert passed.reasons == [None, "duplicate", None, None, None, "duplicate"]


@pytest.mark.parametrize("split", ["test", "valid"])
@pytest.mark.parametrize("others", [(), (None,), ("train",)])
def test_repeated_pairs_of_a_given_file_stay(
    tmp_path: Path, split: Split, others: tuple[Split | None, ...]
) -> None:
    passed = Passed(tmp_path, [(split, "one", "uno")] * 3, (split, *others))
    assert passed.reasons == [None] * 3
    assert len({row["pair_id"] for row in passed.kept[split]}) == 3


@pytest.mark.parametrize("split", ["test", "valid", "train"])
def test_repeated_pairs_of_sampled_splits_are_rejected(tmp_path: Path, split: Split) -> None:
    text = _sampled(split, (None,), tmp_path / "first")
    pairs: list[Pair] = [(None, text, target) for target in ("a", "a", "b", "a")]
    passed = Passed(tmp_path / "second", pairs, (None,))
    assert passed.reasons == [None, "duplicate", None, "duplicate"]


def test_empty_sources_of_given_files_are_not_one_sentence(tmp_path: Path) -> None:
    passed = Passed(tmp_path, [("test", "", "a"), ("valid", "", "b"), ("valid", "\u200b", "b")])
    assert passed.reasons == [None] * 3


def test_the_first_of_equal_pairs_stays_for_any_number_of_partitions(tmp_path: Path) -> None:
    draw = random.Random(6)
    pairs: list[Pair] = [
        ("train", f"sentence {draw.randrange(40)}", f"frase {draw.randrange(2)}")
        for _ in range(300)
    ]
    seen: set[Pair] = set()
    expected = []
    for pair in pairs:
        expected.append("duplicate" if pair in seen else None)
        seen.add(pair)
    for n_partitions in (1, 2, 7):
        folder = tmp_path / str(n_partitions)
        assert Passed(folder, pairs, n_partitions=n_partitions).reasons == expected


def test_equal_normalised_sources_never_stay_in_two_splits(tmp_path: Path) -> None:
    draw = random.Random(3)
    base = [f"The fish {word(n)} sleeps" for n in range(150)]

    def variant() -> str:
        sentence = draw.choice(base)
        return draw.choice(
            [sentence.upper(), f" {sentence}!", "".join(sentence.split()), f"«{sentence}»"]
        )

    inputs: tuple[Split | None, ...] = ("test", None, "train")
    pairs: list[Pair] = [
        (split, variant(), "x") for split in inputs for _ in range(40 if split else 400)
    ]
    passed = Passed(tmp_path, pairs, inputs)
    kept = {split: {normalise(r["source"]) for r in rows} for split, rows in passed.kept.items()}
    assert all(kept.values())
    assert not kept["train"] & kept["valid"]
    assert not kept["train"] & kept["test"]
    assert not kept["valid"] & kept["test"]


def test_pair_ids_are_unique_and_do_not_depend_on_the_partitions(tmp_path: Path) -> None:
    pairs: list[Pair] = [("test", "same", "mismo")] * 500
    pairs += [("valid", f"word {n}", "palabra") for n in range(500)]
    pairs += [("train", f"sentence {n}", "frase") for n in range(500)]
    ids = []
    for n_partitions in (1, 4):
        kept = Passed(tmp_path / str(n_partitions), pairs, n_partitions=n_partitions).kept
        ids.append({row["origin"]: row["pair_id"] for rows in kept.values() for row in rows})
    assert ids[0] == ids[1]
    assert len(set(ids[0].values())) == len(pairs)
    assert all(len(bytes.fromhex(pair_id)) == 16 for pair_id in ids[0].values())
