"""Two and four workers compute the same gradients, weights and losses as one.

In float64, with dropout, through shared memory and through DistributedDataParallel.
"""

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

from pipeline.dataset.dataset import open_dataset
from pipeline.train.batches import BatchPlan, ShardReader, Step
from pipeline.train.gradients import accumulate_gradients, dropout_seed
from pipeline.train.new_update import new_update
from pipeline.train.recipe import TrainConfig
from pipeline.train.shared_memory_update import SharedMemoryUpdate
from pipeline.train.weight_updates import DDPUpdate, WeightUpdate
from pipeline.train.worker import new_model
from pipeline.train.worker_context import WorkerContext

N_STEPS = 3
Fault = Literal["none", "sockets", "local divisor", "dropped shard", "doubled shard"]

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
    """Take some steps as one worker. Rank 0 writes losses, norms and weights to ``results``."""
    torch.set_num_threads(1)
    context = WorkerContext(rank, n_workers, torch.device("cpu"))
    if n_workers > 1:
        dist.init_process_group(
            "gloo", init_method=f"file://{results}/rendezvous", rank=rank, world_size=n_workers
        )
    opened = open_dataset(dataset)
    plan = BatchPlan(
        opened,
        n_data_shards=CONFIG.n_data_shards,
        target_tokens_per_step=CONFIG.target_tokens_per_step,
        seed=CONFIG.seed,
    )
    model = new_model(opened.subwords(), CONFIG).double().train()
    if fault == "sockets":  # not a fault: the update for several machines
        update: WeightUpdate = DDPUpdate(model, CONFIG, context)
    else:
        update = new_update(model, CONFIG, context)
        assert isinstance(update, SharedMemoryUpdate if n_workers > 1 else DDPUpdate)
    reader = ShardReader()
    losses, norms = [], []
    for step in itertools.islice(plan.steps(), N_STEPS):
        loss = accumulate_gradients(
            update.loss, planted(step, context, fault), reader, context, CONFIG
        )
        losses.append(sum(context.all_gather(loss)))
        norms.append(update.step(0.01, step.number))
    assert update.ema_model is not None
    parameters = [*model.parameters(), *update.ema_model.parameters()]
    weights = torch.cat([weight.detach().flatten() for weight in parameters])
    assert torch.isfinite(weights).all()
    total = weights.sum().item()
    assert context.all_gather(total) == [total] * n_workers  # bit-identical on all workers
    if rank == 0:
        moments = update.state()["exp_avg"]  # with clipping and decay, a sum of the gradients
        measured = {
            "gradients": torch.cat(
                [moments[name].flatten() for name, _ in model.named_parameters()]
            ),
            "weights": weights,
            "losses": losses,
            "norms": norms,
        }
        torch.save(measured, results / "measured.pt")
    if n_workers > 1:
        dist.barrier()
        dist.destroy_process_group()


def planted(step: Step, context: WorkerContext, fault: Fault) -> Step:
    """The step with a mistake that a distributed trainer can make."""
    if fault == "local divisor":  # each worker divides by its own tokens, then DDP averages
        own = step.data_shards[context.rank :: context.n_workers]
        n_own_tokens = sum(int(group.lengths()[1][rows].sum()) for group, rows in own)
        return dataclasses.replace(step, n_target_tokens=n_own_tokens * context.n_workers)
    if fault == "dropped shard":
        first, (group, rows), *others = step.data_shards
        return dataclasses.replace(step, data_shards=(first, (group, rows[:1]), *others))
    if fault == "doubled shard":
        _, *others = step.data_shards
        return dataclasses.replace(step, data_shards=(others[0], *others))
    return step


Measured = dict[str, Any]


def run(dataset: Path, folder: Path, n_workers: int, fault: Fault = "none") -> Measured:
    """Run :func:`work` in a process for each worker."""
    results = folder / f"{n_workers} {fault}"
    results.mkdir()
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(n_workers), dataset, results, fault]
        )
        for rank in range(n_workers)
    ]
    assert [worker.wait(timeout=120) for worker in workers] == [0] * n_workers
    measured: Measured = torch.load(results / "measured.pt", weights_only=True)
    return measured


@pytest.fixture(scope="module")
def reference(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    return run(dataset, tmp_path_factory.mktemp("one"), n_workers=1)


@pytest.mark.parametrize(("n_workers", "fault"), [(2, "none"), (4, "none"), (2, "sockets")])
def test_more_workers_give_the_gradients_weights_and_losses_of_one(
    dataset: Path, tmp_path: Path, reference: Measured, n_workers: int, fault: Fault
) -> None:
    measured = run(dataset, tmp_path, n_workers, fault)

    assert float(reference["gradients"].norm()) > 0.01
    assert min(reference["norms"]) < CONFIG.clip_norm < max(reference["norms"])
    for name in ("gradients", "weights"):
        torch.testing.assert_close(measured[name], reference[name], rtol=1e-9, atol=1e-12)
    for name in ("losses", "norms"):
        assert measured[name] == pytest.approx(reference[name], rel=1e-11)


@pytest.mark.parametrize("fault", ["local divisor", "dropped shard", "doubled shard"])
def test_a_planted_mistake_changes_the_numbers(
    dataset: Path, tmp_path: Path, reference: Measured, fault: Fault
) -> None:
    measured = run(dataset, tmp_path, 2, fault)

    for name in ("gradients", "weights"):
        difference = float((measured[name] - reference[name]).norm() / reference[name].norm())
        assert difference > 1e-3  # the tolerance above is a million times smaller


def test_dropout_seeds_differ_by_seed_step_and_data_shard() -> None:
    arguments = list(itertools.product(range(3), range(50), range(8)))

    assert len({dropout_seed(*values) for values in arguments}) == len(arguments)


if __name__ == "__main__":  # one worker, started by `run`
    rank, n_workers, dataset, results, fault = sys.argv[1:]
    assert fault in get_args(Fault)
    work(int(rank), int(n_workers), Path(dataset), Path(results), cast("Fault", fault))
    # gloo's threads sometimes abort the process when the interpreter ends normally.
    os._exit(0)
