"""Translation quality on Multi30k: a table of the BLEU and the training time of presets.

    python benchmarks/quality.py CORPUS_FOLDER --output /tmp/quality [--only NAME ...]

CORPUS_FOLDER has Multi30k as ``{train,val,test_2016_flickr}.{en,de}.gz``. Each model is trained on
the 29,000 training pairs alone, through the command line, with two workers. It is scored on
test_2016_flickr by sacreBLEU, mixed case, detokenised. The same command continues an interrupted
run, and skips models and reports that are complete in the output folder.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from pipeline.evaluate.scores import Score, ScoreReport
from pipeline.training_record import TrainingRecord

LINGO = [sys.executable, "-c", "from pipeline.cli.app import main; main()"]


@dataclasses.dataclass(frozen=True)
class Contestant:
    """A model to train within ``minutes``, and to score with each of ``beam_sizes``."""

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
    parser.add_argument(
        "--output", type=Path, required=True, help="folder for datasets, models and reports"
    )
    parser.add_argument(
        "--only", nargs="*", choices=list(CONTESTANTS), default=list(CONTESTANTS), metavar="NAME"
    )
    options = parser.parse_args()
    if not (options.corpus / "train.en.gz").exists():
        sys.exit(f"{options.corpus}: no train.en.gz in this folder; give the folder of Multi30k")
    rows = []
    for name in options.only:
        rows += measure(name, options.corpus.resolve(), options.output.resolve())
    print_table(rows)


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table: a contestant, its training, and its BLEU with one beam size."""

    name: str
    beam_size: int
    training: TrainingRecord
    bleu: Score


def measure(name: str, corpus: Path, folder: Path) -> list[Row]:
    """Prepare, train and evaluate one contestant, unless that is done already."""
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
    training = TrainingRecord.load(model)
    rows = []
    for beam_size in contestant.beam_sizes:
        reports = folder / f"reports-{model.name}-beam-{beam_size}"
        evaluate = ["evaluate", dataset, "--model", model, "--beam-size", beam_size]
        if not list(reports.glob("*/report.json")):
            lingo(*evaluate, "--reports", reports)
        (report,) = reports.glob("*/report.json")
        bleu = next(s for s in ScoreReport.load(report).scores if s.metric == "BLEU")
        rows.append(Row(name, beam_size, training, bleu))
    return rows


def describe(corpus: Path, source: str, target: str) -> dict[str, Any]:
    """The corpus description of Multi30k in one direction."""
    files = {"train": "train", "valid": "val", "test": "test_2016_flickr"}
    sides = {"source": source, "target": target}
    inputs = [
        {side: str(corpus / f"{file}.{language}.gz") for side, language in sides.items()}
        | {"split": split}
        for split, file in files.items()
    ]
    return {f"{side}_lang": language for side, language in sides.items()} | {"inputs": inputs}


def lingo(*arguments: object) -> None:
    """Run a ``lingo`` command, and print it."""
    command = [str(argument) for argument in arguments]
    print("\n$ lingo", *command, flush=True)
    subprocess.run([*LINGO, *command], check=True)


def print_table(rows: list[Row]) -> None:
    """The table, and the signatures of the scores."""
    print(
        f"\n{'model':22}{'beam':>5}{'BLEU':>7}{'minutes':>9}{'steps':>8}{'best':>8}{'epochs':>8}"
        f"{'seed':>6}{'parameters':>13}"
    )
    for row in rows:
        training = row.training
        n_epochs = (training.history[-1].epoch or 0) + 1
        print(
            f"{row.name:22}{row.beam_size:5d}{row.bleu.score:7.2f}"
            f"{training.seconds / 60:9.1f}{training.n_steps:8,}{training.best_step:8,}"
            f"{n_epochs:8d}{training.recipe['seed']:6d}{training.n_parameters:13,}"
        )
    for signature in sorted({row.bleu.signature for row in rows}):
        print(signature)


if __name__ == "__main__":
    main()
