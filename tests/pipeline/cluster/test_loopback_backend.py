"""The process group of training workers on one machine."""

from __future__ import annotations

import pytest

from pipeline.cluster.loopback_backend import is_on_loopback


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [(["127.0.0.1"], True), (["10.0.0.1"], False), (["127.0.0.1", "10.0.0.2"], False)],
)
def test_a_ray_is_on_loopback_if_all_its_nodes_are(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str], expected: bool
) -> None:
    dead = {"Alive": False, "NodeManagerAddress": "10.0.0.9"}
    nodes = [{"Alive": True, "NodeManagerAddress": address} for address in addresses]
    monkeypatch.setattr("pipeline.cluster.loopback_backend.ray.nodes", lambda: [dead, *nodes])

    assert is_on_loopback() is expected
