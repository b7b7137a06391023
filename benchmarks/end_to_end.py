"""The whole pipeline on a real corpus: the time, memory, speed and BLEU of each stage.

    python benchmarks/end_to_end.py CORPUS_FOLDER --output /tmp/bench

CORPUS_FOLDER has Multi30k as ``{train,val,test_2016_flickr}.{en,de}.gz``. Each stage is a ``lingo``
command, whose processes are watched from outside.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import yaml
from _shared import LINGO, wait_for
from quality import describe

from pipeline.table.manifest import RUN_MANIFEST, RunManifest
from pipeline.training_record import TrainingRecord

_N_PROCESSES_SHOWN = 6


def main() -> None:
    """Run the stages and print their figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path, help="folder with Multi30k")
    parser.add_argument("--output", type=Path, required=True, help="a new folder")
    parser.add_argument("--target", default="de", help="target language")
    parser.add_argument("--preset", default="quick", help="of training (default: %(default)s)")
    parser.add_argument("--max-minutes", type=float, default=20, help="of training (default 20)")
    parser.add_argument("--workers", type=int, default=2, help="training workers and actors")
    options = parser.parse_args()
    corpus, folder = options.corpus.resolve(), options.output.resolve()
    if not (corpus / "train.en.gz").exists():
        sys.exit(f"{corpus}: no train.en.gz in this folder; give the folder of Multi30k")
    folder.mkdir(parents=True)
    description = folder / "corpus.yaml"
    description.write_text(yaml.safe_dump(describe(corpus, "en", options.target)))
    dataset, model = folder / "dataset", folder / "models" / "model"
    on_ray = ["--ray-address", "local"]

    run_stage("prepare", ["prepare", description, "--output", dataset])
    train = ["train", dataset, "--output", model, "--preset", options.preset]
    train += ["--workers", options.workers, "--max-minutes", options.max_minutes]
    run_stage("train", [*train, *on_ray])
    for name in ("test_2016_flickr", "train"):
        table = folder / f"table-{name}"
        translate = ["translate", corpus / f"{name}.en.gz", "--output", table, "--model", model]
        run_stage(f"translate {name}", [*translate, "--actors", options.workers, *on_ray])
        print_translation_rate(table)
    reports = folder / "reports"
    run_stage("evaluate", ["evaluate", dataset, "--model", model, "--reports", reports])
    print_history(TrainingRecord.load(model))


def run_stage(name: str, arguments: list[object]) -> None:
    """Run a ``lingo`` command; print its time and the peak memory of its largest processes."""
    print(f"\n== {name}", flush=True)
    started = time.monotonic()
    process = subprocess.Popen([*LINGO, *map(str, arguments)])
    peaks = wait_for(process)
    print(f"   {time.monotonic() - started:.1f} s; peak memory of the largest processes, MB:")
    for peak_mb, command in sorted(peaks.values(), reverse=True)[:_N_PROCESSES_SHOWN]:
        print(f"   {peak_mb:7.0f}  {command[:70]}")
    if process.returncode:
        sys.exit(f"{name} ended with status {process.returncode}")


def print_translation_rate(table: Path) -> None:
    """Print the rows/s of a table's only run, from its first to its last unit file."""
    (manifest,) = (table / "data").glob(f"*/run=*/{RUN_MANIFEST}")
    n_rows = RunManifest.load(manifest).rows.n_input
    times = sorted(path.stat().st_mtime for path in manifest.parent.glob("part-*"))
    if len(times) > 2:
        rate = n_rows * (len(times) - 1) / len(times) / (times[-1] - times[0])
        print(f"   {n_rows:,} rows in {len(times)} units; {rate:,.0f} rows/s after start-up")


def print_history(training: TrainingRecord) -> None:
    """Print one line for each evaluation during training."""
    print("\nstep  train loss  valid loss  valid BLEU  target tokens/s")
    for point in training.history:
        print(
            f"{point.step:5d}  {point.train_loss:10.3f}  {point.valid_loss:10.3f}  "
            f"{point.valid_bleu:10.2f}  {point.target_tokens_per_second:15,.0f}"
        )


if __name__ == "__main__":
    main()
