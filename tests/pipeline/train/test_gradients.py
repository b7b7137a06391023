"""One worker equals two and four: the same gradients, weights and losses, in float64, with dropout
on; through shared memory and through DistributedDataParallel."""

from __future__ import annotations

import dataclasses
import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Literal, cast, get_args

import pytest
import torch
import torch.distributed as dist

from pipeline.dataset.manifest import load_dataset, load_subwords
from pipeline.train.batches import BatchPlan, ShardReader, Step
from pipeline.train.new_update import new_update
from pipeline.train.recipe import TrainConfig
from pipeline.train.shared_update import SharedMemoryUpdate
from pipeline.train.weight_updates import DDPUpdate
from pipeline.train.worker import accumulate_gradients, new_model
from pipeline.train.worker_context import WorkerContext

N_STEPS = 3
Fault = Literal["none", "sockets", "local divisor", "dropped lane", "doubled lane"]

CONFIG = TrainConfig(
    emb_dim=8,
    hidden_dim=16,
    num_layers=2,
    dropout=0.4,
    embedding_dropout=0.2,
    output_dropout=0.2,
    word_dropout=0.2,
    attention=True,
    bidirectional=True,
    n_data_shards=4,
    target_tokens_per_step=300,
    label_smoothing=0.1,
    clip_norm=0.2,
    ema_decay=0.9,
)


def work(rank: int, n_workers: int, dataset: Path, results: Path, fault: Fault) -> None:
    """Some steps of training: losses, norms, and what they left behind."""
    torch.set_num_threads(1)
    place = WorkerContext(rank, n_workers, torch.device("cpu"))
    if n_workers > 1:
        dist.init_process_group(
            "gloo", init_method=f"file://{results}/rendezvous", rank=rank, world_size=n_workers
        )
    manifest = load_dataset(dataset)
    plan = BatchPlan(
        dataset,
        manifest,
        n_data_shards=CONFIG.n_data_shards,
        target_tokens_per_step=CONFIG.target_tokens_per_step,
        seed=CONFIG.seed,
    )
    model = new_model(load_subwords(dataset, manifest), CONFIG).double().train()
    if fault == "sockets":  # no fault: how workers on several machines do it
        update: DDPUpdate | SharedMemoryUpdate = DDPUpdate(model, CONFIG, place)
    else:
        update = new_update(model, CONFIG, place)
        assert isinstance(update, SharedMemoryUpdate if n_workers > 1 else DDPUpdate)
    reader = ShardReader()
    losses, norms = [], []
    for step in itertools.islice(plan.steps(), N_STEPS):
        mine = accumulate_gradients(update.loss, planted(step, place, fault), reader, place, CONFIG)
        losses.append(sum(share["loss"] for share in place.gathered({"loss": mine})))
        norms.append(update.step(0.01, step.number))
    assert update.average is not None
    left = [*model.parameters(), *update.average.parameters()]
    assert all(torch.isfinite(weights).all() for weights in left)
    same = [torch.cat([w.detach().flatten() for w in left]).sum().item()]
    assert place.gathered({"sum": same}) == [{"sum": same}] * n_workers  # bit for bit
    if rank == 0:
        moments = update.state()["exp_avg"]  # with clipping and decay, a sum of the gradients
        found = {
            "gradients": torch.cat(
                [moments[name].flatten() for name, _ in model.named_parameters()]
            ),
            "weights": torch.cat([w.detach().flatten() for w in left]),
            "losses": losses,
            "norms": norms,
        }
        torch.save(found, results / "found.pt")
    if n_workers > 1:
        dist.barrier()
        dist.destroy_process_group()


def planted(step: Step, place: WorkerContext, fault: Fault) -> Step:
    """The step with one mistake that a distributed trainer can make."""
    if fault == "local divisor":  # each worker divides by its own tokens, then DDP averages
        mine = step.lanes[place.rank :: place.n_workers]
        own = sum(int(group.lengths()[1][rows].sum()) for group, rows in mine)
        return dataclasses.replace(step, n_target_tokens=own * place.n_workers)
    if fault == "dropped lane":
        group, rows = step.lanes[1]
        return dataclasses.replace(step, lanes=(step.lanes[0], (group, rows[:1]), *step.lanes[2:]))
    if fault == "doubled lane":
        return dataclasses.replace(step, lanes=(step.lanes[1], *step.lanes[1:]))
    return step


Found = dict[str, Any]


def run(dataset: Path, folder: Path, n_workers: int, fault: Fault = "none") -> Found:
    results = folder / f"{n_workers} {fault}"
    results.mkdir()
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(n_workers), dataset, results, fault]
        )
        for rank in range(n_workers)
    ]
    assert [worker.wait(timeout=120) for worker in workers] == [0] * n_workers
    found: Found = torch.load(results / "found.pt", weights_only=True)
    return found


@pytest.fixture(scope="module")
def reference(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Found:
    return run(dataset, tmp_path_factory.mktemp("one"), n_workers=1)


@pytest.mark.parametrize(("n_workers", "way"), [(2, "none"), (4, "none"), (2, "sockets")])
def test_more_workers_give_the_gradients_weights_and_losses_of_one(
    dataset: Path, tmp_path: Path, reference: Found, n_workers: int, way: Fault
) -> None:
    found = run(dataset, tmp_path, n_workers, way)

    assert float(reference["gradients"].norm()) > 0.01
    assert min(reference["norms"]) < CONFIG.clip_norm < max(reference["norms"])
    for name in ("gradients", "weights"):
        torch.testing.assert_close(found[name], reference[name], rtol=1e-9, atol=1e-12)
    for name in ("losses", "norms"):
        assert found[name] == pytest.approx(reference[name], rel=1e-11)


@pytest.mark.parametrize("fault", ["local divisor", "dropped lane", "doubled lane"])
def test_a_planted_mistake_is_seen(
    dataset: Path, tmp_path: Path, reference: Found, fault: Fault
) -> None:
    found = run(dataset, tmp_path, 2, fault)

    for name in ("gradients", "weights"):
        difference = float((found[name] - reference[name]).norm() / reference[name].norm())
        assert difference > 1e-3  # the tolerance above is a million times smaller


if __name__ == "__main__":  # one worker, started by `run`
    rank, n_workers, dataset, results, fault = sys.argv[1:]
    assert fault in get_args(Fault)
    work(int(rank), int(n_workers), Path(dataset), Path(results), cast("Fault", fault))
    # Not through the interpreter's end: gloo's threads sometimes abort the process there.
    os._exit(0)
