"""The training loop in one process: it learns, stops, and resumes with bit-identical weights."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lingo_model import Scorer, SimpleSeq2SeqLSTM, SummedLoss, load_bundle
from pipeline.dataset.dataset import open_dataset
from pipeline.errors import RunError
from pipeline.storage.files import write_json
from pipeline.train import worker
from pipeline.train.batches import Batch, BatchPlan, ShardReader, make_batch
from pipeline.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from pipeline.train.export import export_bundle
from pipeline.train.recipe import TrainConfig
from pipeline.train.run_files import PROGRESS, check_not_given_up
from pipeline.train.worker import TrainWorker, new_model
from pipeline.train.worker_context import WorkerContext

CONTEXT = WorkerContext(0, 1, torch.device("cpu"))
CONFIG = TrainConfig(
    emb_dim=8,
    hidden_dim=16,
    num_layers=2,
    dropout=0.3,
    attention=True,
    bidirectional=True,
    n_data_shards=2,
    target_tokens_per_step=600,
    max_epochs=2,
    warmup_steps=2,
    learning_rate=1e-2,
    eval_every_steps=5,
    max_valid_sentences=10,
)


def loss_of(model: SimpleSeq2SeqLSTM, batch: Batch) -> float:
    loss = SummedLoss(model)(batch.source, batch.target_in, batch.target_out)
    assert isinstance(loss, torch.Tensor)
    return loss.item()


def test_loss_by_hand() -> None:
    # Logits of zero give every one of V = 4 pieces probability 1/4: ln 4 nats a token. Two rows
    # hold 2 + 3 tokens that are not padding.
    model = SimpleSeq2SeqLSTM(4, 4, emb_dim=2, hidden_dim=2)
    torch.nn.init.zeros_(model.output.weight)
    torch.nn.init.zeros_(model.output.bias)
    batch = make_batch([np.array([3]), np.array([3])], [np.array([1, 3]), np.array([1, 2, 3])])

    assert loss_of(model, batch) == pytest.approx(5 * math.log(4), rel=1e-6)


def run(dataset: Path, folder: Path, config: TrainConfig = CONFIG) -> Checkpoint:
    """Train until the run ends; returns the last checkpoint."""
    TrainWorker(dataset, folder, config, CONTEXT).train()
    checkpoint = load_checkpoint(folder)
    assert checkpoint is not None
    return checkpoint


def test_a_reversed_run_makes_a_bundle_of_the_other_direction(
    dataset: Path, tmp_path: Path
) -> None:
    config = TrainConfig.model_validate(CONFIG.model_dump() | {"max_epochs": 1})
    worker = TrainWorker(dataset, tmp_path / "run", config, CONTEXT, reverse=True)
    assert worker.train().stopped_by == "max_epochs"
    opened = open_dataset(dataset)
    reverse = open_dataset(dataset, reverse=True)
    bundle = export_bundle(reverse, tmp_path / "run", tmp_path / "bundle", config)
    assert (bundle.source_lang, bundle.target_lang) == ("es", "en")
    assert bundle.subwords_sha256 == opened.manifest.subwords_sha256
    assert bundle.dataset_fingerprint == reverse.manifest.fingerprint
    # The model has learnt to write the dataset's sources.
    scorer = Scorer(load_bundle(tmp_path / "bundle"))
    losses = []
    for direction in (reverse, opened):
        pairs = direction.pairs("valid")
        losses.append(
            sum(scorer.cross_entropy(pairs["source"].to_pylist(), pairs["target"].to_pylist()))
        )
    assert losses[0] < losses[1]


class Interrupted(Exception):
    """Raised by a test to interrupt a run."""


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_resumed_run_is_bit_identical_to_an_uninterrupted_one(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: Any
) -> None:
    config = CONFIG.model_copy(update={"precision": precision, "ema_decay": 0.9})
    whole = run(dataset, tmp_path / "whole", config)
    true_step = TrainWorker._step

    def step_until_12(self: TrainWorker, step: Any) -> tuple[float, float]:
        if step.number == 12:
            raise Interrupted
        return true_step(self, step)

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(TrainWorker, "_step", step_until_12)
        run(dataset, tmp_path / "parts", config)
    after_kill = load_checkpoint(tmp_path / "parts")
    parts = run(dataset, tmp_path / "parts", config)

    assert after_kill is not None
    assert (after_kill.state.step, after_kill.state.stopped_by) == (10, "")
    assert parts.state.step == whole.state.step > 12
    assert parts.state.stopped_by == whole.state.stopped_by == "max_epochs"
    timeless = [
        [
            point.model_dump(exclude={"seconds", "target_tokens_per_second"})
            for point in c.state.history
        ]
        for c in (whole, parts)
    ]
    assert timeless[0] == timeless[1]
    assert whole.state.steps == parts.state.steps
    assert {len(column) for column in parts.state.steps.values()} == {parts.state.step}
    for name, weights in whole.model.items():
        assert torch.equal(weights, parts.model[name]), name
        assert torch.equal(whole.best[name], parts.best[name]), name
        assert torch.equal(whole.ema_model[name], parts.ema_model[name]), name


def test_the_loss_falls_and_the_history_has_each_evaluation_once(
    dataset: Path, tmp_path: Path
) -> None:
    config = CONFIG.model_copy(update={"max_epochs": 6, "dropout": 0.0})
    checkpoint = run(dataset, tmp_path, config)

    history = checkpoint.state.history
    steps = [point.step for point in history]
    assert steps == sorted(set(steps))
    assert steps[-1] == checkpoint.state.step
    assert history[-1].train_loss < 0.8 * history[0].train_loss
    assert checkpoint.state.best_bleu == max(point.valid_bleu for point in history)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_the_reported_training_loss_is_the_mean_over_target_tokens(
    dataset: Path, tmp_path: Path
) -> None:
    # Without dropout and with a learning rate too small to matter, the loss of the first five
    # steps is that of the untrained model on their batches.
    config = CONFIG.model_copy(
        update={"dropout": 0.0, "learning_rate": 1e-12, "label_smoothing": 0.0}
    )
    checkpoint = run(dataset, tmp_path, config)
    opened = open_dataset(dataset)
    model = new_model(opened.subwords(), config)
    plan = BatchPlan(opened, n_data_shards=2, target_tokens_per_step=600, seed=config.seed)
    reader = ShardReader()
    loss, n_tokens = 0.0, 0
    for step in itertools.islice(plan.steps(), 5):
        loss += sum(loss_of(model, reader.batch(step, shard)) for shard in (0, 1))
        n_tokens += step.n_target_tokens

    assert checkpoint.state.history[0].train_loss == pytest.approx(loss / n_tokens, rel=1e-5)
    steps = checkpoint.state.steps
    summed = sum(
        mean * n for mean, n in zip(steps["train_loss"][:5], steps["n_target_tokens"], strict=False)
    )
    assert summed == pytest.approx(loss, rel=1e-5)


def test_a_time_budget_ends_the_run_and_says_so(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_STEPS_PER_CLOCK_CHECK", 3)

    state = TrainWorker(dataset, tmp_path, CONFIG, CONTEXT).train(max_minutes=1e-9)

    assert (state.step, state.stopped_by) == (3, "time_budget")
    checkpoint = load_checkpoint(tmp_path)
    assert checkpoint is not None
    assert checkpoint.best


def test_the_moving_average_is_validated_and_kept(dataset: Path, tmp_path: Path) -> None:
    # The only evaluation is at the end, so its weights are the best.
    config = CONFIG.model_copy(update={"ema_decay": 0.9, "eval_every_steps": 99})
    checkpoint = run(dataset, tmp_path, config)

    assert len(checkpoint.state.history) == 1
    assert all(
        torch.equal(checkpoint.best[name], checkpoint.ema_model[name])
        for name in checkpoint.ema_model
    )
    assert not torch.equal(checkpoint.best["output.bias"], checkpoint.model["output.bias"])


def test_patience_ends_a_run_whose_bleu_does_not_rise(dataset: Path, tmp_path: Path) -> None:
    # With a learning rate of almost zero, BLEU never rises after the first evaluation.
    config = CONFIG.model_copy(
        update={"learning_rate": 1e-12, "patience": 2, "max_epochs": 50, "eval_every_steps": 2}
    )
    checkpoint = run(dataset, tmp_path, config)

    assert (checkpoint.state.stopped_by, checkpoint.state.best_step, checkpoint.state.step) == (
        "patience",
        2,
        6,
    )


def test_the_lower_loss_decides_between_equal_bleu(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = [(9.0, 0.0), (7.0, 0.0), (8.0, 0.0), (6.5, 0.5), (6.0, 0.5)]  # loss, BLEU
    measured = itertools.chain(first, itertools.repeat((1.0, 0.4)))
    monkeypatch.setattr(worker.Validation, "measure", lambda *_: next(measured))
    config = CONFIG.model_copy(update={"max_epochs": 3, "eval_every_steps": 8})
    checkpoint = run(dataset, tmp_path, config)

    assert len(checkpoint.state.history) > 5
    assert (checkpoint.state.best_step, checkpoint.state.best_bleu) == (40, 0.5)


def test_gradients_that_are_not_finite_end_the_run_at_its_last_checkpoint(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_loss = SummedLoss.forward
    n_calls = itertools.count()

    def loss_until_step_7(loss: SummedLoss, *batch: torch.Tensor) -> torch.Tensor:
        is_nan = loss.model.training and next(n_calls) == 2 * 7  # two data shards a step
        return true_loss(loss, *batch) * (math.nan if is_nan else 1.0)

    monkeypatch.setattr(SummedLoss, "forward", loss_until_step_7)
    checkpoint = run(dataset, tmp_path)

    assert (checkpoint.state.step, checkpoint.state.stopped_by) == (5, "")
    assert all(torch.isfinite(weights).all() for weights in checkpoint.model.values())
    with pytest.raises(
        RunError, match=r"at step 8 .*step-00000005\.pt is the last good checkpoint"
    ):
        check_not_given_up(tmp_path)


def test_a_checkpoint_that_cannot_be_written_ends_the_run_at_the_one_before(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save_until_step_10(training_dir: Path, checkpoint: Checkpoint) -> None:
        if checkpoint.state.step >= 10:
            raise OSError(28, "No space left on device")
        save_checkpoint(training_dir, checkpoint)

    monkeypatch.setattr(worker, "save_checkpoint", save_until_step_10)
    run(dataset, tmp_path)

    with pytest.raises(
        RunError,
        match=r"the checkpoint of step 10 could not be written \(.*No space left on device\); "
        r".*step-00000005\.pt is the last good checkpoint; free disk space",
    ):
        check_not_given_up(tmp_path)


def test_workers_that_see_different_checkpoints_do_not_start(dataset: Path, tmp_path: Path) -> None:
    class OtherWorkerAtStep5(WorkerContext):
        def all_gather(self, value: Any) -> list[Any]:
            return [value, 5]

    context = OtherWorkerAtStep5(0, 1, torch.device("cpu"))
    with pytest.raises(RuntimeError, match=r"checkpoints of different steps, \[0, 5\]"):
        TrainWorker(dataset, tmp_path, CONFIG, context)


def test_the_reason_is_written_although_the_disk_is_full(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_to_full_disk(path: Path, value: object) -> None:
        if (tmp_path / PROGRESS).exists():
            raise OSError(28, "No space left on device")
        write_json(path, value)

    def diverged_step(*_: object) -> tuple[float, float]:
        write_json(tmp_path / PROGRESS, {})
        return math.nan, math.nan

    monkeypatch.setattr(worker, "write_json", write_to_full_disk)
    monkeypatch.setattr(TrainWorker, "_step", diverged_step)
    TrainWorker(dataset, tmp_path, CONFIG, CONTEXT).train()

    with pytest.raises(RunError, match="gradients were not finite at step 1 ") as error:
        check_not_given_up(tmp_path)
    assert not error.value.retryable
