"""Decoding speed of this engine, by precision, and of other decoders, in alternating runs.

    python benchmarks/decode.py ../multi30k --bundle models/plain --attention-bundle models/dot \
        --peer-models models/peers

Each contestant translates the same lines of text, with scores, in one process with one thread. It
uses the same weights if it can load them. The models must be trained, because an untrained model
does not end its sentences. A figure is the median over the rounds; compare ratios of figures of the
same run only. ``make bench-peers`` installs the peers, and ``benchmarks/peers/make_models.py``
makes their models. A peer that is not installed or has no model is skipped with a message.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _shared import own_peak_mb, read_lines

if TYPE_CHECKING:
    from lingo_model import Bundle, ModelConfig, Translation

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".peers"
PRECISIONS = ("float32", "bfloat16", "int8")
# Contestant, its environment, the folder of its model, and the sentences in a batch: the fastest of
# 32, 64, 128 and 256 on 1,000 lines.
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
    parser.add_argument("--peer-models", type=Path, help="the output of peers/make_models.py")
    parser.add_argument("--lines", type=int, default=5000, help="of train.en (default 5000)")
    parser.add_argument("--rounds", type=int, default=3, help="alternations (default 3)")
    parser.add_argument("--only", nargs="*", help="contestants by name; default all")
    parser.add_argument("--worker", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(work(options.worker)))
        return
    if options.corpus is None or options.bundle is None:
        parser.error("missing the corpus folder or --bundle; give both")
    compare(options)


def contestants(
    options: argparse.Namespace, texts: Path, folder: Path
) -> dict[str, tuple[list[str], dict[str, str]]]:
    """The command and the environment variables of each contestant that can run.

    Args:
        options: of the command line.
        texts: file with the lines to translate.
        folder: each contestant writes its translations to a file of its name in this folder.
    """
    bundle, peer_models = options.bundle, options.peer_models
    jobs: dict[str, dict[str, Any]] = {
        f"lingo {precision}": {"bundle": bundle, "precision": precision} for precision in PRECISIONS
    }
    jobs["lingo int8 beam 5"] = {"bundle": bundle, "precision": "int8", "beam_size": 5}
    jobs["plain torch loop"] = {"bundle": bundle, "loop": 64}
    if options.attention_bundle:
        for precision in PRECISIONS:
            job = {"bundle": options.attention_bundle, "precision": precision}
            jobs[f"lingo {precision} attention"] = job
    commands: dict[str, tuple[list[str], dict[str, str]]] = {}
    for name, job in jobs.items():
        job |= {"texts": texts, "output": folder / name}
        worker = [sys.executable, __file__, "--worker", json.dumps(job, default=str)]
        commands[name] = (worker, {})

    peers = ROOT / "benchmarks" / "peers"
    if (PEERS / "torchlingo").exists():
        for batch_size in (64, 256):
            name = f"torchlingo batch {batch_size}"
            script = peers / "decode_torchlingo.py"
            arguments = [sys.executable, script, bundle, texts, folder / name, batch_size]
            environment = {"PYTHONPATH": str(PEERS / "torchlingo")}
            commands[name] = ([str(argument) for argument in arguments], environment)
    else:
        print("torchlingo is skipped: not installed; run `make bench-peers`")
    for name, peer, model, batch_size in PEER_CONTESTANTS:
        python = PEERS / peer / "bin" / "python"
        if not python.exists():
            print(f"{name} is skipped: not installed; run `make bench-peers`")
        elif peer_models is None or not (peer_models / model).exists():
            print(f"{name} is skipped: no model; run peers/make_models.py and give --peer-models")
        else:
            script, subwords = peers / "decode_peer.py", bundle / "subwords.model"
            arguments = [python, script, peer, peer_models / model, subwords, texts]
            arguments += [folder / name, batch_size]
            commands[name] = ([str(argument) for argument in arguments], {})
    return commands


def compare(options: argparse.Namespace) -> None:
    """Run the contestants in turns, and print a table of their rates."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        texts = folder / "source.txt"
        lines = read_lines(options.corpus / "train.en.gz", options.lines)
        texts.write_text("\n".join(lines) + "\n", encoding="utf-8")
        commands = contestants(options, texts, folder)
        if options.only:
            commands = {name: commands[name] for name in commands if name in options.only}
        runs: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
        for number in range(options.rounds):
            for name, (command, environment) in commands.items():
                runs[name].append(run(name, command, environment, folder))
                rate = len(lines) / runs[name][-1]["seconds"]
                print(f"round {number + 1}: {name}: {rate:,.0f} sentences/s", flush=True)
        print_table(runs, len(lines), folder)


def run(name: str, command: list[str], environment: dict[str, str], folder: Path) -> dict[str, Any]:
    """Run a contestant with one thread; returns the JSON in the last line that it prints."""
    log = folder / f"{name}.log"
    with log.open("w") as errors:
        done = subprocess.run(
            command,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    if done.returncode:
        print(log.read_text(), file=sys.stderr)
        raise SystemExit(f"{name} ended with status {done.returncode}; see its error above")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def print_table(runs: dict[str, list[dict[str, Any]]], n_lines: int, folder: Path) -> None:
    """Print one row for each contestant.

    Its columns are sentences/s (median and range), the ratio to the first peer, target tokens/s,
    the shares of the time in subwords and of the processor's ceiling, peak memory, and the share
    of lines that equal those of float32.
    """
    rates = {
        name: sorted(n_lines / run["seconds"] for run in of_name) for name, of_name in runs.items()
    }
    reference = next((name for name in runs if name.startswith("torchlingo")), next(iter(runs)))
    base = statistics.median(rates[reference])
    print(f"\n{n_lines} lines, {len(rates[reference])} rounds; ratios to {reference}\n")
    print(
        f"{'':28}{'sent/s':>8}{'range':>14}{'ratio':>7}{'tokens/s':>10}"
        f"{'subwords':>9}{'of ceiling':>11}{'peak MB':>9}{'same as float32':>16}"
    )
    for name, of_name in runs.items():
        median, last_run = statistics.median(rates[name]), of_name[-1]
        between = f"{rates[name][0]:,.0f}-{rates[name][-1]:,.0f}"
        n_tokens = last_run.get("n_target_tokens")
        token_rate = f"{n_tokens / n_lines * median:,.0f}" if n_tokens else ""
        float32 = folder / f"lingo float32{' attention' * name.endswith('attention')}"
        print(
            f"{name:28}{median:8,.0f}{between:>14}{median / base:7.2f}{token_rate:>10}"
            f"{_percent(last_run.get('subword_share')):>9}"
            f"{_percent(last_run.get('of_ceiling')):>11}"
            f"{last_run['peak_mb']:9,.0f}{_equal_share(folder / name, float32):>16}"
        )


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"


def _equal_share(output: Path, reference: Path) -> str:
    """The share of equal lines in two files; empty if one is missing."""
    if not (output.exists() and reference.exists()):
        return ""
    lines, expected = (
        path.read_text(encoding="utf-8").splitlines() for path in (output, reference)
    )
    n_equal = sum(a == b for a, b in zip(lines, expected, strict=True))
    return f"{n_equal / len(expected):.1%}"


# ---- One contestant, in a process of its own -----------------------------------------------------


def work(job: dict[str, Any]) -> dict[str, Any]:
    """Translate a file with the engine or the plain loop; returns the time and other figures."""
    import torch

    from lingo_model import load_bundle

    torch.set_num_threads(1)
    lines = Path(job["texts"]).read_text(encoding="utf-8").splitlines()
    bundle = load_bundle(job["bundle"])
    result = _loop(bundle, lines, job) if "loop" in job else _engine(bundle, lines, job)
    texts = result.pop("texts")
    Path(job["output"]).write_text("\n".join(texts) + "\n", encoding="utf-8")
    return result


def _engine(bundle: Bundle, lines: list[str], job: dict[str, Any]) -> dict[str, Any]:
    from lingo_model import SearchConfig, Translator

    config, n_pieces = bundle.model.config, bundle.model.tgt_vocab_size
    search = SearchConfig(beam_size=job.get("beam_size", 1))
    translator = Translator(bundle, search, precision=job["precision"])
    subwords = bundle.subwords
    del bundle  # the engine has its own copy of the weights
    translator.translate(lines[:64])
    started = time.perf_counter()
    translations = translator.translate(lines)
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    subwords.decode(subwords.encode(lines))
    subword_seconds = time.perf_counter() - started
    result = {
        "seconds": seconds,
        "texts": [translation.text for translation in translations],
        "n_target_tokens": sum(translation.n_target_tokens for translation in translations),
        "subword_share": subword_seconds / seconds,
        "peak_mb": own_peak_mb(),  # before the ceiling is measured
    }
    if search.beam_size == 1:
        n_operations = _n_operations(config, n_pieces, translations)
        result["of_ceiling"] = n_operations / seconds / _ceiling(job["precision"])
    return result


def _n_operations(config: ModelConfig, n_pieces: int, translations: list[Translation]) -> float:
    """The minimum number of operations in matrix products that decoding needs.

    The products of the first layers with the embeddings are not counted, because the engine
    computes them once for each piece.
    """
    h, n_layers = config.lstm_hidden_dim, config.lstm_num_layers
    per_direction = h // 2 if config.lstm_bidirectional else h
    n_directions = 2 if config.lstm_bidirectional else 1
    encoder = n_directions * 4 * per_direction * (per_direction * n_layers + h * (n_layers - 1))
    decoder = 4 * h * (h + 2 * h * (n_layers - 1)) + h * n_pieces
    if config.lstm_attention:
        decoder += 2 * h * h
    n_source = sum(translation.n_source_tokens for translation in translations)
    n_target = sum(translation.n_target_tokens for translation in translations)
    return 2.0 * (encoder * n_source + decoder * n_target)


def _ceiling(precision: str) -> float:
    """The operations/s of one core in a large matrix product, the fastest of several runs.

    In float32 it is the faster of the compiled kernels and oneDNN.
    """
    import torch

    from lingo_model.kernels import decoding as kernels
    from lingo_model.kernels.packed_matrix import PackedMatrix
    from lingo_model.kernels.precision import KERNEL_PRECISIONS

    n_rows, k, n_outputs = 192, 1024, 8192
    weight, bias = torch.rand(n_outputs, k) - 0.5, torch.zeros(n_outputs)
    matrix = PackedMatrix(KERNEL_PRECISIONS[precision], [weight], bias, gates=False)
    inputs = torch.ones(n_rows, k, dtype=KERNEL_PRECISIONS[precision].activation)
    outputs = torch.empty(n_rows, n_outputs)
    products = {"kernels": lambda: kernels.linear(matrix, [inputs], outputs_float=outputs)}
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


def _loop(bundle: Bundle, lines: list[str], job: dict[str, Any]) -> dict[str, Any]:
    from plain_loop import plain_loop

    from lingo_model import SearchConfig
    from lingo_model.special_ids import EOS_ID

    def translate(texts: list[str]) -> list[str]:
        sources = [[*ids, EOS_ID] for ids in bundle.subwords.encode(texts)]
        hypotheses = plain_loop(
            bundle.model, sources, batch_size=job["loop"], max_length=SearchConfig().max_length
        )
        return bundle.subwords.decode([hypothesis.token_ids for hypothesis in hypotheses])

    translate(lines[:64])
    started = time.perf_counter()
    texts = translate(lines)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "texts": texts, "peak_mb": own_peak_mb()}


if __name__ == "__main__":
    main()
