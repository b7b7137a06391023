"""Batches: each row once in an epoch, the same steps for any number of workers, little padding."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError
from lingo_model.special_ids import EOS_ID, PAD_ID, SOS_ID
from pipeline.dataset.dataset import open_dataset
from pipeline.train.batches import BatchPlan, ShardReader, Step, check_data_shards, make_batch


def plan(dataset: Path, *, reverse: bool = False, **changed: int) -> BatchPlan:
    settings = {"n_data_shards": 4, "target_tokens_per_step": 400, "seed": 1} | changed
    return BatchPlan(open_dataset(dataset, reverse=reverse), **settings)


def one_epoch(batches: BatchPlan) -> list[Step]:
    return list(itertools.islice(batches.steps(), batches.n_steps(1)))


@pytest.mark.parametrize("n_data_shards", [1, 2, 4, 8])
def test_an_epoch_has_every_row_exactly_once(dataset: Path, n_data_shards: int) -> None:
    steps = one_epoch(plan(dataset, n_data_shards=n_data_shards))

    seen = Counter(
        (group.path, group.index, int(row))
        for step in steps
        for group, rows in step.data_shards
        for row in rows
    )

    assert set(seen.values()) == {1}
    assert seen.total() == open_dataset(dataset).manifest.splits["train"].n_pairs
    assert {step.epoch for step in steps} == {0}
    assert [step.number for step in steps] == list(range(len(steps)))


def test_the_second_epoch_has_another_order(dataset: Path) -> None:
    batches = plan(dataset)
    n_first = batches.n_steps(1)
    steps = list(itertools.islice(batches.steps(), batches.n_steps(2)))

    assert [s.epoch for s in steps] == [0] * n_first + [1] * (len(steps) - n_first)
    first, second = steps[0], steps[n_first]
    assert not all(
        a[0].index == b[0].index and np.array_equal(a[1], b[1])
        for a, b in zip(first.data_shards, second.data_shards, strict=True)
    )


def test_a_row_group_belongs_to_one_data_shard(dataset: Path) -> None:
    owners: dict[tuple[Path, int], set[int]] = {}
    for step in one_epoch(plan(dataset)):
        for shard, (group, _) in enumerate(step.data_shards):
            owners.setdefault((group.path, group.index), set()).add(shard)

    assert all(len(shards) == 1 for shards in owners.values())


@pytest.mark.parametrize("reverse", [False, True])
def test_a_step_counts_the_tokens_of_its_batches_and_is_near_the_target(
    dataset: Path, reverse: bool
) -> None:
    reader = ShardReader()
    for step in one_epoch(plan(dataset, reverse=reverse)):
        batches = [reader.batch(step, shard) for shard in range(4)]
        counted = sum(int((batch.target_out != PAD_ID).sum()) for batch in batches)

        assert counted == step.n_target_tokens
        assert 200 <= step.n_target_tokens <= 500  # the target is 400


def test_a_reversed_dataset_gives_the_targets_as_sources(dataset: Path) -> None:
    def sides(*, reverse: bool) -> list[set[tuple[int, ...]]]:
        reader = ShardReader()
        sources, targets = set(), set()
        for step in one_epoch(plan(dataset, reverse=reverse)):
            for shard in range(4):
                batch = reader.batch(step, shard)
                sources |= {tuple(row[row != PAD_ID].tolist()) for row in batch.source}
                targets |= {tuple(row[row != PAD_ID].tolist()) for row in batch.target_out}
        return [sources, targets]

    forward = sides(reverse=False)
    assert forward[0] != forward[1]
    assert sides(reverse=True) == forward[::-1]


def test_padding_of_targets_is_at_most_a_tenth(dataset: Path) -> None:
    reader = ShardReader()
    cells = tokens = 0
    for step in one_epoch(plan(dataset)):
        for shard in range(4):
            target = reader.batch(step, shard).target_out
            cells += target.numel()
            tokens += int((target != PAD_ID).sum())

    assert (cells - tokens) / cells <= 0.10


def test_steps_from_a_later_step_are_those_of_an_uninterrupted_run(dataset: Path) -> None:
    batches = plan(dataset)
    n_steps = batches.n_steps(2)
    whole = list(itertools.islice(batches.steps(), n_steps))
    first = n_steps // 2 + 1

    resumed = list(itertools.islice(plan(dataset).steps(first=first), n_steps - first))

    assert [s.number for s in resumed] == list(range(first, n_steps))
    for a, b in zip(whole[first:], resumed, strict=True):
        assert (a.epoch, a.n_target_tokens) == (b.epoch, b.n_target_tokens)
        for (group_a, rows_a), (group_b, rows_b) in zip(a.data_shards, b.data_shards, strict=True):
            assert (group_a.path, group_a.index) == (group_b.path, group_b.index)
            assert np.array_equal(rows_a, rows_b)


def test_a_batch_has_the_rows_of_its_row_group(dataset: Path) -> None:
    step = next(plan(dataset).steps())
    group, rows = step.data_shards[2]
    batch = ShardReader().batch(step, 2)
    table = open_dataset(dataset).encoded("train")
    metadata = pq.read_metadata(group.path)
    n_before = sum(metadata.row_group(i).num_rows for i in range(group.index))

    for i, row in enumerate(rows):
        ids = table["target_ids"][n_before + int(row)].as_py()
        assert batch.target_out[i].tolist()[: len(ids)] == ids
        assert set(batch.target_out[i].tolist()[len(ids) :]) <= {PAD_ID}


def test_make_batch_by_hand() -> None:
    batch = make_batch(
        [np.array([5, 6, EOS_ID]), np.array([7, EOS_ID])],
        [np.array([8, EOS_ID]), np.array([9, 10, EOS_ID])],
    )

    assert batch.source.tolist() == [[5, 6, 3], [7, 3, 0]]
    assert batch.target_out.tolist() == [[8, 3, 0], [9, 10, 3]]
    assert batch.target_in.tolist() == [[SOS_ID, 8, 3], [SOS_ID, 9, 10]]


def test_a_number_of_data_shards_that_does_not_divide_the_row_groups_is_refused(
    dataset: Path,
) -> None:
    n_row_groups = sum(
        pq.read_metadata(file).num_row_groups
        for file in open_dataset(dataset).encoded_files("train")
    )
    message = (
        f"{dataset}: the training split has 600 pairs in {n_row_groups} row groups, which cannot "
        "be divided among n_data_shards=3; set n_data_shards to 1, 2, 4 or 8, and give at least 8 "
        "training pairs"
    )
    for check in (
        lambda: plan(dataset, n_data_shards=3),
        lambda: check_data_shards(open_dataset(dataset), 3),
    ):
        with pytest.raises(InputError) as error:
            check()
        assert str(error.value) == message
    check_data_shards(open_dataset(dataset), 4)
