"""Decoding on one CUDA GPU: the engine by precision and number of slots, beside a plain loop.

    python benchmarks/gpu.py [--bundle models/en-de --source test.en --reference test.de]

Needs torch, and neither Ray nor an installation. ``--bundle`` also needs safetensors and
sentencepiece, and ``--reference`` needs sacrebleu. Without a bundle the weights are random, all
translations have a fixed length, and the figures show speed alone. The table has sentences/s and
target tokens/s of the fastest round, the ratio to the plain loop, peak GPU memory, the share of
translations that equal those of the engine in float32, and BLEU.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # so that the script runs without an installation

from plain_loop import plain_loop  # noqa: E402

from lingo_model import (  # noqa: E402
    DecodePrecision,
    Engine,
    Hypothesis,
    SearchConfig,
    SimpleSeq2SeqLSTM,
)
from lingo_model.special_ids import EOS_ID  # noqa: E402

PRECISIONS: tuple[DecodePrecision, ...] = ("float32", "bfloat16")  # those that a GPU supports
N_PIECES = 8000
_FIRST_WORD_ID = 14  # ids below are special pieces


@dataclasses.dataclass(frozen=True)
class DecodingTask:
    """What to decode, and with which model.

    Attributes:
        model: in ``eval`` mode, on the device.
        sources: source ids with eos.
        search: settings of the search.
        decode: turns target ids into texts; None with random weights.
        name: the bundle, or that the weights are random.
    """

    model: SimpleSeq2SeqLSTM
    sources: list[list[int]]
    search: SearchConfig
    decode: Callable[[list[list[int]]], list[str]] | None
    name: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add_task_options(parser)
    parser.add_argument("--reference", type=Path, help="translations of --source, for BLEU")
    parser.add_argument("--slots", type=int, nargs="*", default=[512, 1024, 2048, 4096])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    device = open_device(options.device)
    task = decoding_task(options, device)
    runs = contestants(task, options.slots)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    hypotheses: dict[str, list[Hypothesis]] = {}
    peaks: dict[str, float] = {}
    for number in range(options.rounds + 1):  # the first round warms up
        for name, run in runs.items():
            hypotheses[name], run_seconds, peaks[name] = measured(run, device)
            if number:
                seconds[name].append(run_seconds)
    print(f"{device_name(device)}; {len(task.sources)} sentences; {task.name}\n")
    references = options.reference.read_text().splitlines() if options.reference else None
    print_table(seconds, hypotheses, peaks, task, references)


# ---- Shared with gpu_checks.py -------------------------------------------------------------------


def add_task_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that :func:`open_device` and :func:`decoding_task` read."""
    parser.add_argument("--bundle", type=Path, help="a trained model (default: random weights)")
    parser.add_argument("--source", type=Path, help="text to translate, a sentence a line")
    parser.add_argument(
        "--sentences", type=int, default=20_000, help="with random weights (default 20000)"
    )
    parser.add_argument("--device", default="cuda", help="cpu to test the script")


def open_device(name: str) -> torch.device:
    """The device of a name. Without a CUDA device, ``cuda`` ends the script with status 2."""
    if name == "cuda" and not torch.cuda.is_available():
        print(
            "no CUDA device; nothing was measured; --device cpu tests the script", file=sys.stderr
        )
        raise SystemExit(2)
    return torch.device(name)


def device_name(device: torch.device) -> str:
    """The names of the device and of the torch release."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    return f"{name}, torch {torch.__version__}"


def decoding_task(options: argparse.Namespace, device: torch.device) -> DecodingTask:
    """The bundle with its source text, or random weights with random sources."""
    if (options.bundle is None) != (options.source is None):
        raise SystemExit("--bundle and --source: give both or neither")
    if options.bundle is not None:
        from lingo_model import load_bundle

        bundle = load_bundle(options.bundle, device=device)
        lines = options.source.read_text(encoding="utf-8").splitlines()
        sources = [[*ids, EOS_ID] for ids in bundle.subwords.encode(lines)]
        decode = bundle.subwords.decode
        return DecodingTask(bundle.model, sources, SearchConfig(), decode, str(options.bundle))
    torch.manual_seed(0)
    model = SimpleSeq2SeqLSTM(N_PIECES, N_PIECES, attention=True, bidirectional=True)
    with torch.no_grad():
        model.output.weight *= 30  # so that errors of the hidden state show in the scores
        model.output.bias[EOS_ID] = -1e4  # so that only the length limit ends a translation
    draw = random.Random(0)
    sources = [
        [*(draw.randrange(_FIRST_WORD_ID, N_PIECES) for _ in range(draw.randint(6, 24))), EOS_ID]
        for _ in range(options.sentences)
    ]
    search = SearchConfig(max_length_ratio=1.0, max_length_offset=0)
    name = "random weights, fixed length: speed alone"
    return DecodingTask(model.to(device).eval(), sources, search, None, name)


def measured(
    run: Callable[[], list[Hypothesis]], device: torch.device
) -> tuple[list[Hypothesis], float, float]:
    """Run once; returns the result, seconds, and peak GPU memory in MB (0 on a CPU)."""
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    started = time.perf_counter()
    hypotheses = run()
    if on_gpu:
        torch.cuda.synchronize()
    seconds = time.perf_counter() - started
    return hypotheses, seconds, torch.cuda.max_memory_allocated() / 2**20 if on_gpu else 0.0


# ---- Contestants and table -----------------------------------------------------------------------


def contestants(task: DecodingTask, slots: list[int]) -> dict[str, Callable[[], list[Hypothesis]]]:
    """What is measured, by name."""
    runs: dict[str, Callable[[], list[Hypothesis]]] = {
        "plain loop, float32": lambda: plain_loop(
            task.model, task.sources, batch_size=256, max_length=task.search.max_length
        )
    }
    for precision in PRECISIONS:
        for n_slots in slots:
            engine = Engine(task.model, precision=precision, n_slots=n_slots)
            run = functools.partial(engine.translate, task.sources, task.search)
            runs[f"engine {precision}, {n_slots} slots"] = run
    return runs


def print_table(
    seconds: dict[str, list[float]],
    hypotheses: dict[str, list[Hypothesis]],
    peaks: dict[str, float],
    task: DecodingTask,
    references: list[str] | None,
) -> None:
    """Print one row for each contestant."""
    base = min(seconds["plain loop, float32"])
    expected = next(h for name, h in hypotheses.items() if name.startswith("engine float32"))
    print(f"{'':26}{'sent/s':>9}{'tokens/s':>11}{'ratio':>7}{'MB':>8}{'same':>8}{'BLEU':>7}")
    for name, times in seconds.items():
        fastest = min(times)
        ids = [hypothesis.token_ids for hypothesis in hypotheses[name]]
        n_tokens = sum(map(len, ids))
        n_same = sum(a == b.token_ids for a, b in zip(ids, expected, strict=True))
        bleu = ""
        if references is not None and task.decode is not None:
            import sacrebleu

            bleu = f"{sacrebleu.corpus_bleu(task.decode(ids), [references]).score:.2f}"
        print(
            f"{name:26}{len(ids) / fastest:9,.0f}{n_tokens / fastest:11,.0f}{base / fastest:7.2f}"
            f"{peaks[name]:8,.0f}{n_same / len(ids):8.1%}{bleu:>7}"
        )


if __name__ == "__main__":
    main()
