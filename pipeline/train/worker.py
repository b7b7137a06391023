"""The training loop of one worker: PyTorch and ``torch.distributed``, without Ray.

Reads: a dataset, and the checkpoints of the run.
Writes: checkpoints, ``progress.json`` and ``gave_up.json`` in the folder of the run, by rank 0.
"""

from __future__ import annotations

import contextlib
import math
import time
from pathlib import Path

import torch

from lingo_model import SimpleSeq2SeqLSTM, Subwords
from pipeline.dataset.dataset import open_dataset
from pipeline.storage.files import write_json
from pipeline.train.batches import BatchPlan, ShardReader, Step
from pipeline.train.checkpoint import Checkpoint, RunState, load_checkpoint, save_checkpoint
from pipeline.train.gradients import accumulate_gradients
from pipeline.train.new_update import new_update
from pipeline.train.optimizer import learning_rate
from pipeline.train.recipe import TrainConfig
from pipeline.train.run_files import GAVE_UP, PROGRESS, GaveUp, TrainingProgress
from pipeline.train.validation import Validation
from pipeline.train.worker_context import WorkerContext
from pipeline.training_record import EvaluationPoint

# Few batches have the same shape. oneDNN compiles a kernel for each shape, and by default it keeps
# the last 1,024 of them, which take two gigabytes.
WORKER_ENVIRONMENT = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64"}
"""Environment variables that the process of a worker must start with."""

_PROGRESS_SECONDS = 1.0
_STEPS_PER_CLOCK_CHECK = 10


def new_model(subwords: Subwords, config: TrainConfig) -> SimpleSeq2SeqLSTM:
    """The untrained model of a recipe. The seed makes it the same on every worker."""
    torch.manual_seed(config.seed)
    size = subwords.vocab_size
    return SimpleSeq2SeqLSTM(size, size, config=config.for_model())


class TrainWorker:
    """One worker of a run. It starts from the run's last checkpoint, if there is one.

    Args:
        dataset: folder of the dataset.
        training_dir: folder of the run.
        config: the recipe.
        context: this worker.
        reverse: whether to train from the dataset's targets to its sources.

    Raises:
        InputError: the dataset or the checkpoint cannot be used.
        RuntimeError: the workers see different checkpoints.
    """

    def __init__(
        self,
        dataset: Path,
        training_dir: Path,
        config: TrainConfig,
        context: WorkerContext,
        *,
        reverse: bool = False,
    ) -> None:
        opened = open_dataset(dataset, reverse=reverse)
        subwords = opened.subwords()
        self._config = config
        self._context = context
        self._training_dir = training_dir
        self._plan = BatchPlan(
            opened,
            n_data_shards=config.n_data_shards,
            target_tokens_per_step=config.target_tokens_per_step,
            seed=config.seed,
        )
        self._n_steps = self._plan.n_steps(config.max_epochs)
        self._validation = Validation(
            opened, subwords, context, max_sentences=config.max_valid_sentences
        )
        self._reader = ShardReader()
        self._model = new_model(subwords, config).to(context.device)
        self._update = new_update(self._model, config, context)
        self._state = RunState()
        self._best: dict[str, torch.Tensor] = {}
        checkpoint = load_checkpoint(training_dir)
        if checkpoint is not None:
            self._state, self._best = checkpoint.state, checkpoint.best
        steps = set(context.all_gather(self._state.step))
        if len(steps) > 1:  # a network file system may show a new file late to some machines
            raise RuntimeError(
                f"{training_dir}: workers see checkpoints of different steps, {sorted(steps)}; "
                "start them again"
            )
        if checkpoint is not None:
            self._update.load(checkpoint.model, checkpoint.ema_model, checkpoint.optimizer)

    def train(self, *, max_minutes: float | None = None) -> RunState:
        """Train until the last step, or until patience or the time budget ends the run.

        The run ends early, with the reason in ``gave_up.json``, if gradients are not finite or a
        checkpoint cannot be written. Then the last checkpoint is the state of the run.

        Args:
            max_minutes: time budget in minutes of training, over all attempts; None for no limit.

        Returns:
            the state after the last step; ``stopped_by`` is empty if the run ended early.
        """
        state = self._state
        if state.stopped_by:
            return state
        started = time.monotonic() - state.seconds
        window_started, shown = time.monotonic(), 0.0
        losses: list[float] = []  # of this worker, one a step since the last evaluation
        n_target_tokens = 0
        self._update.loss.train()
        for step in self._plan.steps(first=state.step):
            loss, gradient_norm = self._step(step)
            if not math.isfinite(gradient_norm):  # the same on every worker
                self._give_up(
                    f"gradients were not finite at step {step.number + 1} with learning rate "
                    f"{self._learning_rate(step):.3g}",
                    "train to another output with a lower learning_rate or clip_norm, or with "
                    "precision float32",
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
                and self._context.from_rank_0(state.seconds > max_minutes * 60)
            ):
                state.stopped_by = "time_budget"
            if state.stopped_by or state.step % self._config.eval_every_steps == 0:
                self._evaluate(step, losses, rate=rate)
                if not self._save_checkpoint():
                    return state
                window_started, losses, n_target_tokens = time.monotonic(), [], 0
            if state.stopped_by:
                break
            if now - shown > _PROGRESS_SECONDS:
                shown = now
                self._write_progress(rate)
        return state

    def _step(self, step: Step) -> tuple[float, float]:
        """Take an optimiser step; returns this worker's summed loss and the gradient norm."""
        loss = accumulate_gradients(
            self._update.loss, step, self._reader, self._context, self._config
        )
        return loss, self._update.step(self._learning_rate(step), step.number)

    def _learning_rate(self, step: Step) -> float:
        return learning_rate(self._config, step.number, self._n_steps)

    def _evaluate(self, step: Step, losses: list[float], *, rate: float) -> None:
        """Measure the model on the validation split, and keep the best weights.

        Args:
            step: the last step.
            losses: this worker's summed loss (nats), one a step since the last evaluation.
            rate: target tokens a second since the last evaluation.
        """
        measured = self._update.ema_model or self._model
        self._model.eval()
        valid_loss, valid_bleu = self._validation.measure(measured)
        self._update.loss.train()
        state = self._state
        totals = [sum(parts) for parts in zip(*self._context.all_gather(losses), strict=True)]
        n_tokens = state.steps["n_target_tokens"][-len(totals) :]
        train_loss = sum(totals) / sum(n_tokens)
        state.steps["train_loss"] += [t / n for t, n in zip(totals, n_tokens, strict=True)]
        state.history.append(
            EvaluationPoint(
                step=state.step,
                epoch=step.epoch,
                train_loss=train_loss,
                valid_loss=valid_loss,
                valid_bleu=valid_bleu,
                learning_rate=self._learning_rate(step),
                target_tokens_per_second=rate,
                seconds=state.seconds,
            )
        )
        # Loss decides between equal BLEU, which is zero at first.
        if (valid_bleu, -valid_loss) > (state.best_bleu, -state.best_loss):
            state.best_bleu, state.best_loss, state.best_step = valid_bleu, valid_loss, state.step
            self._best = _copied(measured)
        if not state.stopped_by and self._out_of_patience():
            state.stopped_by = "patience"
        self._write_progress(rate)

    def _out_of_patience(self) -> bool:
        since_best = [point for point in self._state.history if point.step > self._state.best_step]
        return self._config.patience is not None and len(since_best) >= self._config.patience

    def _save_checkpoint(self) -> bool:
        """Write a checkpoint on rank 0, or ``gave_up.json`` if that fails.

        Returns:
            whether the checkpoint was written, the same on every worker.
        """
        problem = ""
        if self._context.rank == 0:
            checkpoint = Checkpoint(
                _copied(self._model),
                {} if self._update.ema_model is None else _copied(self._update.ema_model),
                self._update.state(),
                self._best,
                self._state,
            )
            try:
                save_checkpoint(self._training_dir, checkpoint)
            except OSError as error:
                problem = (
                    f"the checkpoint of step {self._state.step} could not be written ({error})"
                )
        problem = self._context.from_rank_0(problem)
        if problem:
            self._give_up(problem, "free disk space and run the same command again", retryable=True)
        return not problem

    def _give_up(self, reason: str, remedy: str, *, retryable: bool) -> None:
        """Write ``gave_up.json``, on rank 0."""
        if self._context.rank != 0:
            return
        file = self._training_dir / GAVE_UP
        gave_up = GaveUp(reason=reason, remedy=remedy, retryable=retryable).model_dump()
        try:
            write_json(file, gave_up)
        except OSError:  # the disk is full, and progress.json is not needed any longer
            (self._training_dir / PROGRESS).unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                write_json(file, gave_up)

    def _write_progress(self, target_tokens_per_second: float) -> None:
        """Write ``progress.json``, on rank 0."""
        if self._context.rank != 0:
            return
        last = self._state.history[-1] if self._state.history else None
        progress = TrainingProgress(
            step=self._state.step,
            n_steps=self._n_steps,
            target_tokens_per_second=target_tokens_per_second,
            train_loss=last.train_loss if last else None,
            valid_bleu=last.valid_bleu if last else None,
            history=tuple(self._state.history),
        )
        with contextlib.suppress(OSError):  # training does not depend on this file
            write_json(self._training_dir / PROGRESS, progress.model_dump())


def _copied(model: SimpleSeq2SeqLSTM) -> dict[str, torch.Tensor]:
    """A copy of the weights by name, on the CPU and outside of shared memory."""
    return {name: weight.cpu().clone() for name, weight in model.state_dict().items()}
