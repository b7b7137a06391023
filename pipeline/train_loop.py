"""What each training worker runs: plain PyTorch and ``torch.distributed``, no Ray.

Reads: a dataset, and this run's checkpoints. Writes (rank 0), below the run's folder:
checkpoints, ``progress.json`` for whoever watches, and ``diverged.json`` if it had to give up.
"""

from __future__ import annotations

import contextlib
import copy
import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from lingo_model import SimpleSeq2SeqLSTM, Subwords, SummedLoss
from pipeline.batches import BatchPlan, LaneReader, Step
from pipeline.checkpoint import Checkpoint, RunState, load_checkpoint, save_checkpoint
from pipeline.dataset import load_dataset, load_subwords
from pipeline.exchange import distributed
from pipeline.recipe import TrainConfig
from pipeline.storage import write_json
from pipeline.validation import Validation, WorkerPlace

PROGRESS = "progress.json"
DIVERGED = "diverged.json"

_PROGRESS_SECONDS = 1.0
_STEPS_PER_CLOCK_CHECK = 10
_STEPS_AVERAGED_ONE_BY_ONE = 100
_STEPS_PER_AVERAGE = 8


def new_model(subwords: Subwords, config: TrainConfig) -> SimpleSeq2SeqLSTM:
    """The untrained model of a recipe, the same on every worker."""
    torch.manual_seed(config.seed)
    size = subwords.vocab_size
    return SimpleSeq2SeqLSTM(size, size, config=config.for_model())


def learning_rate(config: TrainConfig, step: int, n_steps: int) -> float:
    """Linear warm-up, then half a cosine down to zero at ``n_steps``, or the inverse square root of
    the step (Vaswani et al. 2017, section 5.3); ``step`` counts from 0."""
    n_warmup = config.warmup_steps + 1
    warmup = min(1.0, (step + 1) / n_warmup)
    if config.schedule == "inverse_sqrt":
        return config.learning_rate * min(warmup, math.sqrt(n_warmup / (step + 1)))
    return config.learning_rate * warmup * 0.5 * (1 + math.cos(math.pi * step / n_steps))


class MovingAverage:
    """Exponential moving average of a model's weights; a short memory at first, so that the first
    steps are forgotten soon: the decay of step t is ``min(decay, (1 + t) / (10 + t))``. After step
    100 the weights of every eighth step stand for those since the one before: it costs an eighth,
    and gives the same average for every purpose.

    Its ``model`` is in ``eval`` mode always.
    """

    def __init__(self, model: SimpleSeq2SeqLSTM, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._decay = decay

    def update(self, model: SimpleSeq2SeqLSTM, step: int) -> None:
        """Take in the weights after ``step``, counted from 0."""
        n_steps = 1 if step < _STEPS_AVERAGED_ONE_BY_ONE else _STEPS_PER_AVERAGE
        if step % n_steps:
            return
        decay = min(self._decay, (1 + step) / (10 + step)) ** n_steps
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self.model.parameters()), list(model.parameters()), 1.0 - decay
            )


def dropout_seed(seed: int, step: int, lane: int) -> int:
    """Seed of a lane's dropout in a step, whichever worker computes it."""
    return int(np.random.SeedSequence((seed, step, lane)).generate_state(1, np.uint64)[0] >> 1)


def accumulate_gradients(
    loss: nn.Module, step: Step, reader: LaneReader, place: WorkerPlace, config: TrainConfig
) -> float:
    """Gradients of ``sum of loss over all lanes / the step's target tokens``, on every worker.

    DistributedDataParallel averages over workers, so each scales its share by their number; the
    backward pass of a worker's last lane starts the exchange.

    Args:
        loss: a :class:`~lingo_model.SummedLoss`, wrapped where there are several workers.

    Returns:
        this worker's summed loss (nats), not divided.
    """
    total = 0.0
    lanes = range(place.rank, config.n_lanes, place.n_workers)
    for lane in lanes:
        batch = reader.batch(step, lane).to(place.device)
        torch.manual_seed(dropout_seed(config.seed, step.number, lane))
        exchange: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
        if lane != lanes[-1] and isinstance(loss, DistributedDataParallel):
            exchange = loss.no_sync()
        with exchange:
            autocast = config.precision == "bfloat16"
            with torch.autocast(place.device.type, torch.bfloat16, enabled=autocast):
                found = loss(batch.source, batch.target_in, batch.target_out)
            (found * (place.n_workers / step.n_target_tokens)).backward()
        total += found.item()
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
        self._average: MovingAverage | None = None
        if config.average_decay:
            self._average = MovingAverage(self._model, config.average_decay)
        self._state = RunState()
        self._best: dict[str, torch.Tensor] = {}
        if (found := load_checkpoint(run_folder, place.device)) is not None:
            self._model.load_state_dict(found.model)
            if self._average is not None:
                self._average.model.load_state_dict(found.average)
            self._optimizer.load_state_dict(found.optimizer)
            self._state, self._best = found.state, found.best
        self._loss: nn.Module = SummedLoss(self._model, label_smoothing=config.label_smoothing)
        if place.n_workers > 1:
            self._loss = distributed(self._loss, place)

    def train(self, *, max_minutes: float | None = None) -> RunState:
        """Go on from the last checkpoint to the last step, or until the time budget is spent or
        validation BLEU has not risen for long enough. A step whose gradients are not finite ends
        the run at its last checkpoint, and ``diverged.json`` says so."""
        state = self._state
        if state.stopped_by:
            return state
        started = time.monotonic() - state.seconds
        window_started, shown = time.monotonic(), 0.0
        losses: list[float] = []  # of this worker's lanes, each step since the last evaluation
        n_target_tokens = 0
        self._loss.train()
        for step in self._plan.steps(first=state.step):
            loss, gradient_norm = self._step(step)
            if not math.isfinite(gradient_norm):  # the same on every worker
                self._give_up(step)
                return state
            losses.append(loss)
            for name, value in (
                ("learning_rate", self._optimizer.param_groups[0]["lr"]),
                ("gradient_norm", gradient_norm),
                ("n_target_tokens", step.n_target_tokens),
            ):
                state.steps[name].append(value)
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
                self._evaluate(step, losses, rate=rate)
                window_started, losses, n_target_tokens = time.monotonic(), [], 0
            if state.stopped_by:
                break
            if now - shown > _PROGRESS_SECONDS:
                shown = now
                self._show(rate)
        return state

    def _step(self, step: Step) -> tuple[float, float]:
        """One optimiser step: this worker's summed loss, and the norm of all gradients."""
        rate = learning_rate(self._config, step.number, self._n_steps)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad(set_to_none=True)
        loss = accumulate_gradients(self._loss, step, self._reader, self._place, self._config)
        norm = nn.utils.clip_grad_norm_(self._model.parameters(), self._config.clip_norm).item()
        if math.isfinite(norm):
            self._optimizer.step()
            if self._average is not None:
                self._average.update(self._model, step.number)
        return loss, norm

    def _evaluate(self, step: Step, losses: list[float], *, rate: float) -> None:
        """Measure on validation, remember the best weights, write a checkpoint.

        Args:
            losses: this worker's summed loss of each step since the last evaluation.
        """
        measured = self._model if self._average is None else self._average.model
        self._model.eval()
        valid_loss, valid_bleu = self._validation.measure(measured)
        self._loss.train()
        state = self._state
        shares = [share["losses"] for share in self._place.gathered({"losses": losses})]
        totals = [sum(parts) for parts in zip(*shares, strict=True)]
        n_tokens = state.steps["n_target_tokens"][-len(totals) :]
        train_loss = sum(totals) / sum(n_tokens)
        state.steps["train_loss"] += [t / n for t, n in zip(totals, n_tokens, strict=True)]
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
            self._best = {k: v.cpu().clone() for k, v in measured.state_dict().items()}
        if not state.stopped_by and self._out_of_patience():
            state.stopped_by = "patience"
        if self._place.rank == 0:
            save_checkpoint(
                self._run_folder,
                Checkpoint(
                    self._model.state_dict(),
                    {} if self._average is None else self._average.model.state_dict(),
                    self._optimizer.state_dict(),
                    self._best,
                    state,
                ),
            )
        self._show(rate)

    def _out_of_patience(self) -> bool:
        later = [entry for entry in self._state.history if entry["step"] > self._state.best_step]
        return self._config.patience is not None and len(later) >= self._config.patience

    def _give_up(self, step: Step) -> None:
        if self._place.rank == 0:
            found = {
                "step": step.number + 1,
                "learning_rate": self._optimizer.param_groups[0]["lr"],
            }
            write_json(self._run_folder / DIVERGED, found)

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
                "history": self._state.history,
            },
        )
