"""One worker equals two and four: the same gradients and losses, in float64, with dropout on."""

from __future__ import annotations

import dataclasses
import itertools
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal, cast, get_args

import pytest
import torch
import torch.distributed as dist
from torch import nn

from lingo_model import SummedLoss
from pipeline.batches import BatchPlan, LaneReader, Step
from pipeline.dataset import load_dataset, load_subwords
from pipeline.exchange import SharedMemoryExchange, distributed
from pipeline.recipe import TrainConfig
from pipeline.train_loop import accumulate_gradients, new_model
from pipeline.validation import WorkerPlace

N_STEPS = 3
Fault = Literal["none", "sockets", "local divisor", "dropped lane", "doubled lane"]

CONFIG = TrainConfig(
    emb_dim=8,
    hidden_dim=16,
    num_layers=2,
    dropout=0.4,
    attention=True,
    bidirectional=True,
    n_lanes=4,
    target_tokens_per_step=300,
    label_smoothing=0.1,
)


def gradients_of_worker(
    rank: int, n_workers: int, dataset: Path, results: Path, fault: Fault
) -> None:
    """Sum of the gradients over some steps of plain gradient descent, and the losses."""
    torch.set_num_threads(1)
    place = WorkerPlace(rank, n_workers, torch.device("cpu"))
    if n_workers > 1:
        dist.init_process_group(
            "gloo", init_method=f"file://{results}/rendezvous", rank=rank, world_size=n_workers
        )
    manifest = load_dataset(dataset)
    plan = BatchPlan(
        dataset,
        manifest,
        n_lanes=CONFIG.n_lanes,
        target_tokens_per_step=CONFIG.target_tokens_per_step,
        seed=CONFIG.seed,
    )
    model = new_model(load_subwords(dataset, manifest), CONFIG).double().train()
    loss: nn.Module = SummedLoss(model, label_smoothing=CONFIG.label_smoothing)
    if n_workers > 1:
        if fault == "sockets":  # no fault: what workers on several machines exchange through
            SharedMemoryExchange.opened = classmethod(lambda *_: None)  # type: ignore[assignment]
        loss = distributed(loss, place)
    reader = LaneReader()
    total: list[torch.Tensor] = [torch.zeros_like(p) for p in model.parameters()]
    losses = []
    for step in itertools.islice(plan.steps(), N_STEPS):
        model.zero_grad(set_to_none=True)
        mine = accumulate_gradients(loss, planted(step, place, fault), reader, place, CONFIG)
        losses.append(sum(share["loss"] for share in place.gathered({"loss": mine})))
        for parameter, accumulated in zip(model.parameters(), total, strict=True):
            assert parameter.grad is not None
            accumulated += parameter.grad
            parameter.data -= 0.1 * parameter.grad
    if rank == 0:
        torch.save({"gradients": total, "losses": losses}, results / "found.pt")
    if n_workers > 1:
        dist.barrier()
        dist.destroy_process_group()


def planted(step: Step, place: WorkerPlace, fault: Fault) -> Step:
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


def run(
    dataset: Path, folder: Path, n_workers: int, fault: Fault = "none"
) -> tuple[torch.Tensor, list[float]]:
    results = folder / f"{n_workers} {fault}"
    results.mkdir()
    workers = [
        subprocess.Popen(
            [sys.executable, __file__, str(rank), str(n_workers), dataset, results, fault]
        )
        for rank in range(n_workers)
    ]
    assert [worker.wait(timeout=120) for worker in workers] == [0] * n_workers
    found = torch.load(results / "found.pt", weights_only=True)
    return torch.cat([g.flatten() for g in found["gradients"]]), found["losses"]


@pytest.fixture(scope="module")
def reference(
    dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[torch.Tensor, list[float]]:
    return run(dataset, tmp_path_factory.mktemp("one"), n_workers=1)


@pytest.mark.parametrize("n_workers", [2, 4])
def test_more_workers_give_the_gradients_and_losses_of_one(
    dataset: Path,
    tmp_path: Path,
    reference: tuple[torch.Tensor, list[float]],
    n_workers: int,
) -> None:
    gradients, losses = run(dataset, tmp_path, n_workers)

    assert float(reference[0].norm()) > 0.1
    torch.testing.assert_close(gradients, reference[0], rtol=1e-9, atol=1e-12)
    assert losses == pytest.approx(reference[1], rel=1e-12)


def test_workers_that_share_no_memory_give_the_same(
    dataset: Path, tmp_path: Path, reference: tuple[torch.Tensor, list[float]]
) -> None:
    gradients, losses = run(dataset, tmp_path, 2, "sockets")

    torch.testing.assert_close(gradients, reference[0], rtol=1e-9, atol=1e-12)
    assert losses == pytest.approx(reference[1], rel=1e-12)


@pytest.mark.parametrize("fault", ["local divisor", "dropped lane", "doubled lane"])
def test_a_planted_mistake_is_seen(
    dataset: Path, tmp_path: Path, reference: tuple[torch.Tensor, list[float]], fault: Fault
) -> None:
    gradients, _ = run(dataset, tmp_path, 2, fault)

    difference = float((gradients - reference[0]).norm() / reference[0].norm())
    assert difference > 1e-3  # the tolerance above is a million times smaller


if __name__ == "__main__":  # one worker, started by `run`
    rank, n_workers, dataset, results, fault = sys.argv[1:]
    assert fault in get_args(Fault)
    gradients_of_worker(
        int(rank), int(n_workers), Path(dataset), Path(results), cast("Fault", fault)
    )
    # Not through the interpreter's end: gloo's threads sometimes abort the process there.
    os._exit(0)
