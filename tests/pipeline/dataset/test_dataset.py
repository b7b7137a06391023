"""Opening a dataset and reading its files."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError, Subwords
from pipeline.dataset.dataset import Dataset, open_dataset
from pipeline.dataset.manifest import SplitCounts
from pipeline.dataset.splits import SPLITS
from pipeline.schemas import ENCODED, PAIRS


def with_training_files(dataset: Path, path: Path, *names: str) -> Dataset:
    """A dataset in another folder, whose training split has the given ENCODED files."""
    manifest = open_dataset(dataset).manifest
    counts = manifest.splits["train"].model_dump() | {"encoded_files": names}
    splits = manifest.splits | {"train": SplitCounts.model_validate(counts)}
    return Dataset(path, manifest.model_copy(update={"splits": splits}))


@pytest.mark.parametrize("reverse", [False, True])
def test_pairs_encoded_rows_and_subwords_fit_together(dataset: Path, reverse: bool) -> None:
    opened = open_dataset(dataset, reverse=reverse)
    subwords = opened.subwords()
    for split in SPLITS:
        counts = opened.manifest.splits[split]
        pairs, encoded = opened.pairs(split), opened.encoded(split)
        assert pairs.schema.equals(pa.schema([PAIRS.field(i) for i in range(3)]))
        assert encoded.schema.equals(ENCODED)
        assert encoded.num_rows == pairs.num_rows == counts.n_pairs > 0
        assert sorted(encoded["pair_id"].to_pylist()) == sorted(pairs["pair_id"].to_pylist())
        for side in ("source", "target"):
            n_tokens = sum(len(ids) + 1 for ids in subwords.encode(pairs[side].to_pylist()))
            assert n_tokens == pc.sum(encoded[f"n_{side}_tokens"]).as_py()
            assert n_tokens == getattr(counts, f"n_{side}_tokens")


def test_a_reversed_dataset_has_the_other_direction(dataset: Path) -> None:
    opened, reverse = open_dataset(dataset), open_dataset(dataset, reverse=True)
    assert (opened.manifest.source_lang, opened.manifest.target_lang) == ("en", "es")
    assert (reverse.manifest.source_lang, reverse.manifest.target_lang) == ("es", "en")
    assert reverse.manifest.fingerprint != opened.manifest.fingerprint
    for split in SPLITS:
        pairs, swapped = opened.pairs(split), reverse.pairs(split)
        assert swapped["source"].equals(pairs["target"])
        assert swapped["target"].equals(pairs["source"])
        assert swapped["pair_id"].equals(pairs["pair_id"])
        encoded, swapped = opened.encoded(split), reverse.encoded(split)
        assert swapped["source_ids"].equals(encoded["target_ids"])
        assert swapped["n_target_tokens"].equals(encoded["n_source_tokens"])


def test_row_groups_are_counted_over_all_files(dataset: Path, tmp_path: Path) -> None:
    opened = open_dataset(dataset)
    (file,) = opened.encoded_files("train")
    assert file == dataset / "encoded" / "split=train" / "part-00000.parquet"
    assert opened.n_row_groups("train") == pq.ParquetFile(file).num_row_groups == 8
    pq.write_table(opened.encoded("train"), tmp_path / "a.parquet", row_group_size=100)
    pq.write_table(opened.encoded("test"), tmp_path / "b.parquet")
    assert (
        with_training_files(dataset, tmp_path, "a.parquet", "b.parquet").n_row_groups("train") == 7
    )


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not a dataset .*make one with `lingo prepare`"):
        open_dataset(tmp_path)


def test_a_subword_model_of_another_dataset_is_refused(tmp_path: Path, dataset: Path) -> None:
    other = Subwords.train(["one two three", "uno dos tres"] * 9, vocab_size=32)
    (tmp_path / "subwords.model").write_bytes(other.to_bytes())
    with pytest.raises(InputError, match=r"subwords\.model: fingerprint .* prepare the dataset"):
        Dataset(tmp_path, open_dataset(dataset).manifest).subwords()


@pytest.mark.parametrize("name", ["missing.parquet", "damaged.parquet"])
def test_a_missing_or_damaged_file_is_refused_by_name(
    tmp_path: Path, dataset: Path, name: str
) -> None:
    (tmp_path / "damaged.parquet").write_bytes(b"no parquet")
    opened = with_training_files(dataset, tmp_path, name)
    for read in (opened.encoded, opened.n_row_groups):
        with pytest.raises(InputError) as error:
            read("train")
        assert str(error.value).startswith(f"{tmp_path / name}: named in the manifest but not")
        assert str(error.value).endswith("prepare the dataset again")


@pytest.mark.parametrize("columns", [["pair_id"], ENCODED.names])
def test_a_file_of_another_schema_is_refused(
    tmp_path: Path, dataset: Path, columns: list[str]
) -> None:
    pq.write_table(pa.table({name: ["a"] for name in columns}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match=r"x\.parquet: .*prepare the dataset again"):
        with_training_files(dataset, tmp_path, "x.parquet").encoded("train")


def test_a_split_without_files_is_an_empty_table(tmp_path: Path, dataset: Path) -> None:
    opened = with_training_files(dataset, tmp_path)
    assert opened.encoded("train").equals(ENCODED.empty_table())
    assert opened.n_row_groups("train") == 0
