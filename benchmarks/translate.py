"""The nightly job beside the bare engine: rows/s and memory, with repeated and without new rows.

    python benchmarks/translate.py --model models/en-de --output /tmp/translate [--rows 1000000]

The lake has generated sentences in many Parquet files. The runs are:

- ``bare N``: the engine in N processes of one thread, text in, text and scores out, without Ray and
  Parquet.
- ``lingo N``: `lingo translate` with N actors. A command over two rows gives the time to start,
  which is not in the rate.
- ``repeated``: as ``lingo 2``, with 30 % of the rows repeated.
- ``nothing new``: the same command again, which finds no new rows.

Memory is the largest peak of each kind of process (Linux).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from _shared import LINGO, own_peak_mb, read_lines, wait_for

from pipeline.demo.sentence_pairs import generate_pairs

_BARE_BATCH = 5000
_REPEATED_SHARE = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", type=Path, help="a bundle")
    parser.add_argument("--output", type=Path, help="folder for the lakes and tables")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--text", type=Path, help="a .gz file of lines to translate instead")
    parser.add_argument("--files", type=int, default=1000, help="of the lake (default 1000)")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--rounds", type=int, default=1, help="alternations (default 1)")
    parser.add_argument(
        "--only",
        nargs="*",
        default=["bare 2", "lingo 2", "nothing new", "repeated", "bare 1", "lingo 1"],
        metavar="NAME",
    )
    parser.add_argument("--worker", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return
    if options.model is None or options.output is None:
        parser.error("missing --model or --output; give both")
    folder = options.output.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if options.text is None:
        sentences = generated_sentences(options.rows)
    else:
        sentences = list(dict.fromkeys(filter(None, map(str.strip, read_lines(options.text)))))
    write_lake(folder / "lake", sentences, options.files)
    write_lake(folder / "tiny", sentences[:2], 2)
    if "repeated" in options.only:
        write_lake(folder / "repeated", with_repeats(sentences), options.files)
    model = options.model.resolve()
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in options.only}
    for _ in range(options.rounds):
        for name in options.only:
            runs[name].append(measure(name, folder, model, options.precision, sentences))
            figures = {key: round(value, 1) for key, value in runs[name][-1].items()}
            print(name, figures, flush=True)
    print_table(runs)


def generated_sentences(n_rows: int) -> list[str]:
    """``n_rows`` different sentences of the demo's language."""
    sentences: dict[str, None] = {}
    seed = 0
    while len(sentences) < n_rows:
        seed += 1
        n_before = len(sentences)
        pairs = list(generate_pairs(min(n_rows, 200_000), seed=seed, split="train"))
        sentences |= dict.fromkeys(pair.source for pair in pairs)
        if len(sentences) - n_before < len(pairs) // 20:  # few sentences are new: add numbers
            numbered = [f"{text} Number {seed} is {i}." for i, text in enumerate(sentences)]
            sentences |= dict.fromkeys(numbered)
    return list(sentences)[:n_rows]


def with_repeats(sentences: list[str]) -> list[str]:
    """As many rows, in random order; a share of them repeats the sentence of another row."""
    draw = random.Random(0)
    n_repeated = int(_REPEATED_SHARE * len(sentences))
    kept = sentences[: len(sentences) - n_repeated]
    rows = kept + draw.choices(kept, k=n_repeated)
    draw.shuffle(rows)
    return rows


def write_lake(folder: Path, sentences: list[str], n_files: int) -> None:
    """Write the sentences to the ``text`` columns of ``n_files`` Parquet files."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for number in range(n_files):
        rows = sentences[number::n_files]
        pq.write_table(pa.table({"text": rows}), folder / f"part-{number:04d}.parquet")


def measure(
    name: str, folder: Path, model: Path, precision: str, sentences: list[str]
) -> dict[str, float]:
    """Measure the run of a name: seconds, peak memory (MB), and rows/s if rows were translated."""
    if name.startswith("bare"):
        return bare(int(name.split()[1]), folder, model, precision, sentences)
    table, tiny_table = folder / "table", folder / "tiny-table"
    if name == "nothing new":
        run_lingo(folder / "lake", model, table, precision, n_actors=2)
        return run_lingo(folder / "lake", model, table, precision, n_actors=2)
    n_actors = int(name.split()[1]) if name.startswith("lingo") else 2
    lake = folder / ("repeated" if name == "repeated" else "lake")
    for old_table in (table, tiny_table):
        shutil.rmtree(old_table, ignore_errors=True)
    start_up = run_lingo(folder / "tiny", model, tiny_table, precision, n_actors=n_actors)
    result = run_lingo(lake, model, table, precision, n_actors=n_actors)
    if name != "lingo 2":  # "nothing new" needs a table of the whole lake
        shutil.rmtree(table)
    result["start_up"] = start_up["seconds"]
    if result["seconds"] > result["start_up"]:  # false with few rows
        result["rate"] = len(sentences) / (result["seconds"] - result["start_up"])
    return result


def run_lingo(
    lake: Path, model: Path, table: Path, precision: str, *, n_actors: int
) -> dict[str, float]:
    """Run `lingo translate` on a private Ray instance; returns seconds and peak memory (MB)."""
    command = [*LINGO, "translate", lake, "--model", model, "--output", table]
    command += ["--precision", precision, "--actors", n_actors, "--ray-address", "local"]
    with tempfile.TemporaryFile() as errors:
        started = time.monotonic()
        process = subprocess.Popen(
            [str(part) for part in command], stdout=subprocess.DEVNULL, stderr=errors
        )
        peaks = wait_for(process)
        seconds = time.monotonic() - started
        if process.returncode:
            errors.seek(0)
            raise SystemExit(errors.read().decode()[-2000:])
    return {
        "seconds": seconds,
        "driver_mb": peaks[process.pid][0],
        "actor_mb": max((mb for mb, name in peaks.values() if "MapWorker" in name), default=0.0),
    }


def bare(
    n_processes: int, folder: Path, model: Path, precision: str, sentences: list[str]
) -> dict[str, float]:
    """Divide the sentences among processes of the bare engine; the slowest gives the time."""
    processes = []
    for rank in range(n_processes):
        text = folder / f"bare-{rank}.txt"
        text.write_text("\n".join(sentences[rank::n_processes]), encoding="utf-8")
        job = {"model": str(model), "precision": precision, "text": str(text)}
        processes.append(
            subprocess.Popen(
                [sys.executable, __file__, "--worker", json.dumps(job)],
                stdout=subprocess.PIPE,
                env=os.environ | {"OMP_NUM_THREADS": "1"},
            )
        )
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit("a process of the bare engine failed; see its error above")
    results = [json.loads(output) for output in outputs]
    seconds = max(result["seconds"] for result in results)
    return {
        "seconds": seconds,
        "rate": len(sentences) / seconds,
        "actor_mb": max(result["peak_mb"] for result in results),
    }


def work(job: dict[str, Any]) -> None:
    """Translate a file in one process; the clock starts when the model is loaded."""
    import torch

    from lingo_model import Translator, load_bundle

    torch.set_num_threads(1)
    translator = Translator(load_bundle(Path(job["model"])), precision=job["precision"])
    lines = Path(job["text"]).read_text(encoding="utf-8").splitlines()
    started = time.perf_counter()
    for first in range(0, len(lines), _BARE_BATCH):
        translator.translate(lines[first : first + _BARE_BATCH])
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "peak_mb": own_peak_mb()}))


def print_table(runs: dict[str, list[dict[str, float]]]) -> None:
    """Print the best round of each run, by rate or, if it has none, by time."""
    best = {
        name: max(of_name, key=lambda run: run.get("rate", -run["seconds"]))
        for name, of_name in runs.items()
    }
    base = best.get("bare 2", {}).get("rate")
    print(
        f"\n{'':14}{'rows/s':>9}{'of bare 2':>11}{'seconds':>9}{'start-up':>10}"
        f"{'actor MB':>10}{'driver MB':>11}"
    )
    for name, run in best.items():
        rate = run.get("rate")
        shown_rate = f"{rate:,.0f}" if rate else ""
        shown_ratio = f"{rate / base:.1%}" if rate and base else ""
        print(
            f"{name:14}{shown_rate:>9}{shown_ratio:>11}"
            f"{run['seconds']:9.1f}{run.get('start_up', 0):10.1f}"
            f"{run.get('actor_mb', 0):10,.0f}{run.get('driver_mb', 0):11,.0f}"
        )


if __name__ == "__main__":
    main()
