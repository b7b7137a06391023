"""What each training worker runs: plain PyTorch and ``torch.distributed``, no Ray.

Reads: a dataset, and this run's checkpoints. Writes (rank 0), below the run's folder:
checkpoints, ``progress.json`` for whoever watches, and ``gave_up.json`` if it had to.
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
from pipeline.dataset.manifest import load_dataset, load_subwords
from pipeline.storage.files import write_json
from pipeline.train.batches import BatchPlan, ShardReader, Step
from pipeline.train.checkpoint import Checkpoint, RunState, load_checkpoint, save_checkpoint
from pipeline.train.new_update import new_update
from pipeline.train.recipe import TrainConfig
from pipeline.train.validation import Validation
from pipeline.train.worker_context import WorkerContext

PROGRESS = "progress.json"
GAVE_UP = "gave_up.json"

# What a worker's process must start with. Hardly two batches have one shape; for each shape oneDNN
# compiles its products anew, and would keep the last 1,024 of them: two gigabytes.
WORKER_ENVIRONMENT = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64"}
_PROGRESS_SECONDS = 1.0
_STEPS_PER_CLOCK_CHECK = 10


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


def dropout_seed(seed: int, step: int, lane: int) -> int:
    """Seed of a lane's dropout in a step, whichever worker computes it."""
    return int(np.random.SeedSequence((seed, step, lane)).generate_state(1, np.uint64)[0] >> 1)


def accumulate_gradients(
    loss: nn.Module, step: Step, reader: ShardReader, place: WorkerContext, config: TrainConfig
) -> float:
    """Gradients of ``sum of loss over all lanes / the step's target tokens``, on every worker.

    The update averages over workers, so each scales its share by their number. Where that is
    DistributedDataParallel, the backward pass of a worker's last lane starts the exchange.

    Args:
        loss: a :class:`~lingo_model.SummedLoss`, wrapped where there are several workers.

    Returns:
        this worker's summed loss (nats), not divided.
    """
    total = 0.0
    lanes = range(place.rank, config.n_data_shards, place.n_workers)
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
        self, dataset: Path, training_dir: Path, config: TrainConfig, place: WorkerContext
    ) -> None:
        manifest = load_dataset(dataset)
        subwords = load_subwords(dataset, manifest)
        self._config = config
        self._place = place
        self._run_folder = training_dir
        self._plan = BatchPlan(
            dataset,
            manifest,
            n_data_shards=config.n_data_shards,
            target_tokens_per_step=config.target_tokens_per_step,
            seed=config.seed,
        )
        self._n_steps = self._plan.n_steps(config.max_epochs)
        self._validation = Validation(
            dataset, manifest, subwords, place, max_sentences=config.max_valid_sentences
        )
        self._reader = ShardReader()
        self._model = new_model(subwords, config).to(place.device)
        self._update = new_update(self._model, config, place)
        self._state = RunState()
        self._best: dict[str, torch.Tensor] = {}
        if (found := load_checkpoint(training_dir)) is not None:
            self._state, self._best = found.state, found.best
        steps = {seen["step"] for seen in place.gathered({"step": self._state.step})}
        if len(steps) > 1:  # a disk of the network may show a new file later to some machines
            raise RuntimeError(
                f"{training_dir}: workers see checkpoints of different steps, {sorted(steps)}"
            )
        if found is not None:
            self._update.load(found.model, found.average, found.optimizer)

    def train(self, *, max_minutes: float | None = None) -> RunState:
        """Go on from the last checkpoint to the last step, or until the time budget is spent or
        validation BLEU has not risen for long enough. Gradients that are not finite, and a
        checkpoint that cannot be written, end the run at the checkpoint before, and
        ``gave_up.json`` says why."""
        state = self._state
        if state.stopped_by:
            return state
        started = time.monotonic() - state.seconds
        window_started, shown = time.monotonic(), 0.0
        losses: list[float] = []  # of this worker's lanes, each step since the last evaluation
        n_target_tokens = 0
        self._update.loss.train()
        for step in self._plan.steps(first=state.step):
            loss, gradient_norm = self._step(step)
            if not math.isfinite(gradient_norm):  # the same on every worker
                self._give_up(
                    f"gradients were not finite at step {step.number + 1} with learning rate "
                    f"{self._learning_rate(step):.3g}",
                    "train under another name with a lower learning_rate or clip_norm, or in "
                    "float32",
                    retryable=False,
                )
                return state
            losses.append(loss)
            for name, value in (
                ("learning_rate", self._learning_rate(step)),
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
                if not self._saved():
                    return state
                window_started, losses, n_target_tokens = time.monotonic(), [], 0
            if state.stopped_by:
                break
            if now - shown > _PROGRESS_SECONDS:
                shown = now
                self._show(rate)
        return state

    def _step(self, step: Step) -> tuple[float, float]:
        """One optimiser step: this worker's summed loss, and the norm of all gradients."""
        loss = accumulate_gradients(
            self._update.loss, step, self._reader, self._place, self._config
        )
        return loss, self._update.step(self._learning_rate(step), step.number)

    def _learning_rate(self, step: Step) -> float:
        return learning_rate(self._config, step.number, self._n_steps)

    def _evaluate(self, step: Step, losses: list[float], *, rate: float) -> None:
        """Measure on validation and remember the best weights.

        Args:
            losses: this worker's summed loss of each step since the last evaluation.
        """
        measured = self._update.average or self._model
        self._model.eval()
        valid_loss, valid_bleu = self._validation.measure(measured)
        self._update.loss.train()
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
                "learning_rate": self._learning_rate(step),
                "target_tokens_per_second": rate,
                "seconds": state.seconds,
            }
        )
        # By BLEU; while that does not move (at first it is zero), by loss.
        if (valid_bleu, -valid_loss) > (state.best_bleu, -state.best_loss):
            state.best_bleu, state.best_loss, state.best_step = valid_bleu, valid_loss, state.step
            self._best = _copied(measured)
        if not state.stopped_by and self._out_of_patience():
            state.stopped_by = "patience"
        self._show(rate)

    def _out_of_patience(self) -> bool:
        later = [entry for entry in self._state.history if entry["step"] > self._state.best_step]
        return self._config.patience is not None and len(later) >= self._config.patience

    def _saved(self) -> bool:
        """Write a checkpoint; whether that succeeded, which every worker gets to know."""
        problem = ""
        if self._place.rank == 0:
            checkpoint = Checkpoint(
                _copied(self._model),
                {} if self._update.average is None else _copied(self._update.average),
                self._update.state(),
                self._best,
                self._state,
            )
            try:
                save_checkpoint(self._run_folder, checkpoint)
            except OSError as error:
                problem = (
                    f"the checkpoint of step {self._state.step} could not be written ({error})"
                )
        problem = self._place.gathered({"problem": problem})[0]["problem"]
        if problem:
            self._give_up(problem, "make room and run the same command again", retryable=True)
        return not problem

    def _give_up(self, reason: str, remedy: str, *, retryable: bool) -> None:
        if self._place.rank != 0:
            return
        file = self._run_folder / GAVE_UP
        last_words = {"reason": reason, "remedy": remedy, "retryable": retryable}
        try:
            write_json(file, last_words)
        except OSError:  # not a byte is left on the disk: what nobody needs now makes room
            (self._run_folder / PROGRESS).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                write_json(file, last_words)

    def _show(self, target_tokens_per_second: float) -> None:
        if self._place.rank != 0:
            return
        last = self._state.history[-1] if self._state.history else {}
        progress = {
            "step": self._state.step,
            "n_steps": self._n_steps,
            "target_tokens_per_second": target_tokens_per_second,
            "train_loss": last.get("train_loss"),
            "valid_bleu": last.get("valid_bleu"),
            "history": self._state.history,
        }
        with contextlib.suppress(OSError):  # a run does not end because nobody sees it
            write_json(self._run_folder / PROGRESS, progress)


def _copied(model: SimpleSeq2SeqLSTM) -> dict[str, torch.Tensor]:
    """The weights as they are now, out of memory that others may share."""
    return {name: weight.cpu().clone() for name, weight in model.state_dict().items()}
