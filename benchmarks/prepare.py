"""Measures ``lingo prepare`` up to the subword model: pairs per second, memory, and OpusFilter's.

Reading, all default rules but ``wrong_language``, duplicates, splits and leaks are timed. With
``--languages``, ``wrong_language`` is on. With ``--opusfilter``, OpusFilter does like rules on the
same files: white space, lengths, ratio, long words, alphabet, script, numerals, repetition, tags
and duplicates. It makes no splits and looks for no leaks.

Run:
    ``python benchmarks/generate_corpus.py /tmp/g --pairs 1000000``
    ``python benchmarks/prepare.py /tmp/g/corpus.yaml --workers 1 2 --rounds 3``
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import yaml

from pipeline.observability.progress import ProgressEvent
from pipeline.prepare.config import CleanConfig, LanguageConfig, PrepareConfig
from pipeline.prepare.corpus import load_corpus
from pipeline.prepare.stage import prepare_corpus

_POLL_SECONDS = 0.2


class _Stop(Exception):
    """Ends ``prepare`` where the subword model would be trained."""


def run_once(corpus: Path, n_workers: int, *, languages: bool) -> dict[str, float]:
    """Seconds of each phase. Runs in a process of its own, so that nothing is warm."""
    began: dict[str, float] = {"plan": time.monotonic()}

    def note(event: ProgressEvent) -> None:
        began.setdefault(event.phase, time.monotonic())
        if event.phase == "train subwords":
            raise _Stop

    clean = CleanConfig(language=LanguageConfig(enabled=languages))
    with tempfile.TemporaryDirectory(dir=corpus.parent) as folder, contextlib.suppress(_Stop):
        prepare_corpus(
            load_corpus(corpus),
            Path(folder) / "dataset",
            PrepareConfig(clean=clean),
            n_workers=n_workers,
            on_progress=note,
        )
    return {
        name: after - before for (name, before), (_, after) in itertools.pairwise(began.items())
    }


def measured(command: list[str]) -> tuple[str, float, float]:
    """Run a command.

    Returns:
        its output, the seconds, and the peak memory of all its processes (MB). Memory that
        processes share is counted once (proportional set size, Linux).
    """
    peak = 0.0
    started = time.monotonic()
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, text=True, **quiet) as process:
        done = threading.Event()

        def watch() -> None:
            nonlocal peak
            while not done.wait(_POLL_SECONDS):
                peak = max(peak, _memory_mb(process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        output = process.communicate()[0]
        done.set()
        watcher.join()
    if process.returncode:
        raise RuntimeError(f"{command} ended with exit status {process.returncode}")
    return output, time.monotonic() - started, peak


def _memory_mb(pid: int) -> float:
    total = 0
    try:
        root = psutil.Process(pid)
        for process in [root, *root.children(recursive=True)]:
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                continue
    except psutil.Error:
        return 0.0
    return total / 1e6


def opusfilter_config(corpus: Path, folder: Path) -> Path:
    """A configuration of OpusFilter with rules like the default ones."""
    description = yaml.safe_load(corpus.read_text())
    (item,) = description["inputs"]
    files = [str((corpus.parent / item[side]).resolve()) for side in ("source", "target")]
    spaces = [str(folder / f"spaces.{side}") for side in "st"]
    kept = [str(folder / f"kept.{side}") for side in "st"]
    unique = [str(folder / f"unique.{side}") for side in "st"]
    filters = [
        {"LengthFilter": {"unit": "char", "min_length": 1, "max_length": 1000}},
        {"LengthRatioFilter": {"unit": "char", "threshold": 5}},
        {"LongWordFilter": {"threshold": 70}},
        {"AlphabetRatioFilter": {"threshold": 0.25}},
        {"CharacterScoreFilter": {"scripts": ["Latin", "Latin"], "thresholds": [0.5, 0.5]}},
        {"NonZeroNumeralsFilter": {"threshold": 1.0}},
        {"RepetitionFilter": {"threshold": 6, "min_length": 1}},
        {"HtmlTagFilter": {}},
    ]
    steps = [
        {
            "type": "preprocess",
            "parameters": {
                "inputs": files,
                "outputs": spaces,
                "preprocessors": [{"WhitespaceNormalizer": {}}],
            },
        },
        {"type": "filter", "parameters": {"inputs": spaces, "outputs": kept, "filters": filters}},
        {"type": "remove_duplicates", "parameters": {"inputs": kept, "outputs": unique}},
    ]
    path = folder / "opusfilter.yaml"
    values = {"common": {"output_directory": str(folder)}, "steps": steps}
    path.write_text(yaml.safe_dump(values))
    return path


def n_pairs_of(corpus: Path) -> int:
    """The number of lines of the sources."""
    description = yaml.safe_load(corpus.read_text())
    with (corpus.parent / description["inputs"][0]["source"]).open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 22), b""))


def main() -> None:
    """Print a table of pairs per second, and ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path, help="a corpus of one aligned input")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3, help="the contestants take turns")
    parser.add_argument("--languages", action="store_true", help="with the rule wrong_language")
    parser.add_argument("--opusfilter", help="the command of OpusFilter")
    parser.add_argument("--once", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.once is not None:
        phases = run_once(arguments.corpus, arguments.once, languages=arguments.languages)
        print(json.dumps(phases))
        return
    n_pairs = n_pairs_of(arguments.corpus)
    rates: dict[str, list[float]] = {}
    results: dict[str, Any] = {}
    for _ in range(arguments.rounds):
        for n_workers in arguments.workers:
            flags = ["--languages"] if arguments.languages else []
            own = [
                sys.executable,
                __file__,
                str(arguments.corpus),
                "--once",
                str(n_workers),
                *flags,
            ]
            output, _seconds, peak = measured([*own, *flags])
            phases = json.loads(output.splitlines()[-1])
            name = f"lingo, {n_workers} worker{'s' if n_workers > 1 else ''}"
            rates.setdefault(name, []).append(n_pairs / sum(phases.values()))
            results[name] = (phases, peak)
            if arguments.opusfilter is not None:
                folder = Path(tempfile.mkdtemp(dir=arguments.corpus.parent))
                config = opusfilter_config(arguments.corpus, folder)
                command = [arguments.opusfilter, str(config), "--n-jobs", str(n_workers)]
                _, seconds, peak = measured(command)
                shutil.rmtree(folder)
                name = f"OpusFilter, {n_workers} job{'s' if n_workers > 1 else ''}"
                rates.setdefault(name, []).append(n_pairs / seconds)
                results[name] = ({}, peak)
    print(f"{n_pairs:,} pairs, median of {arguments.rounds}")
    print("| what | pairs/s | peak memory, all processes | seconds by phase, last round |")
    print("|---|---|---|---|")
    for name, values in rates.items():
        phases, peak = results[name]
        shown = ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in phases.items())
        print(f"| {name} | {statistics.median(values):,.0f} | {peak:,.0f} MB | {shown} |")
    first, *others = rates
    for name in others:
        ratios = [b / a for a, b in zip(rates[first], rates[name], strict=True)]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        print(f"{name} / {first}: {statistics.median(ratios):.2f} ({spread})")


if __name__ == "__main__":
    main()
