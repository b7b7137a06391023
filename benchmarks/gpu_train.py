"""Training on one CUDA GPU: target tokens a second, by precision and tokens per step.

    python benchmarks/gpu_train.py --dataset DATASET [--preset production]

It takes the steps of a training worker in one process, without Ray. Each line of the table has the
median over windows of steps in alternating rounds, the ratio to the first line, and the peak GPU
memory.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that the script runs without an installation

from pipeline.dataset.dataset import open_dataset  # noqa: E402
from pipeline.train.batches import BatchPlan, ShardReader  # noqa: E402
from pipeline.train.gradients import accumulate_gradients  # noqa: E402
from pipeline.train.new_update import new_update  # noqa: E402
from pipeline.train.optimizer import learning_rate  # noqa: E402
from pipeline.train.recipe import PRESETS, TrainConfig  # noqa: E402
from pipeline.train.worker import new_model  # noqa: E402
from pipeline.train.worker_context import WorkerContext  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--dataset", type=Path, required=True, help="the dataset that `lingo prepare` made"
    )
    parser.add_argument("--preset", choices=list(PRESETS), default="production")
    parser.add_argument("--tokens", type=int, nargs="*", default=[1000, 4000, 16_000])
    parser.add_argument("--steps", type=int, default=40, help="of each window (default 40)")
    parser.add_argument("--rounds", type=int, default=3, help="alternations (default 3)")
    parser.add_argument("--device", default="cuda", help="cpu to test the script")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no CUDA device; nothing was measured")
    device = torch.device(options.device)
    runs = {}
    for n_tokens, precision in itertools.product(options.tokens, ("float32", "bfloat16")):
        changes = {"target_tokens_per_step": n_tokens, "precision": precision, "n_data_shards": 1}
        config = PRESETS[options.preset].model_copy(update=changes)
        runs[f"{precision}, {n_tokens:,} tokens per step"] = Run(options.dataset, config, device)
    rates: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(options.rounds + 1):  # the first round warms up
        for name, run in runs.items():
            rate = run.window(options.steps)
            if number:
                rates[name].append(rate)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}; preset {options.preset}\n")
    print(f"{'':34}{'tokens/s':>10}{'range':>18}{'ratio':>7}{'peak MB':>9}")
    base = statistics.median(next(iter(rates.values())))
    for name, of_name in rates.items():
        median = statistics.median(of_name)
        between = f"{min(of_name):,.0f}-{max(of_name):,.0f}"
        peak = runs[name].peak_mb
        print(f"{name:34}{median:10,.0f}{between:>18}{median / base:7.2f}{peak:9,.0f}")


class Run:
    """A training run of one worker, which advances by a window of steps at a time."""

    def __init__(self, dataset: Path, config: TrainConfig, device: torch.device) -> None:
        opened = open_dataset(dataset)
        self._config = config
        self._context = WorkerContext(0, 1, device)
        plan = BatchPlan(
            opened,
            n_data_shards=config.n_data_shards,
            target_tokens_per_step=config.target_tokens_per_step,
            seed=config.seed,
        )
        self._steps = plan.steps(first=0)
        self._n_steps = plan.n_steps(config.max_epochs)
        self._reader = ShardReader()
        model = new_model(opened.subwords(), config).to(device)
        self._update = new_update(model, config, self._context)
        self._update.loss.train()
        self.peak_mb = 0.0

    def window(self, n_steps: int) -> float:
        """Take ``n_steps`` steps; returns the target tokens a second."""
        if self._context.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        n_tokens = 0
        started = time.perf_counter()
        for step in itertools.islice(self._steps, n_steps):
            accumulate_gradients(self._update.loss, step, self._reader, self._context, self._config)
            rate = learning_rate(self._config, step.number, self._n_steps)
            self._update.step(rate, step.number)  # it reads the norm, so it waits for the GPU
            n_tokens += step.n_target_tokens
        seconds = time.perf_counter() - started
        if self._context.device.type == "cuda":
            self.peak_mb = max(self.peak_mb, torch.cuda.max_memory_allocated() / 2**20)
        return n_tokens / seconds


if __name__ == "__main__":
    main()
