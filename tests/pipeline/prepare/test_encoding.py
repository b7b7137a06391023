"""Encoding: ids that end with eos, row groups of equal size, shuffled training rows."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError, Subwords
from lingo_model.subwords import EOS_ID, UNK_ID
from pipeline.dataset.manifest import DatasetManifest, SplitCounts, load_dataset, load_subwords
from pipeline.dataset.splits import Split
from pipeline.dataset.tables import read_encoded, read_pairs
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.observability.progress import progress_bar
from pipeline.prepare import encoding as encode
from pipeline.prepare.encoding import (
    DATA_SHARD_MULTIPLE,
    SubwordsConfig,
    encode_split,
    row_group_bounds,
    train_subwords,
)
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
    """The same in two files."""
    folder = tmp_path_factory.mktemp("pairs")
    files = [folder / "part-00000.parquet", folder / "part-00001.parquet"]
    pq.write_table(pairs.slice(0, N_IN_FIRST_FILE), files[0])
    pq.write_table(pairs.slice(N_IN_FIRST_FILE), files[1])
    return files


@pytest.fixture(scope="module")
def subwords(pairs_files: list[Path]) -> Subwords:
    """A subword model of both sides."""
    return train_subwords(pairs_files, SubwordsConfig(vocab_size=200), seed=1)


def encoded(
    root: Path, split: Split, pairs_files: list[Path], subwords: Subwords, *, seed: int = 1
) -> list[Path]:
    """Encode without a progress bar."""
    with progress_bar("encode", None) as bar:
        return encode_split(root, split, pairs_files, subwords, seed=seed, bar=bar)


def read(files: list[Path]) -> pa.Table:
    """All rows of some files, in order."""
    return pa.concat_tables(pq.ParquetFile(file).read() for file in files)


MANY_SIZES = [*range(300), 8191, 8192, 8193, 65_535, 65_536, 65_537, 131_073, 1_000_003, 7_654_321]


def test_row_groups_are_a_multiple_of_the_lanes_and_of_equal_size() -> None:
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


def test_subwords_learn_both_sides(pairs: pa.Table, subwords: Subwords) -> None:
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
def test_ids_are_the_subwords_and_eos_and_counts_include_it(
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
    found = read(encoded(tmp_path, split, pairs_files, subwords))
    assert found["pair_id"].to_pylist() == pairs["pair_id"].to_pylist()


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


def test_the_files_are_the_bounds(
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
    monkeypatch.setattr(encode, "_MAX_ROWS_PER_GROUP", 10)
    monkeypatch.setattr(encode, "_GROUPS_PER_FILE", DATA_SHARD_MULTIPLE)
    files = encoded(tmp_path / "parts", "train", pairs_files, subwords)
    assert [file.name for file in files] == [f"part-{i:05d}.parquet" for i in range(3)]
    assert [pq.ParquetFile(file).num_row_groups for file in files] == [DATA_SHARD_MULTIPLE] * 3
    assert read(files).equals(read([whole]))  # rows and their order do not depend on the cutting


def test_a_split_without_pairs_has_no_file(
    tmp_path: Path, pairs: pa.Table, subwords: Subwords
) -> None:
    pq.write_table(pairs.slice(0, 0), tmp_path / "none.parquet")
    assert encoded(tmp_path, "valid", [tmp_path / "none.parquet"], subwords) == []


# What `prepare` wrote, through the functions that `train` and `evaluate` read it with.


def test_the_dataset_is_read_back(dataset: Path) -> None:
    manifest = load_dataset(dataset)
    subwords = load_subwords(dataset, manifest)
    for split in ("train", "valid", "test"):
        pairs = read_pairs(dataset, manifest, split)
        found = read_encoded(dataset, manifest, split)
        assert found.schema.equals(ENCODED)
        assert pairs.schema.equals(pa.schema([PAIRS.field(i) for i in range(3)]))
        assert found.num_rows == pairs.num_rows == manifest.splits[split].n_pairs > 0
        assert sorted(found["pair_id"].to_pylist()) == sorted(pairs["pair_id"].to_pylist())
        for side in ("source", "target"):
            tokens = sum(len(ids) + 1 for ids in subwords.encode(pairs[side].to_pylist()))
            assert tokens == pc.sum(found[f"n_{side}_tokens"]).as_py()
            assert tokens == getattr(manifest.splits[split], f"n_{side}_tokens")


def test_a_subword_model_from_elsewhere_is_refused(
    tmp_path: Path, dataset: Path, subwords: Subwords
) -> None:
    (tmp_path / "subwords.model").write_bytes(subwords.to_bytes())
    with pytest.raises(InputError, match=r"subwords\.model: fingerprint .* prepare the dataset"):
        load_subwords(tmp_path, load_dataset(dataset))


def changed_files(manifest: DatasetManifest, *names: str) -> DatasetManifest:
    """The manifest with other encoded files of training."""
    counts = manifest.splits["train"].model_dump() | {"encoded_files": names}
    splits = manifest.splits | {"train": SplitCounts.model_validate(counts)}
    return manifest.model_copy(update={"splits": splits})


def test_a_file_that_is_gone_or_damaged_is_named(tmp_path: Path, dataset: Path) -> None:
    (tmp_path / "damaged.parquet").write_bytes(b"no parquet")
    for name in ("gone.parquet", "damaged.parquet"):
        manifest = changed_files(load_dataset(dataset), name)
        with pytest.raises(InputError) as error:
            read_encoded(tmp_path, manifest, "train")
        assert str(error.value).startswith(f"{tmp_path / name}: named in the manifest but not")
        assert "prepare the dataset again" in str(error.value)


def test_a_file_of_another_schema_is_refused(tmp_path: Path, dataset: Path) -> None:
    for columns in (["pair_id"], ENCODED.names):
        pq.write_table(pa.table({name: ["a"] for name in columns}), tmp_path / "x.parquet")
        with pytest.raises(InputError, match=r"x\.parquet: .*prepare the dataset again"):
            read_encoded(tmp_path, changed_files(load_dataset(dataset), "x.parquet"), "train")


def test_no_files_give_an_empty_table(tmp_path: Path, dataset: Path) -> None:
    table = read_encoded(tmp_path, changed_files(load_dataset(dataset)), "train")
    assert table.num_rows == 0
    assert table.schema.equals(ENCODED)
