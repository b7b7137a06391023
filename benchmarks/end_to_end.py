"""The whole pipeline on a real corpus, with its figures: tokens/s, sentences/s, memory, BLEU.

    python benchmarks/end_to_end.py CORPUS_FOLDER --output /tmp/bench

CORPUS_FOLDER holds Multi30k as ``{train,val,test_2016_flickr}.{en,de}.gz``. Stages run as the
commands that a user types; the memory of every process that they start is watched from outside.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import yaml
from quality import LINGO, describe

_POLL_SECONDS = 0.5


def main() -> None:
    """Run the stages and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("corpus", type=Path, help="folder with Multi30k")
    parser.add_argument("--output", type=Path, required=True, help="a new folder")
    parser.add_argument("--target", default="de", help="target language")
    parser.add_argument("--preset", default="quick", help="of training (default: %(default)s)")
    parser.add_argument("--max-minutes", type=float, default=20, help="budget of training")
    parser.add_argument("--workers", type=int, default=2, help="DDP workers and actors")
    options = parser.parse_args()
    if not (options.corpus / "train.en.gz").exists():
        sys.exit(f"{options.corpus}: no Multi30k there (train.en.gz); give its folder")
    folder = options.output.resolve()
    folder.mkdir(parents=True)
    description = folder / "corpus.yaml"
    description.write_text(yaml.safe_dump(describe(options.corpus.resolve(), "en", options.target)))
    dataset, model = folder / "dataset", folder / "models" / "model"
    lake = options.corpus.resolve()
    workers = str(options.workers)
    minutes = str(options.max_minutes)

    stage("prepare", ["prepare", description, "--output", dataset])
    train = ["train", dataset, "--output", model, "--preset", options.preset]
    stage(
        "train",
        [*train, "--workers", workers, "--max-minutes", minutes, "--ray-address", "local"],
    )
    translate = ["--model", model, "--actors", workers, "--ray-address", "local"]
    for name in ("test_2016_flickr", "train"):
        table = folder / f"table-{name}"
        stage(
            f"translate {name}",
            ["translate", lake / f"{name}.en.gz", "--output", table, *translate],
        )
        print_rate(table)
    stage("evaluate", ["evaluate", dataset, "--model", model, "--reports", folder / "reports"])
    history = json.loads((model / "training.json").read_text())["history"]
    print("\nstep  train loss  valid loss  valid BLEU  target tokens/s")
    for entry in history:
        print(
            f"{entry['step']:5d}  {entry['train_loss']:10.3f}  {entry['valid_loss']:10.3f}  "
            f"{entry['valid_bleu']:10.2f}  {entry['target_tokens_per_second']:15,.0f}"
        )


def stage(name: str, arguments: list[object]) -> None:
    """Run one command; print its output, its time, and each process's peak memory."""
    print(f"\n== {name}", flush=True)
    started = time.monotonic()
    process = subprocess.Popen([*LINGO, *map(str, arguments)])
    peaks: dict[str, int] = {}
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_POLL_SECONDS):
            for pid in _below(process.pid):
                _note_peak(pid, peaks)

    watcher = threading.Thread(target=watch)
    watcher.start()
    status = process.wait()
    over.set()
    watcher.join()
    print(f"   {time.monotonic() - started:.1f} s; peak memory of a process, MB:")
    for command, n_bytes in sorted(peaks.items(), key=lambda item: -item[1])[:6]:
        print(f"   {n_bytes / 1e6:7.0f}  {command}")
    if status != 0:
        sys.exit(f"{name} ended with status {status}")


def print_rate(table: Path) -> None:
    """Sentences/s between the first and the last unit file of the last run: start-up left out."""
    parts = sorted(
        path.stat().st_mtime for path in max((table / "data").glob("*/run=*")).glob("part-*")
    )
    manifest = json.loads(max((table / "data").glob("*/run=*/_manifest.json")).read_text())
    n_rows = manifest["rows"]["n_input"]
    if len(parts) > 2:
        rate = n_rows * (len(parts) - 1) / len(parts) / (parts[-1] - parts[0])
        print(f"   {n_rows:,} rows in {len(parts)} units; {rate:,.0f} sentences/s after start-up")


def _below(pid: int) -> set[int]:
    """A process and all below it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return {pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))}
    return set()


def _note_peak(pid: int, peaks: dict[str, int]) -> None:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()[:60]
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return
    peak = next((line for line in status.splitlines() if line.startswith("VmHWM")), None)
    if peak is not None:
        name = f"{command.strip()} ({pid})"
        peaks[name] = max(peaks.get(name, 0), int(peak.split()[1]) * 1024)


if __name__ == "__main__":
    main()
