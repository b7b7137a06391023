"""Decoding on one CUDA GPU: the engine by precision and number of slots, beside a plain loop.

    python benchmarks/gpu.py [--bundle models/en-de --source test.en --reference test.de]

Needs torch, sentencepiece, safetensors, sacrebleu and ``lingo_model``; no Ray. Without a bundle the
weights are random and every translation runs to a fixed length, which says so and shows speed
alone. The last lines are a table: sentences and tokens a second, ratio to the plain loop, peak GPU
memory, and with a bundle BLEU and the share of lines that equal float32 on this GPU.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # runs without an installation

from plain_loop import plain_loop  # noqa: E402

from lingo_model import (  # noqa: E402
    Engine,
    Hypothesis,
    SearchConfig,
    SimpleSeq2SeqLSTM,
    load_bundle,
)

N_PIECES = 8000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--bundle", type=Path, help="a trained model")
    parser.add_argument("--source", type=Path, help="text to translate, a sentence a line")
    parser.add_argument("--reference", type=Path, help="its translations, for BLEU")
    parser.add_argument("--sentences", type=int, default=20_000, help="with random weights")
    parser.add_argument("--slots", type=int, nargs="*", default=[512, 1024, 2048, 4096])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda", help="cpu to try the script")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no CUDA device here; nothing was measured")
    if (options.bundle is None) != (options.source is None):
        parser.error("--bundle and --source go together")
    device = torch.device(options.device)
    model, sources, decode, search = _work(options, device)
    runs = _contestants(model, sources, search, options.slots)
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    found: dict[str, list[Hypothesis]] = {}
    peaks: dict[str, float] = {}
    for number in range(options.rounds + 1):  # the first round warms up
        for name, run in runs.items():
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats()
            started = time.perf_counter()
            found[name] = run()
            if device.type == "cuda":
                torch.cuda.synchronize()
                peaks[name] = torch.cuda.max_memory_allocated() / 2**20
            if number:
                seconds[name].append(time.perf_counter() - started)
    what = str(options.bundle) if options.bundle else "random weights, fixed length: speed alone"
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}; {len(sources)} sentences; {what}\n")
    references = options.reference.read_text().splitlines() if options.reference else None
    _print_table(seconds, found, peaks, decode, references)


def _work(
    options: argparse.Namespace, device: torch.device
) -> tuple[SimpleSeq2SeqLSTM, list[list[int]], Any, SearchConfig]:
    if options.bundle is not None:
        bundle = load_bundle(options.bundle, device=device)
        lines = options.source.read_text(encoding="utf-8").splitlines()
        sources = [[*ids, 3] for ids in bundle.subwords.encode(lines)]
        return bundle.model, sources, bundle.subwords.decode, SearchConfig()
    torch.manual_seed(0)
    model = SimpleSeq2SeqLSTM(N_PIECES, N_PIECES, attention=True, bidirectional=True)
    with torch.no_grad():
        model.output.bias[3] = -1e4  # never ends by itself
    draw = random.Random(0)
    sources = [
        [*(draw.randrange(14, N_PIECES) for _ in range(draw.randint(6, 24))), 3]
        for _ in range(options.sentences)
    ]
    search = SearchConfig(max_length_ratio=1.0, max_length_offset=0)
    return model.to(device).eval(), sources, None, search


def _contestants(
    model: SimpleSeq2SeqLSTM, sources: list[list[int]], search: SearchConfig, slots: list[int]
) -> dict[str, Callable[[], list[Hypothesis]]]:
    runs: dict[str, Callable[[], list[Hypothesis]]] = {
        "plain loop, float32": lambda: plain_loop(
            model, sources, batch_size=256, max_length=search.max_length
        )
    }
    for precision in ("float32", "bfloat16"):
        for n_slots in slots:
            engine = Engine(model, precision=precision, n_slots=n_slots)  # type: ignore[arg-type]
            runs[f"engine {precision}, {n_slots} slots"] = lambda engine=engine: engine.translate(
                sources, search
            )
    return runs


def _print_table(
    seconds: dict[str, list[float]],
    found: dict[str, list[Hypothesis]],
    peaks: dict[str, float],
    decode: Any,
    references: list[str] | None,
) -> None:
    import sacrebleu

    base = min(seconds["plain loop, float32"])
    exact = next(h for name, h in found.items() if name.startswith("engine float32"))
    print(f"{'':26}{'sent/s':>9}{'tokens/s':>11}{'ratio':>7}{'MB':>8}{'same':>8}{'BLEU':>7}")
    for name, times in seconds.items():
        best = min(times)
        n_tokens = sum(len(h.token_ids) for h in found[name])
        same = sum(
            a.token_ids == b.token_ids for a, b in zip(exact, found[name], strict=True)
        ) / len(exact)
        bleu = ""
        if references is not None:
            texts = decode([h.token_ids for h in found[name]])
            bleu = f"{sacrebleu.corpus_bleu(texts, [references]).score:.2f}"
        print(
            f"{name:26}{len(exact) / best:9,.0f}{n_tokens / best:11,.0f}{base / best:7.2f}"
            f"{peaks.get(name, 0.0):8,.0f}{same:8.1%}{bleu:>7}"
        )


if __name__ == "__main__":
    main()
