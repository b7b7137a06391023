"""The private names of Ray that this project uses. After an upgrade, a failure names the change."""

from __future__ import annotations

import inspect

import ray
from ray._private import auto_init_hook, ray_constants
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.torch import config as torch_config

from pipeline.train.ray_trainer import PLACEMENT_GROUP_CLEANER, PrivateRayTrainer


def test_ray_can_be_kept_from_starting_by_itself() -> None:
    assert auto_init_hook.enable_auto_connect in (True, False)
    assert "enable_auto_connect" in inspect.getsource(auto_init_hook.auto_init_ray)


def test_a_local_ray_can_be_kept_on_loopback() -> None:
    assert isinstance(ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, str)
    assert ray_constants.ENABLE_RAY_CLUSTER in (True, False)
    assert "_node_ip_address" in inspect.getsource(ray.init)


def test_the_torch_backend_can_be_replaced() -> None:
    backend = torch_config._TorchBackend
    assert TorchConfig().backend_cls is backend
    assert list(inspect.signature(backend.on_start).parameters) == [
        "self",
        "worker_group",
        "backend_config",
    ]


def test_the_placement_group_cleaner_is_a_default_callback_that_can_be_left_out() -> None:
    def names(trainer: type[TorchTrainer]) -> list[str]:
        callbacks = trainer(lambda: None)._create_default_callbacks()
        return [type(callback).__name__ for callback in callbacks]

    with_cleaner = names(TorchTrainer)
    assert PLACEMENT_GROUP_CLEANER in with_cleaner
    assert names(PrivateRayTrainer) == [n for n in with_cleaner if n != PLACEMENT_GROUP_CLEANER]
