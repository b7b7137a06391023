"""Checks that need a CUDA GPU: numbers, memory and speed that no CPU can show.

    python benchmarks/gpu_checks.py [--bundle models/en-de --source test.en] [--dataset DATASET]

Needs torch, and neither Ray nor an installation. The checks of the weight update need a dataset,
pydantic, pyarrow and obstore. Each check prints lines that begin with OK, BAD or FYI, with a
figure. The exit status is 1 if a line is BAD, and 2 without a GPU. ``--device cpu`` runs the same
checks with small sizes, to test the script.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import dataclasses
import functools
import gc
import itertools
import os
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from gpu import (
    PRECISIONS,
    DecodingTask,
    add_task_options,
    decoding_task,
    device_name,
    measured,
    open_device,
)
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils.rnn import pad_sequence

from lingo_model import Engine, Hypothesis, SimpleSeq2SeqLSTM, SummedLoss
from lingo_model.special_ids import PAD_ID, SOS_ID

# float32 has 24 bits of precision and TF32 11, so their errors differ by a factor of thousands.
MAX_FLOAT32_SCORE_ERROR = 1e-5  # nats a target token
MAX_FLOAT32_GRADIENT_ERROR = 1e-4  # relative
MAX_BFLOAT16_GRADIENT_ERROR = 0.05  # relative
MAX_SEEDING_SECONDS = 2e-4
MAX_SENTENCES_ON_CPU = 40
N_SENTENCES_IN_FLOAT64 = 200
_COPIED_WEIGHTS = "single contiguous chunk of memory"  # in PyTorch's warning


@dataclasses.dataclass
class Report:
    """Prints the lines of the checks.

    Attributes:
        bad: the lines that are BAD.
        n_ok: the number of lines that are OK.
    """

    bad: list[str] = dataclasses.field(default_factory=list)
    n_ok: int = 0

    def expect(self, condition: bool, text: str, *, remedy: str = "") -> None:
        """Print a line that is OK if the condition holds, and else BAD with the remedy."""
        if condition:
            self.n_ok += 1
            print(f"OK   {text}", flush=True)
        else:
            self.bad.append(f"BAD  {text}{remedy and f'; {remedy}'}")
            print(self.bad[-1], flush=True)

    def inform(self, text: str) -> None:
        """Print a line with a figure that is neither good nor bad."""
        print(f"FYI  {text}", flush=True)


@dataclasses.dataclass(frozen=True)
class Setup:
    """What the checks work on.

    Attributes:
        device: the GPU, or the CPU to test the script.
        task: model and sources for decoding.
        dataset: folder of the dataset to train on, or None.
    """

    device: torch.device
    task: DecodingTask
    dataset: Path | None

    @property
    def on_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.type == "cuda"

    @property
    def slots(self) -> tuple[int, ...]:
        """Numbers of slots of the engine to compare."""
        return (512, 1024, 2048, 4096) if self.on_gpu else (8, 16)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add_task_options(parser)
    parser.add_argument("--dataset", type=Path, help="the dataset that `lingo prepare` made")
    parser.add_argument("--only", nargs="*", choices=list(CHECKS), default=list(CHECKS))
    options = parser.parse_args()
    device = open_device(options.device)
    if device.type == "cpu":
        options.sentences = min(options.sentences, MAX_SENTENCES_ON_CPU)
    setup = Setup(device, decoding_task(options, device), options.dataset)
    report = Report()
    report.inform(f"{device_name(device)}, CUDA {torch.version.cuda}; {setup.task.name}")
    messages: list[str] = []
    for name in options.only:
        started = time.monotonic()
        messages += run_check(name, setup, report)
        print(f"     {name}: {time.monotonic() - started:.1f} s", flush=True)
    for message in dict.fromkeys(messages):
        report.inform(f"warning: {message[:200]}")
    is_copied = any(_COPIED_WEIGHTS in message for message in messages)
    report.expect(not is_copied, f"{len(messages)} warnings, none of weights copied at each call")
    print(f"\n{report.n_ok} OK, {len(report.bad)} BAD")
    print(*report.bad, sep="\n")
    raise SystemExit(1 if report.bad else 0)


def run_check(name: str, setup: Setup, report: Report) -> list[str]:
    """Run one check; an error makes it BAD. Returns the texts of the warnings that it caused."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            CHECKS[name](setup, report)
        except Exception as error:  # noqa: BLE001 - the other checks run all the same
            missing = error.name or "" if isinstance(error, ModuleNotFoundError) else ""
            if missing and not missing.startswith(("lingo_model", "pipeline")):
                report.inform(f"{name} is skipped: no module named {missing}")
            else:
                traceback.print_exc()
                report.expect(False, f"{name}: {type(error).__name__}: {str(error)[:200]}")
    return [" ".join(str(warning.message).split()) for warning in caught]


# ---- Numbers -------------------------------------------------------------------------------------


def check_float32_decoding(setup: Setup, report: Report) -> None:
    """Decoding in float32 has the errors of float32 and not those of TF32.

    The engine runs with PyTorch's settings, then with TF32 switched off in cuDNN. The scores are
    compared with those of the same translations in float64 on the CPU.
    """
    task = setup.task
    sources = task.sources[:N_SENTENCES_IN_FLOAT64]
    default = torch.backends.cudnn.allow_tf32
    for allow_tf32 in dict.fromkeys((default, False)):
        torch.backends.cudnn.allow_tf32 = allow_tf32
        try:
            hypotheses = Engine(task.model, precision="float32").translate(sources, task.search)
        finally:
            torch.backends.cudnn.allow_tf32 = default
        scores = torch.tensor([h.score for h in hypotheses], dtype=torch.float64)
        error = float((scores - float64_scores(task.model, sources, hypotheses)).abs().max())
        report.expect(
            error < MAX_FLOAT32_SCORE_ERROR,
            f"decoding in float32, cudnn.allow_tf32={allow_tf32}: score off by at most {error:.1e} "
            f"nats a token (limit {MAX_FLOAT32_SCORE_ERROR:.0e})",
        )


def float64_scores(
    model: SimpleSeq2SeqLSTM, sources: list[list[int]], hypotheses: list[Hypothesis]
) -> Tensor:
    """Mean log probability of a target token (nats) of each translation, float64 ``[N]``."""
    source, target_in, target_out = padded_batch(sources, [h.token_ids for h in hypotheses])
    with torch.inference_mode():
        reference = copy.deepcopy(model).cpu().double()
        state, encoder_outputs = reference.encode(source)
        logits, _, _ = reference.decode(target_in, state, encoder_outputs)
        log_probs = logits.log_softmax(dim=2).gather(2, target_out.unsqueeze(2)).squeeze(2)
    is_token = target_out != PAD_ID
    return (log_probs * is_token).sum(dim=1) / is_token.sum(dim=1)


def padded_batch(
    sources: list[list[int]], targets: list[list[int]]
) -> tuple[Tensor, Tensor, Tensor]:
    """Pad rows of ids to ``[B, S]``, and targets as input from sos and as output, ``[B, T]``."""
    source, target_in, target_out = (
        pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=PAD_ID)
        for rows in (sources, [[SOS_ID, *ids[:-1]] for ids in targets], targets)
    )
    return source, target_in, target_out


def check_gradients(setup: Setup, report: Report) -> None:
    """Gradients have the errors of their precision, also if a step has many tokens.

    The loss of a step is divided by its target tokens. If autocast ran an LSTM in float16, small
    gradients would become zero, and the error would grow with the tokens.
    """
    sources = setup.task.sources[:64]
    batch = padded_batch(sources, sources)  # any targets give gradients
    model = training_copy(setup.task.model, dropout=0.0)
    expected = gradient(copy.deepcopy(model).cpu().double(), batch)
    limits = {"float32": MAX_FLOAT32_GRADIENT_ERROR, "bfloat16": MAX_BFLOAT16_GRADIENT_ERROR}
    for precision, n_target_tokens in itertools.product(limits, (1000, 16_000, 64_000)):
        autocast = precision == "bfloat16"
        scaled = gradient(model, batch, n_target_tokens=n_target_tokens, autocast=autocast)
        error = float((scaled * n_target_tokens - expected).norm() / expected.norm())
        report.expect(
            error < limits[precision],
            f"gradients in {precision}, {n_target_tokens:,} tokens a step: relative error "
            f"{error:.1e} (limit {limits[precision]:.0e})",
        )


def training_copy(model: SimpleSeq2SeqLSTM, *, dropout: float) -> SimpleSeq2SeqLSTM:
    """A copy in ``train`` mode with this dropout between LSTM layers and none elsewhere."""
    config = dataclasses.replace(
        model.config, lstm_dropout=dropout, lstm_embedding_dropout=0.0, lstm_output_dropout=0.0
    )
    trained = SimpleSeq2SeqLSTM(model.src_vocab_size, model.tgt_vocab_size, config=config)
    trained.load_state_dict(model.state_dict())
    return trained.to(model.output.weight.device).train()


def gradient(
    model: SimpleSeq2SeqLSTM,
    batch: tuple[Tensor, Tensor, Tensor],
    *,
    n_target_tokens: int = 1,
    autocast: bool = False,
) -> Tensor:
    """The gradient of the recurrent weights of the decoder's last layer, float64 on the CPU.

    Args:
        model: in ``train`` mode.
        batch: as :func:`padded_batch` makes it.
        n_target_tokens: the summed loss is divided by it.
        autocast: whether the forward pass runs under bfloat16 autocast.
    """
    weight = getattr(model.decoder, f"weight_hh_l{model.num_layers - 1}")
    on_device = [ids.to(weight.device) for ids in batch]
    with torch.autocast(weight.device.type, torch.bfloat16, enabled=autocast):
        loss = SummedLoss(model)(*on_device)
    (result,) = torch.autograd.grad(loss / n_target_tokens, [weight])
    return result.detach().cpu().double()


def check_repeats(setup: Setup, report: Report) -> None:
    """Greedy decoding gives the same bits in each run, and the same dropout for a seed."""
    task = setup.task
    expected: list[Hypothesis] = []
    for precision in PRECISIONS:
        engine = Engine(task.model, precision=precision, n_slots=setup.slots[-1])
        first, second = (engine.translate(task.sources, task.search) for _ in range(2))
        report.expect(first == second, f"greedy decoding in {precision}: two runs are equal")
        other = Engine(task.model, precision=precision, n_slots=setup.slots[0])
        share = equal_share(first, other.translate(task.sources, task.search))
        slots = f"{setup.slots[-1]} and {setup.slots[0]} slots"
        report.inform(f"greedy decoding in {precision}: {share:.1%} equal with {slots}")
        expected = expected or first
    report.inform(f"greedy decoding: {equal_share(first, expected):.1%} equal in both precisions")

    source = padded_batch(task.sources[:64], task.sources[:64])[0].to(setup.device)
    model = training_copy(task.model, dropout=0.3)

    def encode(seed: int | None) -> Tensor:
        if seed is not None:
            torch.manual_seed(seed)
        with torch.no_grad():
            return model.encode(source)[1].outputs

    same, different = torch.equal(encode(7), encode(7)), torch.equal(encode(7), encode(8))
    report.expect(same and not different, "a seed gives the same dropout, and another seed another")
    unseeded, seeded = (median_seconds(functools.partial(encode, seed)) for seed in (None, 7))
    report.expect(
        seeded - unseeded < MAX_SEEDING_SECONDS or not setup.on_gpu,
        f"an encoder pass takes {1000 * unseeded:.2f} ms, and {1000 * seeded:.2f} ms after a seed",
    )


def equal_share(some: list[Hypothesis], others: list[Hypothesis]) -> float:
    """The share of translations that have the same ids."""
    return sum(a.token_ids == b.token_ids for a, b in zip(some, others, strict=True)) / len(some)


def median_seconds(call: Callable[[], Tensor]) -> float:
    """The median time of a call, with the GPU's work."""
    times = []
    for _ in range(11):
        started = time.perf_counter()
        call().sum().item()  # waits for the GPU
        times.append(time.perf_counter() - started)
    return sorted(times[1:])[5]


# ---- Speed and memory ----------------------------------------------------------------------------


def check_speed(setup: Setup, report: Report) -> None:
    """Print the speed by number of slots; the memory of an engine is free when it is deleted."""
    task = setup.task
    for precision in PRECISIONS:  # so that cuBLAS and cuDNN have allocated their workspaces
        Engine(task.model, precision=precision).translate(task.sources, task.search)
    for precision, n_slots in itertools.product(PRECISIONS, setup.slots):
        gc.collect()
        before_mb = allocated_mb(setup)
        engine = Engine(task.model, precision=precision, n_slots=n_slots)
        run = functools.partial(engine.translate, task.sources, task.search)
        measured(run, setup.device)  # warms up
        cpu_started = time.process_time()
        hypotheses, seconds, peak_mb = measured(run, setup.device)
        busy = (time.process_time() - cpu_started) / seconds
        n_tokens = sum(len(hypothesis.token_ids) for hypothesis in hypotheses)
        report.inform(
            f"{precision}, {n_slots} slots: {len(hypotheses) / seconds:,.0f} sentences/s, "
            f"{n_tokens / seconds:,.0f} tokens/s, host {busy:.0%} busy, peak {peak_mb:,.0f} MB"
        )
        del engine, run
        gc.collect()
        kept_mb = allocated_mb(setup) - before_mb
        report.expect(kept_mb < 1.0, f"{precision}, {n_slots} slots: {kept_mb:.1f} MB kept")
    report.inform(f"the host waits {count_waits(setup)} times in {len(task.sources)} sentences")


def allocated_mb(setup: Setup) -> float:
    """The GPU memory of live tensors (MB); 0 on a CPU."""
    return torch.cuda.memory_allocated() / 2**20 if setup.on_gpu else 0.0


def count_waits(setup: Setup) -> int:
    """How often the host waits for the GPU while the engine decodes in bfloat16."""
    if not setup.on_gpu:
        return 0
    engine = Engine(setup.task.model, precision="bfloat16")
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as waits:
            warnings.simplefilter("always")
            engine.translate(setup.task.sources, setup.task.search)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return len(waits)


# ---- Training ------------------------------------------------------------------------------------


def check_weight_update(setup: Setup, report: Report) -> None:
    """Training steps give the same bits when repeated, resumed, and in DistributedDataParallel."""
    if setup.dataset is None:
        report.inform("the weight update is skipped: give --dataset")
        return
    n_steps = 10 if setup.on_gpu else 4
    for precision in PRECISIONS:
        train = functools.partial(train_steps, setup, precision)
        if setup.on_gpu:
            torch.cuda.reset_peak_memory_stats()
        expected = train(0, n_steps)
        if setup.on_gpu:
            peak_mb = torch.cuda.max_memory_allocated() / 2**20
            report.inform(f"training in {precision}: peak {peak_mb:,.0f} MB")
        finite = all(bool(torch.isfinite(weight).all()) for weight in expected.weights.values())
        report.expect(finite, f"training in {precision}: finite weights after {n_steps} steps")
        half = train(0, n_steps // 2)
        with process_group(setup):
            distributed = train(0, n_steps, distributed=True)
        states = {
            "repeated": train(0, n_steps),
            "resumed": train(n_steps // 2, n_steps, start=half),
            "in DistributedDataParallel": distributed,
        }
        for name, state in states.items():
            report.expect(
                equal(state, expected),
                f"training in {precision}: steps have the same bits {name}",
                remedy="try again with CUBLAS_WORKSPACE_CONFIG=:4096:8",
            )
    with process_group(setup):
        values: list[Any] = [None]
        dist.all_gather_object(values, {"step": 1})
    report.expect(values == [{"step": 1}], "a process group of one worker gathers objects")


@dataclasses.dataclass(frozen=True)
class TrainedState:
    """The weights, their moving average, and the optimiser's state after some steps."""

    weights: dict[str, Tensor]
    ema_weights: dict[str, Tensor]
    optimizer: dict[str, Any]


def train_steps(
    setup: Setup,
    precision: str,
    first: int,
    end: int,
    *,
    start: TrainedState | None = None,
    distributed: bool = False,
) -> TrainedState:
    """Train for the steps from ``first`` up to ``end``.

    Args:
        setup: it has a dataset.
        precision: of the recipe.
        first: number of the first step.
        end: number of the last step, plus 1.
        start: the state after the steps before ``first``; None to start anew.
        distributed: whether DistributedDataParallel wraps the loss, in a process group of one.
    """
    from pipeline.dataset.dataset import open_dataset
    from pipeline.train.batches import BatchPlan, ShardReader
    from pipeline.train.gradients import accumulate_gradients
    from pipeline.train.recipe import PRESETS
    from pipeline.train.weight_updates import DDPUpdate
    from pipeline.train.worker_context import WorkerContext

    assert setup.dataset is not None
    small = {} if setup.on_gpu else {"emb_dim": 16, "hidden_dim": 32, "target_tokens_per_step": 100}
    config = PRESETS["production"].model_copy(update={"precision": precision} | small)
    dataset = open_dataset(setup.dataset)
    size = dataset.manifest.vocab_size
    torch.manual_seed(config.seed)
    model = SimpleSeq2SeqLSTM(size, size, config=config.for_model()).to(setup.device)
    context = WorkerContext(0, 1, setup.device)
    update = DDPUpdate(model, config, context)
    assert update.ema_model is not None
    if start is not None:
        update.load(start.weights, start.ema_weights, start.optimizer)
    if distributed:
        update.loss = DistributedDataParallel(update.loss)
    update.loss.train()
    plan = BatchPlan(
        dataset,
        n_data_shards=config.n_data_shards,
        target_tokens_per_step=config.target_tokens_per_step,
        seed=config.seed,
    )
    reader = ShardReader()
    for step in itertools.islice(plan.steps(first=first), end - first):
        accumulate_gradients(update.loss, step, reader, context, config)
        update.step(config.learning_rate, step.number)
    return TrainedState(
        copy.deepcopy(model.state_dict()),
        copy.deepcopy(update.ema_model.state_dict()),
        copy.deepcopy(update.state()),
    )


def equal(some: TrainedState, other: TrainedState) -> bool:
    """Whether all weights, averages and moments have the same bits."""
    moments = [name for name, value in some.optimizer.items() if isinstance(value, dict)]
    pairs = [(some.weights, other.weights), (some.ema_weights, other.ema_weights)]
    pairs += [(some.optimizer[name], other.optimizer[name]) for name in moments]
    return all(torch.equal(a[name], b[name]) for a, b in pairs for name in a)


@contextlib.contextmanager
def process_group(setup: Setup) -> Iterator[None]:
    """A process group of this worker alone, over the loopback interface."""
    os.environ |= {"NCCL_SOCKET_IFNAME": "lo", "GLOO_SOCKET_IFNAME": "lo"}
    if setup.on_gpu:
        torch.cuda.set_device(0)  # objects are gathered on the current device
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group(
            "nccl" if setup.on_gpu else "gloo",
            init_method=Path(folder, "rendezvous").as_uri(),
            rank=0,
            world_size=1,
        )
        try:
            yield
        finally:
            dist.destroy_process_group()


CHECKS: dict[str, Callable[[Setup, Report], None]] = {
    "float32_decoding": check_float32_decoding,
    "gradients": check_gradients,
    "repeats": check_repeats,
    "speed": check_speed,
    "weight_update": check_weight_update,
}

if __name__ == "__main__":
    main()
