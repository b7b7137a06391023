"""The number of training workers, and the CPUs and GPUs of each."""

from __future__ import annotations

from typing import Any

import pytest

from lingo_model import InputError
from pipeline.train.ray_trainer import scaling_for
from pipeline.train.recipe import TrainConfig, TrainResources

CONFIG = TrainConfig(n_data_shards=8)


def node(cpus: float, gpus: float = 0) -> dict[str, Any]:
    return {"Alive": True, "Resources": {"CPU": cpus} | ({"GPU": gpus} if gpus else {})}


DEAD = {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}


@pytest.mark.parametrize(
    ("nodes", "n_workers", "expected"),
    [
        ([node(2)], None, (2, 1)),
        ([node(2), DEAD], 1, (1, 2)),
        ([node(2)], 4, (4, 0.5)),
        ([node(6)], None, (4, 1)),  # 8 data shards are not divisible by 6
        ([node(1), node(3)], 2, (2, 1)),  # the nodes have room for one worker with 2 CPUs
        ([node(2), node(2), node(8)], 3, (3, 2)),
        ([node(32), node(8, gpus=4)], None, (4, 2)),  # the CPUs of the first node have no GPU
        ([node(4, gpus=1), node(16, gpus=4)], 5, (5, 4)),
        ([node(0), node(4)], None, (4, 1)),
    ],
)
def test_workers_share_the_cpus_and_gpus_of_the_nodes(
    monkeypatch: pytest.MonkeyPatch,
    nodes: list[dict[str, Any]],
    n_workers: int | None,
    expected: tuple[int, float],
) -> None:
    monkeypatch.setattr("pipeline.train.ray_trainer.ray.nodes", lambda: nodes)

    scaling = scaling_for(CONFIG, TrainResources(n_workers=n_workers))

    assert (scaling.num_workers, scaling.resources_per_worker["CPU"]) == expected
    assert scaling.use_gpu == ("GPU" in scaling.resources_per_worker)


@pytest.mark.parametrize(
    ("nodes", "n_workers", "message"),
    [
        ([node(2)], 5, r"n_workers=5: the cluster has 2 CPUs and 0 GPUs, room for 4 workers"),
        ([node(8), node(1, gpus=4)], 3, r"n_workers=3: .*9 CPUs and 4 GPUs, room for 2 workers"),
        ([node(0)], None, r"n_workers=0: the cluster has 0 CPUs and 0 GPUs, room for 0 workers"),
    ],
)
def test_more_workers_than_the_cluster_has_room_for_are_refused(
    monkeypatch: pytest.MonkeyPatch,
    nodes: list[dict[str, Any]],
    n_workers: int | None,
    message: str,
) -> None:
    monkeypatch.setattr("pipeline.train.ray_trainer.ray.nodes", lambda: nodes)

    with pytest.raises(InputError, match=message):
        scaling_for(CONFIG, TrainResources(n_workers=n_workers))


@pytest.mark.parametrize(("n_free", "expected"), [(8, 2), (7, 1), (4, 1), (3, 0.5), (0, 0.5)])
def test_on_a_cluster_workers_take_free_cpus_only(
    monkeypatch: pytest.MonkeyPatch, n_free: float, expected: float
) -> None:
    monkeypatch.setattr("pipeline.train.ray_trainer.ray.nodes", lambda: [node(8)])
    monkeypatch.setattr(
        "pipeline.train.ray_trainer.ray.available_resources",
        lambda: {"CPU": n_free} if n_free else {},
    )

    scaling = scaling_for(CONFIG, TrainResources(n_workers=4, ray_address="10.0.0.1:6379"))

    assert (scaling.num_workers, scaling.resources_per_worker) == (4, {"CPU": expected})
