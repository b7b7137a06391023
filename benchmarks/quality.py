"""Translation quality on Multi30k: what each preset reaches, in what time. A table.

    python benchmarks/quality.py CORPUS_FOLDER --output /tmp/quality [--only NAME ...]

CORPUS_FOLDER holds Multi30k as ``{train,val,test_2016_flickr}.{en,de}.gz``. Each model is trained
on the 29,000 training pairs alone, by the commands that a user types, with two workers, and scored
on test_2016_flickr: sacreBLEU, mixed case, detokenised. Interrupted, it goes on; what is done in
the output folder is not done again.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

LINGO = [sys.executable, "-c", "from pipeline.cli.app import main; main()"]


@dataclasses.dataclass(frozen=True)
class Contestant:
    """A model to train: ``minutes`` is its budget, ``beam_sizes`` what it is scored with."""

    source: str
    target: str
    preset: str
    minutes: float
    beam_sizes: tuple[int, ...] = (1, 5)


CONTESTANTS = {
    "en-de plain": Contestant("en", "de", "plain", 60, (1,)),
    "en-de": Contestant("en", "de", "production", 60),
    "de-en": Contestant("de", "en", "production", 60),
    "en-de in 20 minutes": Contestant("en", "de", "quick", 20),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path, help="folder with Multi30k")
    parser.add_argument("--output", type=Path, required=True, help="folder for all it makes")
    parser.add_argument(
        "--only", nargs="*", choices=list(CONTESTANTS), default=list(CONTESTANTS), metavar="NAME"
    )
    options = parser.parse_args()
    if not (options.corpus / "train.en.gz").exists():
        sys.exit(f"{options.corpus}: no Multi30k there (train.en.gz); give its folder")
    rows = []
    for name in options.only:
        rows += measure(name, options.corpus.resolve(), options.output.resolve())
    print_table(rows)


def measure(name: str, corpus: Path, folder: Path) -> list[dict[str, Any]]:
    contestant = CONTESTANTS[name]
    pair = f"{contestant.source}-{contestant.target}"
    dataset = folder / f"dataset-{pair}"
    model = folder / "models" / name.replace(" ", "-")
    description = folder / f"{pair}.yaml"
    folder.mkdir(parents=True, exist_ok=True)
    description.write_text(yaml.safe_dump(describe(corpus, contestant.source, contestant.target)))
    lingo("prepare", description, "--output", dataset)
    train = ["train", dataset, "--output", model, "--preset", contestant.preset]
    train += ["--workers", 2, "--max-minutes", contestant.minutes, "--ray-address", "local"]
    lingo(*train)
    training = json.loads((model / "training.json").read_text())
    rows = []
    for beam_size in contestant.beam_sizes:
        reports = folder / f"reports-{model.name}-beam-{beam_size}"
        evaluate = ["evaluate", dataset, "--model", model, "--beam-size", beam_size]
        if not list(reports.glob("*/report.json")):
            lingo(*evaluate, "--reports", reports)
        (report,) = reports.glob("*/report.json")
        bleu = next(s for s in json.loads(report.read_text())["scores"] if s["metric"] == "BLEU")
        rows.append({"name": name, "beam_size": beam_size, "training": training} | bleu)
    return rows


def describe(corpus: Path, source: str, target: str) -> dict[str, Any]:
    """Description of Multi30k's corpus in one direction."""
    files = {"train": "train", "valid": "val", "test": "test_2016_flickr"}
    sides = {"source": source, "target": target}
    inputs = [
        {side: str(corpus / f"{file}.{language}.gz") for side, language in sides.items()}
        | {"split": split}
        for split, file in files.items()
    ]
    return {f"{side}_lang": language for side, language in sides.items()} | {"inputs": inputs}


def lingo(*arguments: object) -> None:
    command = [str(argument) for argument in arguments]
    print("\n$ lingo", *command, flush=True)
    subprocess.run([*LINGO, *command], check=True)


def print_table(rows: list[dict[str, Any]]) -> None:
    print(
        f"\n{'model':22}{'beam':>5}{'BLEU':>7}{'minutes':>9}{'steps':>8}{'best':>8}{'epochs':>8}"
        f"{'seed':>6}{'parameters':>13}"
    )
    for row in rows:
        training = row["training"]
        print(
            f"{row['name']:22}{row['beam_size']:5d}{row['score']:7.2f}"
            f"{training['seconds'] / 60:9.1f}{training['n_steps']:8,}{training['best_step']:8,}"
            f"{training['history'][-1]['epoch'] + 1:8d}{training['recipe']['seed']:6d}"
            f"{training['n_parameters']:13,}"
        )
    for signature in sorted({row["signature"] for row in rows}):
        print(signature)


if __name__ == "__main__":
    main()
