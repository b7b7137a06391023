"""Encoding: ids that end with eos, row groups of equal size, and shuffled training rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError, Subwords
from lingo_model.special_ids import EOS_ID, UNK_ID
from pipeline.dataset.splits import Split
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.prepare import encoding
from pipeline.prepare.config import PrepareConfig, SplitConfig, SubwordsConfig
from pipeline.prepare.corpus import CorpusInput
from pipeline.prepare.encoding import (
    DATA_SHARD_MULTIPLE,
    encode_file,
    encoding_tasks,
    row_group_bounds,
    train_subwords,
)
from pipeline.prepare.input_names import named_inputs
from pipeline.prepare.job import Job
from pipeline.prepare.pairs_files import PairsFile
from pipeline.prepare.piece_counts import PieceCounts
from pipeline.prepare.splitting import SplitRule, reading_order
from pipeline.schemas import ENCODED, PAIRS

N_PAIRS = 203


N_IN_FIRST_FILE = 120


@pytest.fixture(scope="module")
def pairs() -> pa.Table:
    """PAIRS of 203 generated sentences."""
    rows = [
        {"pair_id": f"id{i:04d}", "source": p.source, "target": p.target, "origin": f"x:{i}"}
        for i, p in enumerate(generate_pairs(N_PAIRS, seed=5, split="train"))
    ]
    return pa.Table.from_pylist(rows, schema=PAIRS)


@pytest.fixture(scope="module")
def pairs_files(pairs: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The pairs in two PAIRS files."""
    folder = tmp_path_factory.mktemp("pairs")
    files = [folder / "part-00000.parquet", folder / "part-00001.parquet"]
    pq.write_table(pairs.slice(0, N_IN_FIRST_FILE), files[0])
    pq.write_table(pairs.slice(N_IN_FIRST_FILE), files[1])
    return files


@pytest.fixture(scope="module")
def subwords(pairs_files: list[Path]) -> Subwords:
    """A subword model of both sides."""
    return train_subwords(pairs_files, SubwordsConfig(vocab_size=200), seed=1)


def job_of(root: Path, seed: int = 1) -> Job:
    """A run with a folder for its files."""
    (root / "work").mkdir(parents=True, exist_ok=True)
    items = [CorpusInput(path=(root / "x.tsv",))]
    return Job(
        dataset=root,
        work=root / "work",
        source_lang="en",
        target_lang="es",
        parts=tuple(reading_order(named_inputs(items))),
        config=PrepareConfig(seed=seed),
        extra=pa.schema([]),
        n_partitions=2,
        split_rule=SplitRule.of(items, SplitConfig(), 0),
    )


def described(files: list[Path]) -> list[PairsFile]:
    """PAIRS files whose pairs give one ENCODED row each."""
    sizes = [pq.read_metadata(file).num_rows for file in files]
    return [PairsFile(str(file), n, n) for file, n in zip(files, sizes, strict=True)]


def encoded(
    root: Path, split: Split, pairs_files: list[Path], subwords: Subwords, *, seed: int = 1
) -> list[Path]:
    """Write the ENCODED files of a split, one task after the other."""
    root.mkdir(exist_ok=True)
    model = root / "subwords.model"
    model.write_bytes(subwords.to_bytes())
    tasks = encoding_tasks(job_of(root, seed), split, described(pairs_files), model)
    results = [encode_file(task) for task in tasks]
    return [root / result["file"] for result in results]


def read(files: list[Path]) -> pa.Table:
    """All rows of some files, in order."""
    return pa.concat_tables(pq.ParquetFile(file).read() for file in files)


MANY_SIZES = [*range(300), 8191, 8192, 8193, 65_535, 65_536, 65_537, 131_073, 1_000_003, 7_654_321]


def test_row_groups_have_equal_sizes_and_their_number_is_a_multiple_of_the_shards() -> None:
    for n_rows in MANY_SIZES:
        bounds = row_group_bounds(n_rows)
        # Every row once, in order.
        edges = [0, *(last for _, last in bounds)]
        assert [first for first, _ in bounds] == edges[:-1], n_rows
        assert edges[-1] == n_rows
        sizes = {last - first for first, last in bounds}
        assert all(1 <= size <= 8192 for size in sizes), n_rows
        assert not sizes or max(sizes) - min(sizes) <= 1, n_rows
        if n_rows < DATA_SHARD_MULTIPLE:
            assert len(bounds) == n_rows
        else:
            assert len(bounds) % DATA_SHARD_MULTIPLE == 0, n_rows
            # No more groups than the greatest size of a group makes necessary.
            assert (len(bounds) - DATA_SHARD_MULTIPLE) * 8192 < n_rows, n_rows


def test_the_subword_model_covers_both_sides(pairs: pa.Table, subwords: Subwords) -> None:
    for side in ("source", "target"):
        texts = pairs[side].to_pylist()
        ids = subwords.encode(texts)
        # A letter that stands once in all the text may be left out of the pieces.
        n_unknown = sum(row.count(UNK_ID) for row in ids)
        n_same = sum(a == b for a, b in zip(subwords.decode(ids), texts, strict=True))
        assert n_same >= N_PAIRS - n_unknown >= N_PAIRS - 3
        assert sum(map(len, ids)) < sum(map(len, texts)) / 1.5  # pieces, not characters


def test_subwords_are_the_same_for_the_same_pairs(
    pairs_files: list[Path], subwords: Subwords
) -> None:
    again = train_subwords(pairs_files, SubwordsConfig(vocab_size=200), seed=1)
    assert again.to_bytes() == subwords.to_bytes()


def test_a_vocabulary_smaller_than_the_alphabet_is_refused(pairs_files: list[Path]) -> None:
    with pytest.raises(InputError, match=r"vocab_size=32: .*subwords\.vocab_size"):
        train_subwords(pairs_files, SubwordsConfig(vocab_size=32), seed=1)


@pytest.mark.parametrize("split", ["train", "valid"])
def test_ids_end_with_eos_and_counts_include_it(
    tmp_path: Path, pairs: pa.Table, pairs_files: list[Path], subwords: Subwords, split: Split
) -> None:
    rows = {
        row["pair_id"]: row
        for row in read(encoded(tmp_path, split, pairs_files, subwords)).to_pylist()
    }
    assert len(rows) == N_PAIRS
    for pair in pairs.to_pylist():
        row = rows[pair["pair_id"]]
        for side in ("source", "target"):
            assert row[f"{side}_ids"] == [*subwords.encode([pair[side]])[0], EOS_ID]
            assert row[f"n_{side}_tokens"] == len(row[f"{side}_ids"])


@pytest.mark.parametrize("split", ["valid", "test"])
def test_validation_and_test_rows_keep_their_order(
    tmp_path: Path, pairs: pa.Table, pairs_files: list[Path], subwords: Subwords, split: Split
) -> None:
    rows = read(encoded(tmp_path, split, pairs_files, subwords))
    assert rows["pair_id"].to_pylist() == pairs["pair_id"].to_pylist()


def test_training_rows_are_shuffled_by_the_seed(
    tmp_path: Path, pairs: pa.Table, pairs_files: list[Path], subwords: Subwords
) -> None:
    orders = {
        name: read(encoded(tmp_path / name, "train", pairs_files, subwords, seed=seed))[
            "pair_id"
        ].to_pylist()
        for name, seed in (("one", 1), ("again", 1), ("two", 2))
    }
    original = pairs["pair_id"].to_pylist()
    assert all(sorted(order) == original for order in orders.values())
    assert orders["one"] == orders["again"] != orders["two"]
    # A row group is a random sample, not a stretch of the file: of 203 rows in random order,
    # about one stands at its old place.
    for order in (orders["one"], orders["two"]):
        assert sum(a == b for a, b in zip(order, original, strict=True)) < 10


def test_row_groups_of_the_file_are_the_bounds(
    tmp_path: Path, pairs_files: list[Path], subwords: Subwords
) -> None:
    (file,) = encoded(tmp_path, "train", pairs_files, subwords)
    assert file == tmp_path / "encoded" / "split=train" / "part-00000.parquet"
    parquet = pq.ParquetFile(file)
    sizes = [parquet.metadata.row_group(i).num_rows for i in range(parquet.num_row_groups)]
    assert sizes == [last - first for first, last in row_group_bounds(N_PAIRS)]
    assert len(sizes) == DATA_SHARD_MULTIPLE
    assert parquet.schema_arrow.equals(ENCODED)


def test_many_row_groups_go_to_several_files(
    tmp_path: Path, pairs_files: list[Path], subwords: Subwords, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = encoded(tmp_path / "whole", "train", pairs_files, subwords)
    monkeypatch.setattr(encoding, "_MAX_ROWS_PER_GROUP", 10)
    monkeypatch.setattr(encoding, "_GROUPS_PER_FILE", DATA_SHARD_MULTIPLE)
    files = encoded(tmp_path / "parts", "train", pairs_files, subwords)
    assert [file.name for file in files] == [f"part-{i:05d}.parquet" for i in range(3)]
    assert [pq.ParquetFile(file).num_row_groups for file in files] == [DATA_SHARD_MULTIPLE] * 3
    assert read(files).equals(read([whole]))  # rows and their order do not depend on the cutting


def test_a_split_without_pairs_has_no_file(
    tmp_path: Path, pairs: pa.Table, subwords: Subwords
) -> None:
    pq.write_table(pairs.slice(0, 0), tmp_path / "none.parquet")
    assert encoded(tmp_path, "valid", [tmp_path / "none.parquet"], subwords) == []


@pytest.mark.parametrize("split", ["train", "valid"])
def test_the_files_are_those_of_a_table_that_is_reordered_and_cut(
    tmp_path: Path, pairs: pa.Table, pairs_files: list[Path], subwords: Subwords, split: Split
) -> None:
    (file,) = encoded(tmp_path, split, pairs_files, subwords, seed=7)
    sides = {
        side: [[*ids, EOS_ID] for ids in subwords.encode(pairs[side].to_pylist())]
        for side in ("source", "target")
    }
    columns = {
        "pair_id": pairs["pair_id"],
        **{f"{side}_ids": ids for side, ids in sides.items()},
        **{f"n_{side}_tokens": list(map(len, ids)) for side, ids in sides.items()},
    }
    table = pa.table(columns, schema=ENCODED)
    if split == "train":
        rows = [
            first + np.random.default_rng([7, number]).permutation(last - first)
            for number, (first, last) in enumerate(
                [(0, N_IN_FIRST_FILE), (N_IN_FIRST_FILE, N_PAIRS)]
            )
        ]
        table = table.take(np.concatenate(rows))
    with pq.ParquetWriter(tmp_path / "expected.parquet", ENCODED, compression="zstd") as writer:
        for first, stop in row_group_bounds(N_PAIRS):
            writer.write_table(table.slice(first, stop - first))
    assert file.read_bytes() == (tmp_path / "expected.parquet").read_bytes()


def test_an_empty_side_is_encoded_as_eos(tmp_path: Path, subwords: Subwords) -> None:
    rows = [
        {"pair_id": "a", "source": "", "target": "", "origin": "x:1"},
        {"pair_id": "longer id", "source": "the cat", "target": "", "origin": "x:2"},
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=PAIRS), tmp_path / "pairs.parquet")
    table = read(encoded(tmp_path, "test", [tmp_path / "pairs.parquet"], subwords))
    assert table["pair_id"].to_pylist() == ["a", "longer id"]
    assert table["target_ids"].to_pylist() == [[EOS_ID], [EOS_ID]]
    assert table["n_target_tokens"].to_pylist() == [1, 1]


def test_the_result_of_a_task_counts_its_rows_tokens_and_pieces(
    tmp_path: Path, pairs: pa.Table, pairs_files: list[Path], subwords: Subwords
) -> None:
    (tmp_path / "subwords.model").write_bytes(subwords.to_bytes())
    model = tmp_path / "subwords.model"
    (task,) = encoding_tasks(job_of(tmp_path), "train", described(pairs_files), model)
    result = encode_file(task)
    counts = PieceCounts(subwords.vocab_size)
    counts.add_json(result["counts"])
    assert result["n_encoded"] == N_PAIRS
    for side in ("source", "target"):
        ids = subwords.encode(pairs[side].to_pylist())
        assert result[f"n_{side}_tokens"] == sum(map(len, ids)) + N_PAIRS
        assert counts.sides[side].statistics().n_pieces == sum(map(len, ids))
        assert counts.sides[side].n_texts == N_PAIRS


def test_another_model_at_the_same_path_is_used(
    tmp_path: Path, pairs: pa.Table, pairs_files: list[Path], subwords: Subwords
) -> None:
    other = train_subwords(pairs_files, SubwordsConfig(vocab_size=100, algorithm="bpe"), seed=1)
    for model in (subwords, other):
        table = read(encoded(tmp_path / "dataset", "test", pairs_files, model))
        expected = [[*ids, EOS_ID] for ids in model.encode(pairs["source"].to_pylist())]
        assert table["source_ids"].to_pylist() == expected


def test_a_task_reads_only_the_pairs_files_that_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "_MAX_ROWS_PER_GROUP", 10)
    monkeypatch.setattr(encoding, "_GROUPS_PER_FILE", DATA_SHARD_MULTIPLE)
    files = [PairsFile(name, n, n) for name, n in (("a", 70), ("b", 10), ("c", 80), ("d", 43))]
    tasks = encoding_tasks(job_of(tmp_path), "train", files, tmp_path / "subwords.model")
    assert [(task.groups[0][0], task.groups[-1][1]) for task in tasks] == [
        (0, 67),
        (67, 135),
        (135, 203),
    ]
    assert [[(file.name, start) for file, _, start in task.pairs_files] for task in tasks] == [
        [("a", 0)],
        [("a", 0), ("b", 70), ("c", 80)],
        [("c", 80), ("d", 160)],
    ]
