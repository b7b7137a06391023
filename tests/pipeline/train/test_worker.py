"""The training loop in one process: it learns, stops, and resumes bit for bit."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lingo_model import InputError, SimpleSeq2SeqLSTM, SummedLoss
from pipeline.dataset.manifest import load_dataset, load_subwords
from pipeline.errors import RunError
from pipeline.train import train_loop
from pipeline.train.batches import Batch, BatchPlan, ShardReader, make_batch
from pipeline.train.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from pipeline.train.optimizer import ema_weight
from pipeline.train.recipe import TrainConfig
from pipeline.train.stage import check_not_given_up
from pipeline.train.worker import TrainWorker, dropout_seed, learning_rate, new_model
from pipeline.train.worker_context import WorkerContext

PLACE = WorkerContext(0, 1, torch.device("cpu"))
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
    found = SummedLoss(model)(batch.source, batch.target_in, batch.target_out)
    assert isinstance(found, torch.Tensor)
    return found.item()


def test_loss_by_hand() -> None:
    # Logits of zero give every one of V = 4 pieces probability 1/4: ln 4 nats a token. Two rows
    # hold 2 + 3 tokens that are not padding.
    model = SimpleSeq2SeqLSTM(4, 4, emb_dim=2, hidden_dim=2)
    torch.nn.init.zeros_(model.output.weight)
    torch.nn.init.zeros_(model.output.bias)
    batch = make_batch([np.array([3]), np.array([3])], [np.array([1, 3]), np.array([1, 2, 3])])

    assert loss_of(model, batch) == pytest.approx(5 * math.log(4), rel=1e-6)


def test_learning_rate_by_hand() -> None:
    config = TrainConfig(learning_rate=1.0, warmup_steps=3)

    # Warm-up over 3 steps reaches the peak at the 4th; the cosine is 1 at 0, 1/2 half way, 0 at
    # the end.
    assert learning_rate(config, 0, 1000) == pytest.approx(0.25)
    assert learning_rate(config, 1, 1000) == pytest.approx(0.5, rel=1e-4)
    assert learning_rate(config, 500, 1000) == pytest.approx(0.5)
    assert learning_rate(config, 1000, 1000) == pytest.approx(0.0, abs=1e-12)


def test_inverse_square_root_by_hand() -> None:
    config = TrainConfig(learning_rate=1.0, warmup_steps=3, schedule="inverse_sqrt")

    # The peak at the 4th step; at the 16th, four times as far, half of it; whatever the last step.
    assert learning_rate(config, 0, 1000) == pytest.approx(0.25)
    assert learning_rate(config, 3, 1000) == pytest.approx(1.0)
    assert learning_rate(config, 15, 1000) == learning_rate(config, 15, 20) == pytest.approx(0.5)


def test_moving_average_by_hand() -> None:
    # Decay min(0.5, 1 / 10) after step 0, min(0.5, 2 / 11) after step 1, 0.5 after step 20; after
    # step 100 only every eighth counts, for eight.
    assert ema_weight(0.5, 0) == pytest.approx(0.9)
    assert ema_weight(0.5, 1) == pytest.approx(9 / 11)
    assert ema_weight(0.5, 20) == 0.5
    assert [step for step in range(100, 121) if ema_weight(0.5, step)] == [104, 112, 120]
    assert ema_weight(0.5, 104) == 1 - 0.5**8


def test_dropout_seeds_differ_by_seed_step_and_lane() -> None:
    places = list(itertools.product(range(3), range(50), range(8)))

    assert len({dropout_seed(*place) for place in places}) == len(places)


def run(dataset: Path, folder: Path, config: TrainConfig = CONFIG) -> TrainWorker:
    worker = TrainWorker(dataset, folder, config, PLACE)
    worker.train()
    return worker


class Interrupted(Exception):
    """What the test interrupts a run with."""


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_interrupted_and_resumed_equals_uninterrupted_bit_for_bit(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: Any
) -> None:
    config = CONFIG.model_copy(update={"precision": precision, "ema_decay": 0.9})
    run(dataset, tmp_path / "whole", config)
    whole = load_checkpoint(tmp_path / "whole")
    true_step = TrainWorker._step

    def step_until_12(self: TrainWorker, step: Any) -> tuple[float, float]:
        if step.number == 12:
            raise Interrupted
        return true_step(self, step)

    with monkeypatch.context() as patch, pytest.raises(Interrupted):
        patch.setattr(TrainWorker, "_step", step_until_12)
        run(dataset, tmp_path / "parts", config)
    after_kill = load_checkpoint(tmp_path / "parts")
    run(dataset, tmp_path / "parts", config)
    parts = load_checkpoint(tmp_path / "parts")

    assert whole is not None and parts is not None and after_kill is not None
    assert (after_kill.state.step, after_kill.state.stopped_by) == (10, "")
    assert parts.state.step == whole.state.step > 12
    assert parts.state.stopped_by == whole.state.stopped_by == "max_epochs"
    timeless = [
        [{k: v for k, v in entry.items() if "second" not in k} for entry in c.state.history]
        for c in (whole, parts)
    ]
    assert timeless[0] == timeless[1]
    assert whole.state.steps == parts.state.steps
    assert {len(column) for column in parts.state.steps.values()} == {parts.state.step}
    for name, weights in whole.model.items():
        assert torch.equal(weights, parts.model[name]), name
        assert torch.equal(whole.best[name], parts.best[name]), name
        assert torch.equal(whole.average[name], parts.average[name]), name


def test_the_loss_falls_and_history_has_each_evaluation_once(dataset: Path, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"max_epochs": 6, "dropout": 0.0})
    run(dataset, tmp_path, config)
    found = load_checkpoint(tmp_path)

    assert found is not None
    history = found.state.history
    steps = [entry["step"] for entry in history]
    assert steps == sorted(set(steps))
    assert steps[-1] == found.state.step
    assert history[-1]["train_loss"] < 0.8 * history[0]["train_loss"]
    assert found.state.best_bleu == max(entry["valid_bleu"] for entry in history)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_the_reported_training_loss_is_the_mean_over_target_tokens(
    dataset: Path, tmp_path: Path
) -> None:
    # Without dropout and with a learning rate too small to matter, the loss of the first five
    # steps is that of the untrained model on their batches.
    config = CONFIG.model_copy(
        update={"dropout": 0.0, "learning_rate": 1e-12, "label_smoothing": 0.0}
    )
    run(dataset, tmp_path, config)
    found = load_checkpoint(tmp_path)
    manifest = load_dataset(dataset)
    model = new_model(load_subwords(dataset, manifest), config)
    plan = BatchPlan(
        dataset, manifest, n_data_shards=2, target_tokens_per_step=600, seed=config.seed
    )
    reader = ShardReader()
    loss, n_tokens = 0.0, 0
    for step in itertools.islice(plan.steps(), 5):
        loss += sum(loss_of(model, reader.batch(step, lane)) for lane in (0, 1))
        n_tokens += step.n_target_tokens

    assert found is not None
    assert found.state.history[0]["train_loss"] == pytest.approx(loss / n_tokens, rel=1e-5)
    steps = found.state.steps
    summed = sum(
        mean * n for mean, n in zip(steps["train_loss"][:5], steps["n_target_tokens"], strict=False)
    )
    assert summed == pytest.approx(loss, rel=1e-5)


def test_a_time_budget_ends_the_run_and_says_so(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_loop, "_STEPS_PER_CLOCK_CHECK", 3)
    worker = TrainWorker(dataset, tmp_path, CONFIG, PLACE)

    state = worker.train(max_minutes=1e-9)

    assert (state.step, state.stopped_by) == (3, "time_budget")
    found = load_checkpoint(tmp_path)
    assert found is not None
    assert found.best


def test_a_damaged_checkpoint_is_named_with_the_one_before(dataset: Path, tmp_path: Path) -> None:
    run(dataset, tmp_path)
    older, newer = sorted((tmp_path / "checkpoints").iterdir())
    newer.write_bytes(newer.read_bytes()[:1000])

    with pytest.raises(InputError, match=rf"{newer.name}: damaged.*go on from {older.name}"):
        load_checkpoint(tmp_path)


def test_the_moving_average_is_what_is_measured_and_kept(dataset: Path, tmp_path: Path) -> None:
    # One evaluation, at the end: its weights are the best.
    config = CONFIG.model_copy(update={"ema_decay": 0.9, "eval_every_steps": 99})
    run(dataset, tmp_path, config)
    found = load_checkpoint(tmp_path)

    assert found is not None
    assert len(found.state.history) == 1
    assert all(torch.equal(found.best[name], found.average[name]) for name in found.average)
    assert not torch.equal(found.best["output.bias"], found.model["output.bias"])


def test_patience_ends_a_run_whose_bleu_does_not_rise(dataset: Path, tmp_path: Path) -> None:
    # With a learning rate of all but nothing BLEU stays as it is after the first evaluation.
    config = CONFIG.model_copy(
        update={"learning_rate": 1e-12, "patience": 2, "max_epochs": 50, "eval_every_steps": 2}
    )
    run(dataset, tmp_path, config)
    found = load_checkpoint(tmp_path)

    assert found is not None
    assert (found.state.stopped_by, found.state.best_step, found.state.step) == ("patience", 2, 6)


def test_of_equal_bleu_the_lower_loss_is_kept(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = [(9.0, 0.0), (7.0, 0.0), (8.0, 0.0), (6.5, 0.5), (6.0, 0.5)]  # loss, BLEU
    measured = itertools.chain(first, itertools.repeat((1.0, 0.4)))
    monkeypatch.setattr(train_loop.Validation, "measure", lambda *_: next(measured))
    run(dataset, tmp_path, CONFIG.model_copy(update={"max_epochs": 3, "eval_every_steps": 8}))
    found = load_checkpoint(tmp_path)

    assert found is not None
    assert len(found.state.history) > 5
    assert (found.state.best_step, found.state.best_bleu) == (40, 0.5)


def test_a_loss_that_is_not_finite_ends_the_run_at_its_last_checkpoint(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true_loss = SummedLoss.forward
    n_calls = itertools.count()

    def loss_until_step_7(loss: SummedLoss, *batch: torch.Tensor) -> torch.Tensor:
        spoilt = loss.model.training and next(n_calls) == 2 * 7  # two lanes a step
        return true_loss(loss, *batch) * (math.nan if spoilt else 1.0)

    monkeypatch.setattr(SummedLoss, "forward", loss_until_step_7)
    run(dataset, tmp_path)
    found = load_checkpoint(tmp_path)

    assert found is not None
    assert (found.state.step, found.state.stopped_by) == (5, "")
    assert all(torch.isfinite(weights).all() for weights in found.model.values())
    with pytest.raises(RunError, match=r"at step 8 .*step-00000005\.pt is the last good one"):
        check_not_given_up(tmp_path)


def test_a_checkpoint_that_cannot_be_written_ends_the_run_at_the_one_before(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save_until_step_10(training_dir: Path, checkpoint: Checkpoint) -> None:
        if checkpoint.state.step >= 10:
            raise OSError(28, "No space left on device")
        save_checkpoint(training_dir, checkpoint)

    monkeypatch.setattr(train_loop, "save_checkpoint", save_until_step_10)
    run(dataset, tmp_path)

    with pytest.raises(
        RunError,
        match=r"the checkpoint of step 10 could not be written \(.*No space left on device\); "
        r".*step-00000005\.pt is the last good one: make room",
    ):
        check_not_given_up(tmp_path)


def test_a_checkpoint_of_another_release_is_named(dataset: Path, tmp_path: Path) -> None:
    run(dataset, tmp_path)
    file = max((tmp_path / "checkpoints").iterdir())
    content = torch.load(file, weights_only=True)
    del content["average"]
    torch.save(content, file)

    with pytest.raises(InputError, match=rf"{file.name}: a checkpoint of another release"):
        load_checkpoint(tmp_path)
