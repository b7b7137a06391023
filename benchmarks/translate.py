"""The nightly job beside the bare engine: rows a second, memory, repeated text, nothing new.

    python benchmarks/translate.py --model models/en-de --output /tmp/translate [--rows 1000000]

Generated sentences in many Parquet files. The bare engine: text in, text and scores out, in as
many processes as actors, without Ray and Parquet. What a command takes for two rows is its
start-up, which is told apart; rates are of the rest. Memory is the largest resident set of each
kind of process (Linux).
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.demo.sentence_pairs import generate_pairs

LINGO = [sys.executable, "-c", "from pipeline.cli.app import main; main()"]
_BARE_BATCH = 5000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", type=Path, help="a bundle")
    parser.add_argument("--output", type=Path, help="folder for all it makes")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--text", type=Path, help="real sentences, one a line, instead (.gz)")
    parser.add_argument("--files", type=int, default=1000, help="of the lake (default 1000)")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--rounds", type=int, default=1, help="alternations (default 1)")
    parser.add_argument(
        "--only",
        nargs="*",
        default=["bare 2", "lingo 2", "nothing new", "repeated", "bare 1", "lingo 1"],
        metavar="NAME",
    )
    parser.add_argument("--bare", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        bare_worker(options.bare)
        return
    if options.model is None or options.output is None:
        parser.error("needs --model and --output")
    folder = options.output.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    sentences = generated(options.rows) if options.text is None else read(options.text)
    write_lake(folder / "lake", sentences, options.files)
    write_lake(folder / "tiny", sentences[:2], 2)
    if "repeated" in options.only:
        write_lake(folder / "repeated", with_repeats(sentences, share=0.3), options.files)
    model = options.model.resolve()
    found: dict[str, list[dict[str, float]]] = {name: [] for name in options.only}
    for _ in range(options.rounds):
        for name in options.only:
            found[name].append(measure(name, folder, model, options.precision, sentences))
            print(name, {k: round(v, 1) for k, v in found[name][-1].items()}, flush=True)
    show(found)


def generated(n_rows: int) -> list[str]:
    """So many different sentences of the demo's language."""
    seen: dict[str, None] = {}
    seed = 0
    while len(seen) < n_rows:
        seed += 1
        pairs = list(generate_pairs(min(n_rows, 200_000), seed=seed, split="train"))
        before = len(seen)
        for pair in pairs:
            seen.setdefault(pair.source)
        if len(seen) - before < len(pairs) // 20:  # the grammar is nearly exhausted: number them
            seen |= {f"{text} Number {seed} is {i}.": None for i, text in enumerate(list(seen))}
    return list(seen)[:n_rows]


def read(path: Path) -> list[str]:
    """The different lines of a file: what a model that was trained on such text is timed with."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return list(dict.fromkeys(line.strip() for line in file if line.strip()))


def with_repeats(sentences: list[str], *, share: float) -> list[str]:
    """``share`` of the rows say again what some other row, anywhere, says."""
    draw = random.Random(0)
    n_repeated = int(share * len(sentences))
    kept = sentences[: len(sentences) - n_repeated]
    rows = kept + draw.choices(kept, k=n_repeated)
    draw.shuffle(rows)
    return rows


def write_lake(folder: Path, sentences: list[str], n_files: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number in range(n_files):
        rows = sentences[number::n_files]
        pq.write_table(pa.table({"text": rows}), folder / f"part-{number:04d}.parquet")


def measure(
    name: str, folder: Path, model: Path, precision: str, sentences: list[str]
) -> dict[str, float]:
    if name.startswith("bare"):
        return bare(int(name.split()[1]), folder, model, precision, sentences)
    table = folder / "table"
    if name == "nothing new":
        run_lingo(folder / "lake", model, table, precision, n_actors=2)
        return run_lingo(folder / "lake", model, table, precision, n_actors=2) | {"rows": 0.0}
    n_actors = int(name.split()[1]) if name.startswith("lingo") else 2
    lake = folder / ("repeated" if name == "repeated" else "lake")
    shutil.rmtree(table, ignore_errors=True)
    start_up = run_lingo(
        folder / "tiny", model, folder / "tiny-table", precision, n_actors=n_actors
    )
    shutil.rmtree(folder / "tiny-table")
    found = run_lingo(lake, model, table, precision, n_actors=n_actors)
    if name == "lingo 1":
        shutil.rmtree(table)
    seconds = found["seconds"] - start_up["seconds"]
    return found | {"start_up": start_up["seconds"], "rate": len(sentences) / seconds}


def run_lingo(
    lake: Path, model: Path, table: Path, precision: str, *, n_actors: int
) -> dict[str, float]:
    command = [
        *LINGO,
        "translate",
        lake,
        "--model",
        model,
        "--output",
        table,
        "--precision",
        precision,
    ]
    command += ["--actors", n_actors, "--ray-address", "local"]
    started = time.monotonic()
    process = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    peaks = {"driver_mb": 0.0, "actor_mb": 0.0}
    watcher = threading.Thread(target=watch, args=(process, peaks))
    watcher.start()
    _, errors = process.communicate()
    seconds = time.monotonic() - started
    watcher.join()
    if process.returncode:
        raise SystemExit(errors.decode()[-2000:])
    return {"seconds": seconds} | peaks


def watch(process: subprocess.Popen[bytes], peaks: dict[str, float]) -> None:
    """Follow the resident memory of the driver and of the largest actor."""
    driver = psutil.Process(process.pid)
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            peaks["driver_mb"] = max(peaks["driver_mb"], resident_mb(driver))
            for child in driver.children(recursive=True):
                if "MapWorker" in "".join(child.cmdline()):
                    peaks["actor_mb"] = max(peaks["actor_mb"], resident_mb(child))
        time.sleep(1)


def resident_mb(process: psutil.Process) -> float:
    return process.memory_info().rss / 2**20


def bare(
    n_processes: int, folder: Path, model: Path, precision: str, sentences: list[str]
) -> dict[str, float]:
    processes = []
    for rank in range(n_processes):
        text = folder / f"bare-{rank}.txt"
        text.write_text("\n".join(sentences[rank::n_processes]))
        job = {"model": str(model), "precision": precision, "text": str(text)}
        processes.append(
            subprocess.Popen(
                [sys.executable, __file__, "--bare", json.dumps(job)],
                stdout=subprocess.PIPE,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        )
    results = [json.loads(process.communicate()[0]) for process in processes]
    seconds = max(result["seconds"] for result in results)
    return {
        "seconds": seconds,
        "rate": len(sentences) / seconds,
        "actor_mb": max(result["peak_mb"] for result in results),
    }


def bare_worker(job: dict[str, Any]) -> None:
    """One process of the bare engine; its clock starts when the model is there."""
    import torch

    from lingo_model import Translator, load_bundle

    torch.set_num_threads(1)
    translator = Translator(load_bundle(Path(job["model"])), precision=job["precision"])
    lines = Path(job["text"]).read_text().splitlines()
    started = time.perf_counter()
    n_tokens = 0
    for first in range(0, len(lines), _BARE_BATCH):
        found = translator.translate(lines[first : first + _BARE_BATCH])
        n_tokens += sum(one.n_target_tokens for one in found)
    seconds = time.perf_counter() - started
    peak_mb = resident_mb(os.getpid())
    print(json.dumps({"seconds": seconds, "n_tokens": n_tokens, "peak_mb": peak_mb}))


def show(found: dict[str, list[dict[str, float]]]) -> None:
    best = {
        name: max(runs, key=lambda run: run.get("rate", -run["seconds"]))
        for name, runs in found.items()
    }
    base = best.get("bare 2", {}).get("rate")
    print(f"\n{'':14}{'rows/s':>9}{'of bare 2':>11}{'seconds':>9}{'start-up':>10}{'actor MB':>10}"
          f"{'driver MB':>11}")  # fmt: skip
    for name, run in best.items():
        rate = run.get("rate")
        print(
            f"{name:14}"
            + (f"{rate:9,.0f}" if rate else f"{'':9}")
            + (f"{rate / base:11.1%}" if rate and base else f"{'':11}")
            + f"{run['seconds']:9.1f}{run.get('start_up', 0):10.1f}"
            + f"{run.get('actor_mb', 0):10,.0f}{run.get('driver_mb', 0):11,.0f}"
        )


if __name__ == "__main__":
    main()
