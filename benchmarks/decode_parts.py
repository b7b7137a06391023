"""Parts of the decoding speed: two processes, one sentence at a time, and a profile of the time.

    python benchmarks/decode_parts.py ../multi30k --bundle models/plain

Each process has one thread. Runs of one process and of two alternate. The profiles compare the
engine on torch's operations with the engine on the compiled kernels, in which a matrix product and
the LSTM cell or the arg max after it are one operation.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from _shared import read_lines

from lingo_model import DECODE_PRECISIONS, Engine, Translator, load_bundle
from lingo_model.decoding.torch_decoder import TorchDecoder
from lingo_model.kernels import decoding as kernels
from lingo_model.kernels.library import native_precisions
from lingo_model.special_ids import EOS_ID

# Parts of the work, and substrings of the names of torch's operations that do them.
PARTS = {
    "matrix products": ("mm", "linear", "mkldnn_rnn", "lstm_mkldnn"),
    "gates and states": ("sigmoid", "tanh", "mul", "add", "chunk", "lstm"),
    "arg max and log p": ("max", "logsumexp", "softmax"),
    "moving data": ("copy", "cat", "index", "select", "embedding", "clone", "stack"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("corpus", type=Path, help="Multi30k's folder")
    parser.add_argument("--bundle", type=Path, required=True, help="a trained model")
    parser.add_argument("--lines", type=int, default=5000, help="of train.en (default 5000)")
    parser.add_argument("--rounds", type=int, default=3, help="alternations (default 3)")
    parser.add_argument("--worker", choices=DECODE_PRECISIONS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = read_lines(options.corpus / "train.en.gz", options.lines)
    if options.worker:
        work(options, lines)
        return
    print_two_processes(options)
    print_single_sentences(options, lines)
    print_profiles(options, lines)


# ---- Two processes -------------------------------------------------------------------------------


def print_two_processes(options: argparse.Namespace) -> None:
    """Print the speed of one process and the sum of two, which share caches and memory."""
    print(f"sentences/s of one process and of two at once, {options.rounds} rounds")
    for precision in native_precisions() or ("float32",):
        alone, together = [], []
        for _ in range(options.rounds):
            alone.append(sum(rates(options, precision, 1)))
            together.append(sum(rates(options, precision, 2)))
        rate, rate_of_two = statistics.median(alone), statistics.median(together)
        ratio = rate_of_two / rate
        print(f"  {precision:8}{rate:8,.0f}{rate_of_two:8,.0f}   ratio {ratio:.2f}", flush=True)


def rates(options: argparse.Namespace, precision: str, n_processes: int) -> list[float]:
    """Sentences/s of each process. All begin when the last one has loaded its model."""
    command = [sys.executable, __file__, str(options.corpus), "--bundle", str(options.bundle)]
    command += ["--lines", str(options.lines), "--worker", precision]
    processes = [
        subprocess.Popen(
            command,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(n_processes)
    ]
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    return [float(process.communicate()[0]) for process in processes]


def work(options: argparse.Namespace, lines: list[str]) -> None:
    """Load the model, wait for a line on stdin, translate, and print sentences/s."""
    translator = Translator(load_bundle(options.bundle), precision=options.worker)
    translator.translate(lines[:64])
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.perf_counter()
    translator.translate(lines)
    print(len(lines) / (time.perf_counter() - started), flush=True)


# ---- One sentence at a time ----------------------------------------------------------------------


def print_single_sentences(options: argparse.Namespace, lines: list[str]) -> None:
    """Print the time that a sentence of 15 tokens takes alone."""
    bundle = load_bundle(options.bundle)
    ids = bundle.subwords.encode(lines)
    sentences = [line for line, pieces in zip(lines, ids, strict=True) if len(pieces) == 15][:200]
    print(f"\none sentence of 15 tokens at a time, text to text, {len(sentences)} sentences: ms")
    for precision in native_precisions() or ("float32",):
        translator = Translator(bundle, precision=precision)
        translator.translate(sentences[:10])
        times = []
        for line in sentences:
            started = time.perf_counter()
            translator.translate([line])
            times.append(1000 * (time.perf_counter() - started))
        median, percentile_95 = statistics.median(times), statistics.quantiles(times, n=20)[-1]
        print(f"  {precision:8} median {median:.1f}   95th percentile {percentile_95:.1f}")


# ---- Profiles ------------------------------------------------------------------------------------


def print_profiles(options: argparse.Namespace, lines: list[str]) -> None:
    """Print the time of each part of the work, on torch's operations and on the kernels."""
    bundle = load_bundle(options.bundle)
    sources = [[*ids, EOS_ID] for ids in bundle.subwords.encode(lines)]
    on_torch = Engine(bundle.model)
    on_torch._decoder = TorchDecoder(bundle.model)
    print_profile("torch's operations, float32", torch_profile(on_torch, sources))
    for precision in native_precisions():
        engine = Engine(bundle.model, precision=precision)
        print_profile(f"compiled kernels, {precision}", kernel_profile(engine, sources))


def print_profile(name: str, seconds_by_part: dict[str, float]) -> None:
    total = sum(seconds_by_part.values())
    print(f"\n{name}: {total:.2f} s")
    for part, seconds in sorted(seconds_by_part.items(), key=lambda item: -item[1]):
        print(f"  {part:24}{seconds:7.2f} s{seconds / total:6.0%}")


def torch_profile(engine: Engine, sources: list[list[int]]) -> dict[str, float]:
    """Seconds of each of ``PARTS``, by torch's profiler."""
    engine.translate(sources[:64])
    seconds_by_part: dict[str, float] = defaultdict(float)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        engine.translate(sources)
    for event in profiler.key_averages():
        part = next((p for p, names in PARTS.items() if any(n in event.key for n in names)), "rest")
        seconds_by_part[part] += event.self_cpu_time_total / 1e6
    return dict(seconds_by_part)


def kernel_profile(engine: Engine, sources: list[list[int]]) -> dict[str, float]:
    """Seconds of each kernel, by a clock around its Python function."""
    engine.translate(sources[:64])
    seconds_by_part: dict[str, float] = defaultdict(float)

    def timed(function: Callable[..., Any], part: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            result = function(*arguments, **options)
            seconds_by_part[part] += time.perf_counter() - started
            return result

        return call

    parts = {
        "encode_layer": "encoder layers",
        "decode_layer": "decoder layers",
        "attend": "attention",
        "linear": "attention's products",
        "arg_max": "output and arg max",
    }
    originals = {name: getattr(kernels, name) for name in parts}
    for name, part in parts.items():
        setattr(kernels, name, timed(originals[name], part))
    started = time.perf_counter()
    engine.translate(sources)
    seconds = time.perf_counter() - started
    for name, function in originals.items():
        setattr(kernels, name, function)
    seconds_by_part["Python and small tensors"] = seconds - sum(seconds_by_part.values())
    return dict(seconds_by_part)


if __name__ == "__main__":
    main()
