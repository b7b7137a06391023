"""Before any worker starts: what a cluster has room for, whose run it is, what is damaged."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from ray.train import WorkerGroupError

from lingo_model import InputError
from lingo_model.atomic_files import LOCK, locked
from pipeline.cluster.failures import _reason
from pipeline.cluster.loopback_backend import is_on_loopback
from pipeline.dataset.manifest import load_dataset, load_subwords
from pipeline.dataset.tables import read_encoded
from pipeline.errors import RunError
from pipeline.observability.progress import progress_bar
from pipeline.storage.files import write_json
from pipeline.train import train_loop
from pipeline.train.checkpoint import Checkpoint, RunState, load_checkpoint, save_checkpoint
from pipeline.train.export import derived_name
from pipeline.train.ray_trainer import _scaling
from pipeline.train.recipe import TrainConfig, TrainResources
from pipeline.train.stage import _ProgressWatcher, check_not_given_up, train_model
from pipeline.train.validation import Validation
from pipeline.train.worker import PROGRESS, TrainWorker, new_model
from pipeline.train.worker_context import WorkerContext

CONFIG = TrainConfig(
    emb_dim=8,
    hidden_dim=16,
    num_layers=1,
    n_data_shards=8,
    target_tokens_per_step=600,
    max_epochs=1,
)


OTHER_SUBWORDS = Path(__file__).parents[2] / "fixtures/bundle-v1/subwords.model"


def node(cpus: float, gpus: float = 0) -> dict[str, Any]:
    return {"Alive": True, "Resources": {"CPU": cpus} | ({"GPU": gpus} if gpus else {})}


DEAD = {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}


@pytest.mark.parametrize(
    ("nodes", "n_workers", "expected"),
    [
        ([node(2)], None, (2, 1)),
        ([node(2), DEAD], 1, (1, 2)),
        ([node(2)], 4, (4, 0.5)),
        ([node(6)], None, (4, 1)),  # 6 would not divide 8 lanes
        ([node(1), node(3)], 2, (2, 1)),  # 2 CPUs each would fit once
        ([node(2), node(2), node(8)], 3, (3, 2)),
        ([node(32), node(8, gpus=4)], None, (4, 2)),  # the head's CPUs are far from the GPUs
        ([node(4, gpus=1), node(16, gpus=4)], 5, (5, 4)),
        ([node(0), node(4)], None, (4, 1)),
    ],
)
def test_workers_are_given_what_one_node_has(
    monkeypatch: pytest.MonkeyPatch,
    nodes: list[dict[str, Any]],
    n_workers: int | None,
    expected: tuple[int, float],
) -> None:
    monkeypatch.setattr("pipeline.train.stage.ray.nodes", lambda: nodes)

    found = _scaling(CONFIG, TrainResources(n_workers=n_workers))

    assert (found.num_workers, found.resources_per_worker["CPU"]) == expected
    assert found.use_gpu == ("GPU" in found.resources_per_worker)


@pytest.mark.parametrize(
    ("nodes", "n_workers", "says"),
    [
        ([node(2)], 5, r"n_workers=5: the cluster has 2 CPUs and 0 GPUs, room for 4 workers"),
        ([node(8), node(1, gpus=4)], 3, r"n_workers=3: .*9 CPUs and 4 GPUs, room for 2 workers"),
        ([node(0)], None, r"n_workers=0: the cluster has 0 CPUs and 0 GPUs, room for 0 workers"),
    ],
)
def test_more_workers_than_there_is_room_for_are_refused(
    monkeypatch: pytest.MonkeyPatch, nodes: list[dict[str, Any]], n_workers: int | None, says: str
) -> None:
    monkeypatch.setattr("pipeline.train.stage.ray.nodes", lambda: nodes)

    with pytest.raises(InputError, match=says):
        _scaling(CONFIG, TrainResources(n_workers=n_workers))


@pytest.mark.parametrize(("n_free", "expected"), [(8, 2), (7, 1), (4, 1), (3, 0.5), (0, 0.5)])
def test_on_a_cluster_workers_are_given_what_others_leave(
    monkeypatch: pytest.MonkeyPatch, n_free: float, expected: float
) -> None:
    monkeypatch.setattr("pipeline.train.stage.ray.nodes", lambda: [node(8)])
    monkeypatch.setattr(
        "pipeline.train.stage.ray.available_resources", lambda: {"CPU": n_free} if n_free else {}
    )

    found = _scaling(CONFIG, TrainResources(n_workers=4, ray_address="10.0.0.1:6379"))

    assert (found.num_workers, found.resources_per_worker) == (4, {"CPU": expected})


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [(["127.0.0.1"], True), (["10.0.0.1"], False), (["127.0.0.1", "10.0.0.2"], False)],
)
def test_only_workers_of_one_machine_meet_on_loopback(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str], expected: bool
) -> None:
    gone = {"Alive": False, "NodeManagerAddress": "10.0.0.9"}
    nodes = [{"Alive": True, "NodeManagerAddress": address} for address in addresses]
    monkeypatch.setattr("pipeline.cluster.loopback_backend.ray.nodes", lambda: [gone, *nodes])

    assert is_on_loopback() is expected


def test_two_processes_do_not_train_one_model(dataset: Path, tmp_path: Path) -> None:
    training_dir = tmp_path / "_runs" / "model"
    training_dir.mkdir(parents=True)

    with locked(training_dir), pytest.raises(InputError, match="another process is using it"):
        train_model(dataset, tmp_path / "model", CONFIG)

    assert [file.name for file in training_dir.iterdir()] == [LOCK]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("subwords.model", None, "subwords.model: fingerprint .* but the manifest says"),
        ("encoded/split=train/part-00000.parquet", b"PAR1", "named in the manifest but not read"),
        ("encoded/split=valid/part-00000.parquet", b"PAR1", "named in the manifest but not read"),
        ("pairs/split=valid/part-00000.parquet", b"", "named in the manifest but not readable"),
    ],
)
def test_a_damaged_dataset_is_refused_before_any_work(
    dataset: Path,
    tmp_path: Path,
    name: str,
    content: bytes | None,
    says: str,
) -> None:
    copy = tmp_path / "dataset"
    shutil.copytree(dataset, copy)
    (copy / name).write_bytes(content if content is not None else OTHER_SUBWORDS.read_bytes())

    with pytest.raises(InputError, match=says):
        train_model(copy, tmp_path / "models" / "model", CONFIG)

    assert not (tmp_path / "models").exists()


def small_checkpoint(training_dir: Path, step: int) -> Path:
    weights = {"weight": torch.arange(600, dtype=torch.float32)}
    state = RunState(step=step)
    save_checkpoint(training_dir, Checkpoint(weights, {}, {"moments": weights}, weights, state))
    return training_dir / "checkpoints" / f"step-{step:08d}.pt"


def test_a_checkpoint_with_any_flipped_bit_is_named_or_unharmed(tmp_path: Path) -> None:
    file = small_checkpoint(tmp_path, 5)
    whole = file.read_bytes()
    weights = torch.arange(600, dtype=torch.float32)
    n_refused = 0
    for place in range(0, len(whole), 7):
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << place % 8
        file.write_bytes(spoilt)
        try:
            found = load_checkpoint(tmp_path)
        except InputError as error:
            assert "damaged checkpoint; remove it to start again" in str(error)
            n_refused += 1
        else:
            assert found is not None
            assert found.state == RunState(step=5)
            for part in (
                found.model["weight"],
                found.best["weight"],
                found.optimizer["moments"]["weight"],
            ):
                assert torch.equal(part, weights)
    assert n_refused > len(whole) / 7 / 2

    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="damaged checkpoint"):
        load_checkpoint(tmp_path)


@pytest.mark.ray
def test_a_run_that_was_refused_does_not_keep_the_name(
    running_ray: None, dataset: Path, tmp_path: Path
) -> None:
    output, too_many = tmp_path / "model", TrainResources(n_workers=8)
    for config in (CONFIG, CONFIG.model_copy(update={"seed": 2})):
        with pytest.raises(InputError, match="n_workers=8: the cluster has 2 CPUs"):
            train_model(dataset, output, config, too_many)

    training_dir = tmp_path / "_runs" / "model"
    assert json.loads((training_dir / "run.json").read_bytes())["recipe"]["seed"] == 2
    small_checkpoint(training_dir, 5)
    with pytest.raises(InputError, match="an unfinished run with another recipe"):
        train_model(dataset, output, CONFIG)


def test_a_damaged_description_of_a_run_is_named(dataset: Path, tmp_path: Path) -> None:
    training_dir = tmp_path / "_runs" / "model"
    small_checkpoint(training_dir, 5)
    (training_dir / "run.json").write_text('{"recipe": {')

    with pytest.raises(InputError, match=r"run\.json: not valid JSON; copy it again, or remove"):
        train_model(dataset, tmp_path / "model", CONFIG)


def test_watching_does_not_end_a_run(tmp_path: Path) -> None:
    seen: list[dict[str, Any]] = []
    with progress_bar("train", None) as bar:
        watcher = _ProgressWatcher(tmp_path, bar, seen.append)
        watcher()  # nothing there yet
        (tmp_path / PROGRESS).mkdir()  # cannot be read
        watcher()
        (tmp_path / PROGRESS).rmdir()
        progress = {"step": 3, "n_steps": 9, "valid_bleu": None, "train_loss": None}
        write_json(tmp_path / PROGRESS, progress | {"target_tokens_per_second": 1.0})
        watcher()
        watcher()  # the same

    assert [found["step"] for found in seen] == [3]


DEAD_WORKER = "The actor is dead because its worker process has died. Worker exit type: ERROR"
GONE = f"The actor died unexpectedly before finishing this task.\n\tpid: 9\n{DEAD_WORKER}"
UNREACHED = "RuntimeError: [gloo/transport/tcp/pair.cc:553] Connection closed by peer [127.0.0.1]:9"


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        ({0: UNREACHED, 1: GONE}, DEAD_WORKER),
        ({0: GONE, 1: UNREACHED}, DEAD_WORKER),
        ({0: UNREACHED}, UNREACHED),
        (
            {0: "Traceback:\n  File\ntorch.AcceleratorError: CUDA error\nCompile with it.\n"},
            "torch.AcceleratorError: CUDA error",
        ),
        ({0: "no name at all"}, "no name at all"),
    ],
)
def test_the_reason_of_a_failed_run_is_of_the_worker_that_failed_first(
    failures: dict[int, str], expected: str
) -> None:
    text = "".join(f"[Rank {rank} Error Snippet]:\n{text}\n" for rank, text in failures.items())
    errors = {rank: RuntimeError(text) for rank, text in failures.items()}

    assert _reason(WorkerGroupError(text, errors)) == expected


def test_workers_that_see_other_checkpoints_do_not_train_on(dataset: Path, tmp_path: Path) -> None:
    class SeesOthers(WorkerContext):
        def gathered(self, mine: dict[str, Any]) -> list[dict[str, Any]]:
            return [mine, {"step": 5}]

    place = SeesOthers(0, 1, torch.device("cpu"))
    with pytest.raises(RuntimeError, match=r"checkpoints of different steps, \[0, 5\]"):
        TrainWorker(dataset, tmp_path, CONFIG, place)


def test_validation_takes_sentences_of_any_length(dataset: Path) -> None:
    manifest = load_dataset(dataset)
    subwords = load_subwords(dataset, manifest)
    place = WorkerContext(0, 1, torch.device("cpu"))
    model = new_model(subwords, CONFIG).eval()
    encoded = read_encoded(dataset, manifest, "valid").slice(0, 1)
    long = encoded.set_column(
        encoded.schema.get_field_index("source_ids"),
        encoded.schema.field("source_ids"),
        pa.array([[5] * 5000], encoded.schema.field("source_ids").type),
    )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.train.validation.read_encoded", lambda *_: long)
        validation = Validation(dataset, manifest, subwords, place, max_sentences=1)
    loss, bleu = validation.measure(model)

    assert math.isfinite(loss)
    assert 0.0 <= bleu <= 100.0


def test_the_last_words_find_room_on_a_full_disk(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_if_there_is_room(path: Path, value: object) -> None:
        if (tmp_path / PROGRESS).exists():
            raise OSError(28, "No space left on device")
        write_json(path, value)

    def spoilt(*_: object) -> tuple[float, float]:
        write_json(tmp_path / PROGRESS, {})
        return math.nan, math.nan

    monkeypatch.setattr(train_loop, "write_json", write_if_there_is_room)
    monkeypatch.setattr(TrainWorker, "_step", spoilt)
    place = WorkerContext(0, 1, torch.device("cpu"))
    TrainWorker(dataset, tmp_path, CONFIG, place).train()

    with pytest.raises(RunError, match="gradients were not finite at step 1 ") as error:
        check_not_given_up(tmp_path)
    assert not error.value.retryable


def test_a_derived_name_is_kept_over_midnight(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.train.stage.utc_now", lambda: "2026-11-22T23:59:00Z")
    begun = derived_name(dataset, CONFIG, tmp_path)
    small_checkpoint(tmp_path / "_runs" / begun, 5)
    monkeypatch.setattr("pipeline.train.stage.utc_now", lambda: "2026-11-23T00:10:00Z")

    assert begun.endswith("-2026-11-22")
    assert derived_name(dataset, CONFIG, tmp_path) == begun
    other = CONFIG.model_copy(update={"seed": 2})
    assert derived_name(dataset, other, tmp_path).endswith("-2026-11-23")
    (tmp_path / begun).mkdir()  # finished
    assert derived_name(dataset, CONFIG, tmp_path).endswith("-2026-11-23")
