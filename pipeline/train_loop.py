"""What each training worker runs: plain PyTorch and ``torch.distributed``, no Ray.

Reads: a dataset, and this run's checkpoints. Writes (rank 0), below the run's folder:
checkpoints, and ``progress.json`` for whoever watches.
"""

from __future__ import annotations

import contextlib
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from lingo_model import SimpleSeq2SeqLSTM, Subwords
from pipeline.batches import BatchPlan, LaneReader, Step
from pipeline.checkpoint import Checkpoint, RunState, load_checkpoint, save_checkpoint
from pipeline.dataset import load_dataset, load_subwords
from pipeline.recipe import TrainConfig
from pipeline.storage import write_json
from pipeline.validation import Validation, WorkerPlace, loss_sum

PROGRESS = "progress.json"

_PROGRESS_SECONDS = 1.0
_STEPS_PER_CLOCK_CHECK = 10


def new_model(subwords: Subwords, config: TrainConfig) -> SimpleSeq2SeqLSTM:
    """The untrained model of a recipe, the same on every worker."""
    torch.manual_seed(config.seed)
    size = subwords.vocab_size
    return SimpleSeq2SeqLSTM(size, size, config=config.for_model())


def learning_rate(config: TrainConfig, step: int, n_steps: int) -> float:
    """Linear warm-up, then half a cosine down to zero at ``n_steps``; ``step`` counts from 0."""
    warmup = min(1.0, (step + 1) / (config.warmup_steps + 1))
    return config.learning_rate * warmup * 0.5 * (1 + math.cos(math.pi * step / n_steps))


def dropout_seed(seed: int, step: int, lane: int) -> int:
    """Seed of a lane's dropout in a step, whichever worker computes it."""
    return int(np.random.SeedSequence((seed, step, lane)).generate_state(1, np.uint64)[0] >> 1)


def accumulate_gradients(
    model: nn.Module, step: Step, reader: LaneReader, place: WorkerPlace, config: TrainConfig
) -> float:
    """Gradients of ``sum of loss over all lanes / the step's target tokens``, on every worker.

    DistributedDataParallel averages over workers, so each scales its share by their number; the
    backward pass of a worker's last lane starts the exchange.

    Returns:
        this worker's summed loss (nats), not divided.
    """
    total = 0.0
    lanes = range(place.rank, config.n_lanes, place.n_workers)
    for lane in lanes:
        batch = reader.batch(step, lane).to(place.device)
        torch.manual_seed(dropout_seed(config.seed, step.number, lane))
        exchange: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        if lane != lanes[-1] and isinstance(model, DistributedDataParallel):
            exchange = model.no_sync()
        with exchange:
            autocast = config.precision == "bfloat16"
            with torch.autocast(place.device.type, torch.bfloat16, enabled=autocast):
                loss = loss_sum(model, batch, label_smoothing=config.label_smoothing)
            (loss * (place.n_workers / step.n_target_tokens)).backward()  # type: ignore[no-untyped-call]
        total += loss.item()
    return total


class TrainWorker:
    """One worker of a run: its model, optimiser, share of the data and place in the run.

    With more than one worker, each lives in a process of a ``torch.distributed`` group.

    Raises:
        InputError: the dataset cannot be trained on.
    """

    def __init__(
        self, dataset: Path, run_folder: Path, config: TrainConfig, place: WorkerPlace
    ) -> None:
        manifest = load_dataset(dataset)
        subwords = load_subwords(dataset, manifest)
        self._config = config
        self._place = place
        self._run_folder = run_folder
        self._plan = BatchPlan(
            dataset,
            manifest,
            n_lanes=config.n_lanes,
            target_tokens_per_step=config.target_tokens_per_step,
            seed=config.seed,
        )
        self._n_steps = self._plan.n_steps(config.max_epochs)
        self._validation = Validation(
            dataset, manifest, subwords, place, max_sentences=config.max_valid_sentences
        )
        self._reader = LaneReader()
        self._model = new_model(subwords, config).to(place.device)
        self._optimizer = torch.optim.AdamW(
            self._model.parameters(),
            lr=config.learning_rate,
            weight_decay=config.weight_decay,
            fused=True,
        )
        self._state = RunState()
        self._best: dict[str, torch.Tensor] = {}
        if (found := load_checkpoint(run_folder, place.device)) is not None:
            self._model.load_state_dict(found.model)
            self._optimizer.load_state_dict(found.optimizer)
            self._state, self._best = found.state, found.best
        self._trained: nn.Module = self._model
        if place.n_workers > 1:
            self._trained = DistributedDataParallel(self._model)

    def train(self, *, max_minutes: float | None = None) -> RunState:
        """Go on from the last checkpoint to the last step, or until the time budget is spent."""
        state = self._state
        if state.stopped_by:
            return state
        started = time.monotonic() - state.seconds
        window_started, shown = time.monotonic(), 0.0
        loss, n_target_tokens = 0.0, 0  # of this worker's lanes; of all lanes
        self._trained.train()
        for step in self._plan.steps(first=state.step):
            loss += self._step(step)
            n_target_tokens += step.n_target_tokens
            now = time.monotonic()
            state.step, state.seconds = step.number + 1, now - started
            rate = n_target_tokens / (now - window_started)
            if state.step == self._n_steps:
                state.stopped_by = "max_epochs"
            elif (
                max_minutes is not None
                and state.step % _STEPS_PER_CLOCK_CHECK == 0
                and self._place.agreed(state.seconds > max_minutes * 60)
            ):
                state.stopped_by = "time_budget"
            if state.stopped_by or state.step % self._config.eval_every_steps == 0:
                total = sum(share["loss"] for share in self._place.gathered({"loss": loss}))
                self._evaluate(step, train_loss=total / n_target_tokens, rate=rate)
                window_started, loss, n_target_tokens = time.monotonic(), 0.0, 0
            if state.stopped_by:
                break
            if now - shown > _PROGRESS_SECONDS:
                shown = now
                self._show(rate)
        return state

    def _step(self, step: Step) -> float:
        rate = learning_rate(self._config, step.number, self._n_steps)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad(set_to_none=True)
        loss = accumulate_gradients(self._trained, step, self._reader, self._place, self._config)
        nn.utils.clip_grad_norm_(self._model.parameters(), self._config.clip_norm)
        self._optimizer.step()
        return loss

    def _evaluate(self, step: Step, *, train_loss: float, rate: float) -> None:
        """Measure on validation, remember the best weights, write a checkpoint."""
        self._model.eval()
        valid_loss, valid_bleu = self._validation.measure(self._model)
        self._trained.train()
        state = self._state
        state.history.append(
            {
                "step": state.step,
                "epoch": step.epoch,
                "train_loss": train_loss,
                "valid_loss": valid_loss,
                "valid_bleu": valid_bleu,
                "learning_rate": learning_rate(self._config, step.number, self._n_steps),
                "target_tokens_per_second": rate,
                "seconds": state.seconds,
            }
        )
        if valid_bleu > state.best_bleu:
            state.best_bleu, state.best_step = valid_bleu, state.step
            self._best = {k: v.cpu().clone() for k, v in self._model.state_dict().items()}
        if self._place.rank == 0:
            save_checkpoint(
                self._run_folder,
                Checkpoint(
                    self._model.state_dict(), self._optimizer.state_dict(), self._best, state
                ),
            )
        self._show(rate)

    def _show(self, target_tokens_per_second: float) -> None:
        if self._place.rank != 0:
            return
        last = self._state.history[-1] if self._state.history else {}
        write_json(
            self._run_folder / PROGRESS,
            {
                "step": self._state.step,
                "n_steps": self._n_steps,
                "target_tokens_per_second": target_tokens_per_second,
                "train_loss": last.get("train_loss"),
                "valid_bleu": last.get("valid_bleu"),
            },
        )
