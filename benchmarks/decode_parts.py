"""Beside benchmarks/decode.py: two processes, one sentence alone, and where the time goes.

    python benchmarks/decode_parts.py ../multi30k --bundle models/plain

Each process has one thread. Two processes and one alternate; the profiles show the same engine on
torch's operations (what it was before the products ended in the cell and in the arg max) and on the
compiled kernels.
"""

from __future__ import annotations

import argparse
import gzip
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

from lingo_model import DECODE_PRECISIONS, Engine, Translator, load_bundle
from lingo_model.decoding.torch_decoder import TorchDecoder
from lingo_model.kernels import decoding as kernels
from lingo_model.kernels.library import native_precisions

# Names of torch's operations, by the part of the work that they do.
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
    with gzip.open(options.corpus / "train.en.gz", "rt", encoding="utf-8") as file:
        lines = file.read().splitlines()[: options.lines]
    if options.worker:
        work(options, lines)
        return
    two_processes(options)
    one_sentence(options, lines)
    profiles(options, lines)


# ---- Two processes -------------------------------------------------------------------------------


def two_processes(options: argparse.Namespace) -> None:
    print(f"sentences/s of one process and of two at once, {options.rounds} rounds")
    for precision in native_precisions() or ("float32",):
        alone, together = [], []
        for _ in range(options.rounds):
            alone.append(sum(rates(options, precision, 1)))
            together.append(sum(rates(options, precision, 2)))
        one, two = statistics.median(alone), statistics.median(together)
        print(f"  {precision:6}{one:8,.0f}{two:8,.0f}   ratio {two / one:.2f}", flush=True)


def rates(options: argparse.Namespace, precision: str, n_processes: int) -> list[float]:
    """Sentences/s of each process; all begin together, when the last has loaded its model."""
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
    translator = Translator(load_bundle(options.bundle), precision=options.worker)
    translator.translate(lines[:64])
    print("ready", flush=True)
    sys.stdin.readline()
    started = time.perf_counter()
    translator.translate(lines)
    print(len(lines) / (time.perf_counter() - started), flush=True)


# ---- One sentence alone --------------------------------------------------------------------------


def one_sentence(options: argparse.Namespace, lines: list[str]) -> None:
    bundle = load_bundle(options.bundle)
    ids = bundle.subwords.encode(lines)
    chosen = [line for line, pieces in zip(lines, ids, strict=True) if len(pieces) == 15][:200]
    print(f"\none sentence of 15 tokens alone, text to text, {len(chosen)} sentences: ms")
    for precision in native_precisions() or ("float32",):
        translator = Translator(bundle, precision=precision)
        translator.translate(chosen[:10])
        times = []
        for line in chosen:
            started = time.perf_counter()
            translator.translate([line])
            times.append(1000 * (time.perf_counter() - started))
        slow = statistics.quantiles(times, n=20)[-1]
        print(f"  {precision:6} median {statistics.median(times):.1f}   95th percentile {slow:.1f}")


# ---- Where the time goes -------------------------------------------------------------------------


def profiles(options: argparse.Namespace, lines: list[str]) -> None:
    bundle = load_bundle(options.bundle)
    sources = [[*ids, 3] for ids in bundle.subwords.encode(lines)]
    on_torch = Engine(bundle.model)
    on_torch._decoder = TorchDecoder(bundle.model)
    show("torch's operations, float32", torch_parts(on_torch, sources))
    for precision in native_precisions():
        show(
            f"compiled kernels, {precision}",
            kernel_parts(Engine(bundle.model, precision=precision), sources),
        )


def show(name: str, seconds_by_part: dict[str, float]) -> None:
    total = sum(seconds_by_part.values())
    print(f"\n{name}: {total:.2f} s")
    for part, seconds in sorted(seconds_by_part.items(), key=lambda item: -item[1]):
        print(f"  {part:24}{seconds:7.2f} s{seconds / total:6.0%}")


def torch_parts(whole: Engine, sources: list[list[int]]) -> dict[str, float]:
    whole.translate(sources[:64])
    found: dict[str, float] = defaultdict(float)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
        whole.translate(sources)
    for event in profiler.key_averages():
        seconds = event.self_cpu_time_total / 1e6
        part = next((p for p, names in PARTS.items() if any(n in event.key for n in names)), "rest")
        found[part] += seconds
    return dict(found)


def kernel_parts(whole: Engine, sources: list[list[int]]) -> dict[str, float]:
    whole.translate(sources[:64])
    found: dict[str, float] = defaultdict(float)

    def timed(function: Callable[..., Any], part: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            result = function(*arguments, **options)
            found[part] += time.perf_counter() - started
            return result

        return call

    names = {
        "encode_layer": "encoder layers",
        "decode_layer": "decoder layers",
        "attend": "attention",
        "linear": "attention's products",
        "arg_max": "output and arg max",
    }
    originals = {name: getattr(kernels, name) for name in names}
    for name, part in names.items():
        setattr(kernels, name, timed(originals[name], part))
    started = time.perf_counter()
    whole.translate(sources)
    seconds = time.perf_counter() - started
    for name, function in originals.items():
        setattr(kernels, name, function)
    found["Python and small tensors"] = seconds - sum(found.values())
    return dict(found)


if __name__ == "__main__":
    main()
