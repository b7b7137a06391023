"""Training speed in target tokens a second, in alternating runs.

    python benchmarks/train.py ../multi30k --dataset DATASET [--plain]

The contestants are this trainer with one and two workers, with and without Ray Train, TorchLingo's
trainer in float32 and with AMP, and OpenNMT-py. All have the same architecture (unidirectional
encoder, dot attention unless --plain) and the same subwords. All have two threads, two workers of
one thread or one process of two, except for one row with one worker of one thread. Rates exclude
the first window of steps, so that the time to start does not count. ``make bench-peers`` installs
the peers; a peer that is not installed is skipped with a message.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from pipeline.train.worker import WORKER_ENVIRONMENT
from pipeline.training_record import TrainingRecord

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / ".peers"
TOKENS_PER_STEP = 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("corpus", type=Path, nargs="?", help="Multi30k's folder")
    parser.add_argument("--dataset", type=Path, help="the dataset that `lingo prepare` made of it")
    parser.add_argument("--plain", action="store_true", help="without attention")
    parser.add_argument("--minutes", type=float, default=0.75, help="of each run (default 0.75)")
    parser.add_argument("--rounds", type=int, default=3, help="alternations (default 3)")
    parser.add_argument("--only", nargs="*", help="contestants by name; default all")
    parser.add_argument("--worker", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return
    if options.corpus is None or options.dataset is None:
        parser.error("missing the corpus folder or --dataset; give both")
    with tempfile.TemporaryDirectory() as name:
        compare(options, Path(name))


def recipe(options: argparse.Namespace, precision: str) -> dict[str, Any]:
    """The settings of this trainer, as a recipe file has them."""
    return {
        "attention": not options.plain,
        "n_data_shards": 2,
        "target_tokens_per_step": TOKENS_PER_STEP,
        "max_epochs": 100,
        "eval_every_steps": 10,
        "max_valid_sentences": 8,
        "precision": precision,
    }


def compare(options: argparse.Namespace, folder: Path) -> None:
    """Run the contestants in turns, and print a table of their rates."""
    contestants: dict[str, Any] = {}
    for precision in ("bfloat16", "float32"):
        for n_workers, n_threads in ((1, 1), (2, 1), (1, 2)):
            name = f"lingo {precision} {n_workers}x{n_threads}"
            contestants[name] = lambda p=precision, w=n_workers, t=n_threads: lingo(
                options, folder, p, w, t
            )
    contestants["lingo bfloat16 2x1, Ray Train"] = lambda: through_ray(options, folder)
    if (PEERS / "torchlingo").exists():
        write_tsv(options.corpus, folder / "train.tsv")
        contestants["torchlingo float32"] = lambda: torchlingo(options, folder, amp=False)
        contestants["torchlingo AMP"] = lambda: torchlingo(options, folder, amp=True)
    else:
        print("torchlingo is skipped: not installed; run `make bench-peers`")
    if (PEERS / "opennmt" / "installed").exists():
        contestants["OpenNMT-py"] = lambda: opennmt(options, folder)
    else:
        print("OpenNMT-py is skipped: not installed; run `make bench-peers`")
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in contestants}
    for number in range(options.rounds):
        for name, run in contestants.items():
            if options.only and name not in options.only:
                continue
            runs[name].append(run())
            print(f"round {number + 1}: {name}: {runs[name][-1]['rate']:,.0f} tokens/s", flush=True)
    print_table({name: of_name for name, of_name in runs.items() if of_name})


def print_table(runs: dict[str, list[dict[str, float]]]) -> None:
    """Median rate, range, ratio to TorchLingo and peak memory of each contestant."""
    rates = {name: [run["rate"] for run in of_name] for name, of_name in runs.items()}
    reference = next((n for n in rates if n.startswith("torchlingo")), next(iter(rates)))
    base = statistics.median(rates[reference])
    print(f"\nratios to {reference}; peak MB of the largest worker\n")
    print(f"{'':32}{'tokens/s':>9}{'range':>16}{'ratio':>7}{'peak MB':>9}")
    for name, of_name in rates.items():
        median = statistics.median(of_name)
        between = f"{min(of_name):,.0f}-{max(of_name):,.0f}"
        peak = max((run.get("peak_mb", 0.0) for run in runs[name]), default=0.0)
        shown = f"{peak:,.0f}" if peak else ""
        print(f"{name:32}{median:9,.0f}{between:>16}{median / base:7.2f}{shown:>9}")


# ---- This trainer --------------------------------------------------------------------------------


def lingo(
    options: argparse.Namespace, folder: Path, precision: str, n_workers: int, n_threads: int
) -> dict[str, float]:
    """Run the training loop in plain processes, without Ray."""
    training_dir = folder / "run"
    shutil.rmtree(training_dir, ignore_errors=True)
    (folder / "rendezvous").unlink(missing_ok=True)
    processes = []
    for rank in range(n_workers):
        job = {
            "dataset": str(options.dataset),
            "folder": str(training_dir),
            "rendezvous": str(folder / "rendezvous"),
            "recipe": recipe(options, precision),
            "minutes": options.minutes,
            "rank": rank,
            "n_workers": n_workers,
            "n_threads": n_threads,
        }
        command = [sys.executable, __file__, "--worker", json.dumps(job)]
        environment = os.environ | WORKER_ENVIRONMENT | {"OMP_NUM_THREADS": str(n_threads)}
        processes.append(subprocess.Popen(command, env=environment))
    if any([process.wait() for process in processes]):
        raise SystemExit("a worker failed; see its error above")
    peaks = [float((training_dir / f"peak-{rank}").read_text()) for rank in range(n_workers)]
    rates = json.loads((training_dir / "rates.json").read_text())
    return {"rate": steady_rate(rates), "peak_mb": max(peaks)}


def work(job: dict[str, Any]) -> None:
    """Run the training loop as one worker; rank 0 writes the rate of each window of steps."""
    import torch
    import torch.distributed as dist

    from pipeline.train.recipe import TrainConfig
    from pipeline.train.worker import TrainWorker
    from pipeline.train.worker_context import WorkerContext

    torch.set_num_threads(job["n_threads"])
    if job["n_workers"] > 1:
        dist.init_process_group(
            "gloo",
            init_method=f"file://{job['rendezvous']}",
            rank=job["rank"],
            world_size=job["n_workers"],
        )
    context = WorkerContext(job["rank"], job["n_workers"], torch.device("cpu"))
    config = TrainConfig.model_validate(job["recipe"])
    worker = TrainWorker(Path(job["dataset"]), Path(job["folder"]), config, context)
    state = worker.train(max_minutes=job["minutes"])
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    (Path(job["folder"]) / f"peak-{job['rank']}").write_text(str(peak_mb))
    if job["rank"] == 0:
        rates = [point.target_tokens_per_second for point in state.history]
        (Path(job["folder"]) / "rates.json").write_text(json.dumps(rates))
    if job["n_workers"] > 1:
        dist.barrier()
    sys.stdout.flush()
    os._exit(0)  # gloo's threads may abort the process when the interpreter ends normally


def steady_rate(rates: Sequence[float | None]) -> float:
    """Median over the windows between evaluations, without the first and the unfinished last."""
    return statistics.median(rate for rate in rates[1:-1] if rate is not None)


def through_ray(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Run `lingo train`, which uses Ray Train, with two workers."""
    model = folder / "models" / "ray"
    shutil.rmtree(model.parent, ignore_errors=True)
    config = folder / "recipe.yaml"
    config.write_text(yaml.safe_dump(recipe(options, "bfloat16")))
    command = [sys.executable, "-c", "from pipeline.cli.app import main; main()", "train"]
    command += [str(options.dataset), "--output", str(model), "--config", str(config)]
    command += ["--workers", "2", "--max-minutes", str(options.minutes), "--ray-address", "local"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    history = TrainingRecord.load(model).history
    return {"rate": steady_rate([point.target_tokens_per_second for point in history])}


# ---- Peers ---------------------------------------------------------------------------------------


def write_tsv(corpus: Path, path: Path) -> None:
    """Write the training pairs as TorchLingo reads them."""
    sides = []
    for language in ("en", "de"):
        with gzip.open(corpus / f"train.{language}.gz", "rt", encoding="utf-8") as file:
            text = file.read().replace("\t", " ").replace('"', "")
        sides.append(text.splitlines())
    rows = ["src\ttgt", *("\t".join(pair) for pair in zip(*sides, strict=True))]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")


def torchlingo(options: argparse.Namespace, folder: Path, *, amp: bool) -> dict[str, float]:
    """Run TorchLingo's trainer."""
    script = ROOT / "benchmarks" / "peers" / "train_torchlingo.py"
    job = {
        "tsv": str(folder / "train.tsv"),
        "subwords": str(options.dataset / "subwords.model"),
        "attention": not options.plain,
        "amp": amp,
        "minutes": options.minutes,
    }
    environment = os.environ | {
        "PYTHONPATH": str(PEERS / "torchlingo"),
        "OMP_NUM_THREADS": "2",
    }
    done = subprocess.run(
        [sys.executable, str(script), json.dumps(job)],
        check=True,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return {"rate": float(json.loads(done.stdout.splitlines()[-1])["tokens_per_second"])}


def opennmt(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Run OpenNMT-py; the rate is the target tokens/s in its log, without the first report."""
    sys.path.insert(0, str(ROOT / "benchmarks" / "peers"))
    from make_models import opennmt_config, write_pieces

    data = folder / "data"
    if not data.exists():
        write_pieces(options.corpus, options.dataset, data)
    config = opennmt_config(
        data,
        folder / "opennmt",
        train_steps=100_000,
        save_checkpoint_steps=100_000,
        valid_steps=100_000,
        encoder_type="rnn",
        decoder_type="rnn",
        rnn_type="LSTM",
        enc_layers=2,
        dec_layers=2,
        hidden_size=512,
        word_vec_size=256,
        dropout=[0.1],
        label_smoothing=0.1,
        global_attention="none" if options.plain else "dot",
        input_feed=0,
        optim="adam",
        learning_rate=0.001,
        max_grad_norm=1.0,
        normalization="tokens",
        batch_size=TOKENS_PER_STEP,
        report_every=10,
    )
    (folder / "opennmt.yaml").write_text(yaml.safe_dump(config))
    script = ROOT / "benchmarks" / "peers" / "run_opennmt.py"
    python = PEERS / "opennmt" / "bin" / "python"
    command = [python, script, folder, "train", folder / "opennmt.yaml"]
    with (folder / "opennmt.log").open("w") as log:
        process = subprocess.Popen(
            [str(part) for part in command],
            env=os.environ | {"OMP_NUM_THREADS": "2"},
            stdout=log,
            stderr=log,
        )
        try:
            process.wait(60 * options.minutes + 15)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
    reports = re.findall(r"([\d.]+)/\s*([\d.]+) tok/s", (folder / "opennmt.log").read_text())
    return {"rate": statistics.median(float(target) for _, target in reports[1:])}


if __name__ == "__main__":
    main()
