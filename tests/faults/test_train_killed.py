"""A training run whose processes are killed ends with the same weights as an undisturbed run."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from lingo_model import load_bundle
from pipeline.train.export import HISTORY

pytestmark = pytest.mark.ray

N_WORKERS = 2
DRIVER = """
import sys
from pathlib import Path
from pipeline.train.recipe import TrainResources, TrainConfig
from pipeline.train.stage import train_model

train_model(
    Path(sys.argv[1]), Path(sys.argv[2]),
    TrainConfig(
        emb_dim=32, hidden_dim=64, attention=True, bidirectional=True, n_data_shards=2,
        target_tokens_per_step=200, max_epochs=3, eval_every_steps=20, max_valid_sentences=10,
        dropout=0.3, word_dropout=0.1, ema_decay=0.99, precision="bfloat16",
    ),
    TrainResources(n_workers=int(sys.argv[3]), ray_address="local"),
)
"""


def driver(
    dataset: Path, model: Path, *, n_workers: int = N_WORKERS, stderr: int | None = None
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", DRIVER, str(dataset), str(model), str(n_workers)]
    return subprocess.Popen(command, stderr=stderr)


def result_of(model: Path) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    return pq.read_table(model / HISTORY).to_pylist(), load_bundle(model).model.state_dict()


@pytest.fixture(scope="module")
def undisturbed(
    dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[list[dict[str, Any]], dict[str, torch.Tensor]]:
    model = tmp_path_factory.mktemp("undisturbed") / "model"
    assert driver(dataset, model).wait(timeout=200) == 0
    return result_of(model)


def wait_for_checkpoint(process: subprocess.Popen[bytes], model: Path) -> None:
    deadline = time.monotonic() + 120
    while not list((model.parent / "_runs").glob("model/checkpoints/step-*.pt")):
        assert process.poll() is None, "the run ended before it was disturbed"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def listening(pids: set[int]) -> dict[str, int]:
    """Number of listening TCP sockets of these processes, by local address as in /proc."""
    inodes = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            links = [str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()]
            inodes |= {link[8:-1] for link in links if link.startswith("socket:[")}
    counts: dict[str, int] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == "0A" and rest[5] in inodes:
                address = local.partition(":")[0]
                counts[address] = counts.get(address, 0) + 1
    return counts


def test_a_training_run_listens_on_loopback_only(
    dataset: Path, tmp_path: Path, descendants: Callable[[int], dict[int, str]]
) -> None:
    model = tmp_path / "model"
    process = driver(dataset, model)
    wait_for_checkpoint(process, model)

    addresses = listening({process.pid, *descendants(process.pid)})

    assert process.wait(timeout=200) == 0
    assert set(addresses) <= {"0100007F", "0000000000000000FFFF00000100007F"}  # 127.0.0.1
    assert addresses["0100007F"] >= N_WORKERS  # gloo's


@pytest.mark.parametrize(
    "victim",
    ["driver", *(pytest.param(v, marks=pytest.mark.faults) for v in ("worker", "everything"))],
)
def test_a_killed_run_resumes_from_its_checkpoint_with_bit_identical_weights(
    dataset: Path,
    tmp_path: Path,
    undisturbed: tuple[list[dict[str, Any]], dict[str, torch.Tensor]],
    descendants: Callable[[int], dict[int, str]],
    victim: str,
) -> None:
    model = tmp_path / "model"
    process = driver(dataset, model)
    wait_for_checkpoint(process, model)
    children = descendants(process.pid)
    workers = [pid for pid, command in children.items() if "RayTrainWorker" in command]
    assert len(workers) == N_WORKERS

    for pid in {"worker": workers[:1], "driver": [process.pid]}.get(
        victim, [process.pid, *children]
    ):
        os.kill(pid, signal.SIGKILL)

    if victim != "worker":  # Ray Train replaces a worker by itself
        process.wait()
        assert not model.exists()
        process = driver(dataset, model)
    assert process.wait(timeout=200) == 0
    history, weights = result_of(model)
    expected_history, expected_weights = undisturbed
    assert [row["step"] for row in history] == list(range(1, len(expected_history) + 1))
    assert history == expected_history
    assert all(torch.equal(weights[name], expected_weights[name]) for name in expected_weights)


@pytest.mark.faults
def test_a_run_continues_with_another_number_of_workers(
    dataset: Path,
    tmp_path: Path,
    undisturbed: tuple[list[dict[str, Any]], dict[str, torch.Tensor]],
) -> None:
    model = tmp_path / "model"
    process = driver(dataset, model)
    wait_for_checkpoint(process, model)
    process.kill()
    process.wait()

    assert driver(dataset, model, n_workers=1).wait(timeout=200) == 0
    history, weights = result_of(model)
    expected_history, expected_weights = undisturbed
    assert [row["step"] for row in history] == [row["step"] for row in expected_history]
    losses, expected_losses = (
        [row["train_loss"] for row in rows] for rows in (history, expected_history)
    )
    assert losses == pytest.approx(expected_losses, rel=2e-3)  # sums in another order, in bfloat16
    for name, expected in expected_weights.items():
        torch.testing.assert_close(weights[name], expected, rtol=0, atol=0.02)


@pytest.fixture
def small_disk(mounted: Callable[[str], Path]) -> Path:
    """A file system with room for two checkpoints, but not for three."""
    return mounted("8500k")


@pytest.mark.faults
def test_a_full_disk_ends_the_run_and_names_the_last_good_checkpoint(
    dataset: Path, small_disk: Path
) -> None:
    model = small_disk / "model"
    process = driver(dataset, model, stderr=subprocess.PIPE)
    _, errors = process.communicate(timeout=250)

    assert process.returncode != 0
    message = errors.decode().strip().splitlines()[-1]
    assert "RunError" in message
    assert "No space left on device" in message
    kept = sorted((small_disk / "_runs" / "model" / "checkpoints").glob("step-*.pt"))
    assert kept
    assert str(kept[-1]) in message
    torch.load(kept[-1], weights_only=True)
    assert not model.exists()
