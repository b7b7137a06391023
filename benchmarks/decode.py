"""Decoding speed: this engine's precisions beside other decoders, in alternating runs.

    python benchmarks/decode.py ../multi30k --bundle models/plain --attention-bundle models/dot \
        --peer-models models/peers

Text in, text out with scores; every contestant is one process with one thread, on the same lines
and, where it can load them, the same weights. Models must have been trained, so that they stop by
themselves. Rounds alternate; a figure is the median over rounds, and what counts is the ratio of
figures of one run. ``make bench-peers`` installs the peers, ``benchmarks/peers/make_models.py``
makes their models; what is missing is left out, and said so.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".peers"
PRECISIONS = ("float32", "bfloat16", "int8")
# Contestant, its environment, the folder of its model, and sentences to a batch: of 32, 64, 128 and
# 256 what was fastest on 1,000 lines.
PEER_CONTESTANTS = (
    ("OpenNMT-py, our plain", "opennmt", "opennmt-plain", 256),
    ("OpenNMT-py, our attention", "opennmt", "opennmt", 128),
    ("JoeyNMT LSTM", "joeynmt", "joeynmt", 128),
    ("Marian s2s int8", "marian", "marian", 32),
    ("CTranslate2 6+2 int8", "ctranslate2", "transformer", 64),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("corpus", type=Path, nargs="?", help="Multi30k's folder")
    parser.add_argument("--bundle", type=Path, help="a trained model without attention")
    parser.add_argument("--attention-bundle", type=Path, help="a trained model with attention")
    parser.add_argument("--peer-models", type=Path, help="what peers/make_models.py made")
    parser.add_argument("--lines", type=int, default=5000, help="of train.en (default 5000)")
    parser.add_argument("--rounds", type=int, default=3, help="alternations (default 3)")
    parser.add_argument("--only", nargs="*", help="contestants by name; default all")
    parser.add_argument("--worker", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(work(options.worker)))
        return
    if options.corpus is None or options.bundle is None:
        parser.error("needs the corpus' folder and --bundle")
    compare(options)


def contestants(options: argparse.Namespace, texts: Path, folder: Path) -> dict[str, Any]:
    """Name to command and environment."""
    found: dict[str, Any] = {}

    def ours(name: str, bundle: Path, **job: Any) -> None:
        job |= {"bundle": str(bundle), "texts": str(texts), "output": str(folder / name)}
        found[name] = ([sys.executable, __file__, "--worker", json.dumps(job)], {})

    for precision in PRECISIONS:
        ours(f"lingo {precision}", options.bundle, precision=precision)
    ours("lingo int8 beam 5", options.bundle, precision="int8", beam_size=5)
    ours("plain torch loop", options.bundle, loop=64)
    if options.attention_bundle:
        for precision in PRECISIONS:
            ours(f"lingo {precision} attention", options.attention_bundle, precision=precision)
    if (PEERS / "torchlingo").exists():
        for batch_size in (64, 256):
            name = f"torchlingo batch {batch_size}"
            script = ROOT / "benchmarks" / "peers" / "decode_torchlingo.py"
            job = [options.bundle, texts, folder / name, batch_size]
            found[name] = (
                [sys.executable, str(script), *map(str, job)],
                {"PYTHONPATH": str(PEERS / "torchlingo")},
            )
    else:
        print("torchlingo is left out: `make bench-peers` installs it")
    for name, peer, model, batch_size in PEER_CONTESTANTS:
        python = PEERS / peer / "bin" / "python"
        models = options.peer_models
        if models is None or not (python.exists() and (models / model).exists()):
            print(f"{name} is left out: see benchmarks/peers/make_models.py and --peer-models")
            continue
        script = ROOT / "benchmarks" / "peers" / "decode_peer.py"
        subwords = options.bundle / "subwords.model"
        job = [python, script, peer, models / model, subwords, texts, folder / name, batch_size]
        found[name] = ([str(part) for part in job], {})
    return found


def compare(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        texts = folder / "source.txt"
        with gzip.open(options.corpus / "train.en.gz", "rt", encoding="utf-8") as file:
            lines = file.read().splitlines()[: options.lines]
        texts.write_text("\n".join(lines) + "\n", encoding="utf-8")
        all_of_them = contestants(options, texts, folder)
        if options.only:
            all_of_them = {k: v for k, v in all_of_them.items() if k in options.only}
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in all_of_them}
        for number in range(options.rounds):
            for name, (command, variables) in all_of_them.items():
                environment = os.environ | {"OMP_NUM_THREADS": "1"} | variables
                with (folder / f"{name}.log").open("w") as log:
                    done = subprocess.run(
                        command, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
                    )
                if done.returncode:
                    print((folder / f"{name}.log").read_text(), file=sys.stderr)
                    raise SystemExit(f"{name} ended with code {done.returncode}")
                runs[name].append(json.loads(done.stdout.splitlines()[-1]))
                rate = len(lines) / runs[name][-1]["seconds"]
                print(f"round {number + 1}: {name}: {rate:,.0f} sentences/s", flush=True)
        print_table(runs, len(lines), folder)


def print_table(runs: dict[str, list[dict[str, Any]]], n_lines: int, folder: Path) -> None:
    """One row each: sentences/s (median and range), ratio to the first peer, identical lines."""
    rates = {n: sorted(n_lines / run["seconds"] for run in found) for n, found in runs.items()}
    reference = next((n for n in runs if n.startswith("torchlingo")), next(iter(runs)))
    base = statistics.median(rates[reference])
    print(f"\n{n_lines} lines, {len(next(iter(runs.values())))} rounds; ratios to {reference}\n")
    print(
        f"{'':28}{'sent/s':>8}{'range':>14}{'ratio':>7}{'tokens/s':>10}"
        f"{'subwords':>9}{'of ceiling':>11}{'peak MB':>9}{'same as float32':>14}"
    )
    for name, found in runs.items():
        middle = statistics.median(rates[name])
        extra = found[-1]
        same = ""
        exact = _lines(folder / f"lingo float32{' attention' * name.endswith('attention')}")
        if exact and (lines := _lines(folder / name)):
            same = f"{sum(a == b for a, b in zip(exact, lines, strict=True)) / len(exact):.1%}"
        tokens = extra.get("n_target_tokens")
        print(
            f"{name:28}{middle:8,.0f}{f'{rates[name][0]:,.0f}-{rates[name][-1]:,.0f}':>14}"
            f"{middle / base:7.2f}{f'{tokens / n_lines * middle:,.0f}' if tokens else '':>10}"
            f"{_percent(extra.get('subword_share')):>9}{_percent(extra.get('of_ceiling')):>11}"
            f"{extra['peak_mb']:9,.0f}{same:>14}"
        )


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


# ---- One contestant, in a process of its own -----------------------------------------------------


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Translate a file with one of our decoders and time it."""
    import torch

    from lingo_model import load_bundle

    torch.set_num_threads(1)
    lines = Path(job["texts"]).read_text(encoding="utf-8").splitlines()
    bundle = load_bundle(job["bundle"])
    measured = _loop(bundle, lines, job) if "loop" in job else _engine(bundle, lines, job)
    texts = measured.pop("texts")
    Path(job["output"]).write_text("\n".join(texts) + "\n", encoding="utf-8")
    return {"peak_mb": _peak_mb()} | measured


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _engine(bundle: Any, lines: list[str], job: dict[str, Any]) -> dict[str, Any]:
    from lingo_model import SearchConfig, Translator

    config, n_pieces = bundle.model.config, bundle.subwords.vocab_size
    search = SearchConfig(beam_size=job.get("beam_size", 1))
    translator = Translator(bundle, search, precision=job["precision"])
    subwords = bundle.subwords
    del bundle
    translator.translate(lines[:64])
    started = time.perf_counter()
    found = translator.translate(lines)
    seconds = time.perf_counter() - started
    texts = [translation.text for translation in found]
    started = time.perf_counter()
    subwords.decode(subwords.encode(lines))
    subword_seconds = time.perf_counter() - started
    result = {
        "seconds": seconds,
        "texts": texts,
        "n_target_tokens": sum(t.n_target_tokens for t in found),
        "subword_share": subword_seconds / seconds,
        "peak_mb": _peak_mb(),  # before the ceiling is measured
    }
    if search.beam_size == 1:
        flop = _flop(config, n_pieces, found)
        result["of_ceiling"] = flop / seconds / _ceiling_flops(job["precision"])
    return result


def _flop(config: Any, n_pieces: int, found: list[Any]) -> float:
    """Matrix work that decoding needs at least, with embeddings folded into gate tables."""
    h, n_layers = config.lstm_hidden_dim, config.lstm_num_layers
    per_direction = h // 2 if config.lstm_bidirectional else h
    n_directions = 2 if config.lstm_bidirectional else 1
    encoder = n_directions * 4 * per_direction * (per_direction * n_layers + h * (n_layers - 1))
    decoder = 4 * h * (h + 2 * h * (n_layers - 1)) + h * n_pieces
    if config.lstm_attention:
        decoder += 2 * h * h
    n_source = sum(t.n_source_tokens for t in found)
    n_target = sum(t.n_target_tokens for t in found)
    return 2.0 * (encoder * n_source + decoder * n_target)


def _ceiling_flops(precision: str) -> float:
    """What one core reaches in this precision in one large product and nothing else: oneDNN's or
    ours, whichever is faster now."""
    import torch

    from lingo_model.kernels import decoding as kernels
    from lingo_model.kernels.packed_matrix import PackedMatrix
    from lingo_model.kernels.precision import KERNEL_PRECISIONS

    n_rows, k, n_outputs = 192, 1024, 8192
    weight, bias = torch.rand(n_outputs, k) - 0.5, torch.zeros(n_outputs)
    matrix = PackedMatrix(KERNEL_PRECISIONS[precision], [weight], bias, gates=False)
    inputs = torch.ones(n_rows, k, dtype=KERNEL_PRECISIONS[precision].activation)
    outputs = torch.empty(n_rows, n_outputs)
    products = {"ours": lambda: kernels.linear(matrix, [inputs], outputs_float=outputs)}
    if precision == "float32":
        products["oneDNN"] = lambda: torch.nn.functional.linear(inputs, weight, bias)
    best = float("inf")
    with torch.inference_mode():
        for product in products.values():
            for _ in range(12):
                started = time.perf_counter()
                product()
                best = min(best, time.perf_counter() - started)
    return 2.0 * n_rows * k * n_outputs / best


def _loop(bundle: Any, lines: list[str], job: dict[str, Any]) -> dict[str, Any]:
    from plain_loop import plain_loop

    from lingo_model import SearchConfig

    def translate(part: list[str]) -> list[str]:
        sources = [[*ids, 3] for ids in bundle.subwords.encode(part)]
        found = plain_loop(
            bundle.model, sources, batch_size=job["loop"], max_length=SearchConfig().max_length
        )
        return bundle.subwords.decode([hypothesis.token_ids for hypothesis in found])

    translate(lines[:64])
    started = time.perf_counter()
    texts = translate(lines)
    return {"seconds": time.perf_counter() - started, "texts": texts}


if __name__ == "__main__":
    main()
