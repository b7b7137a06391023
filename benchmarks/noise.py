"""Translation quality after training on a noisy corpus: as it is, cleaned, and without the noise.

Noise of six kinds is added to Multi30k, as many pairs as 30 % of the clean ones: copies of the
source, targets in a third language, targets of other sentences, parts of targets, letters at
random, and targets with other numbers and addresses. A model of one recipe is trained on the clean
corpus, on the noisy one without any rule, and on the noisy one with the default rules. All are
tested on the same sentences. What is finished is not done again.

Run: ``python benchmarks/noise.py ../multi30k --output NOISE [--preset quick]``
"""

from __future__ import annotations

import argparse
import random
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import yaml
from _shared import LINGO, read_lines

from pipeline.dataset.dataset import open_dataset
from pipeline.evaluate.scores import ScoreReport
from pipeline.storage.files import read_parquet
from pipeline.training_record import TrainingRecord

_NOISE_SHARE = 0.3
_SEED = 18

# Every rule that can reject a row is off, apart from empty sides, which cannot be encoded.
_NO_RULES = {
    "repair_entities": False,
    "repair_encoding": False,
    "repair_invisible": False,
    "max_characters": None,
    "max_word_characters": None,
    "max_length_ratio": None,
    "max_copied_words": None,
    "min_letter_share": None,
    "max_repeated_characters": None,
    "max_repeated_words": None,
    "max_unexpected_script_share": None,
    "match_numbers": False,
    "match_urls": False,
    "match_emails": False,
    "match_placeholders": False,
    "match_tags": False,
    "language": {"enabled": False},
}


def _misnumbered(target: str, draw: random.Random) -> str:
    number = draw.choice(["17", "3,400", "2019", "www.example.org/x", "40 %"])
    return f"{target.rstrip('.')} {number}."


def _gibberish(target: str, draw: random.Random) -> str:
    return " ".join(
        "".join(draw.choices("bcdfghjklmnpqrstvwxz", k=draw.randint(2, 9)))
        for _ in range(len(target.split()))
    )


def plant(
    sources: list[str], targets: list[str], others: list[str], draw: random.Random
) -> list[tuple[str, str, str]]:
    """Noisy pairs, with their kinds.

    Args:
        sources: the clean sources.
        targets: their translations.
        others: their translations into a third language.
        draw: the source of chance.
    """
    n = len(sources)
    kinds: dict[str, Callable[[int], str]] = {
        "copy": lambda i: sources[i],
        "other language": lambda i: others[i],
        "misaligned": lambda i: targets[(i + draw.randint(50, 5000)) % n],
        "half": lambda i: " ".join(targets[i].split()[: max(1, len(targets[i].split()) // 3)]),
        "gibberish": lambda i: _gibberish(targets[i], draw),
        "numbers": lambda i: _misnumbered(targets[i], draw),
    }
    names = list(kinds)
    chosen = draw.sample(range(n), int(_NOISE_SHARE * n))
    return [
        (kind, sources[i], kinds[kind](i))
        for number, i in enumerate(chosen)
        for kind in [names[number % len(names)]]
    ]


def lingo(*arguments: object) -> None:
    """Run a ``lingo`` command, and print it."""
    command = [str(argument) for argument in arguments]
    print("\n$ lingo", *command, flush=True)
    subprocess.run([*LINGO, *command], check=True)


def main() -> None:
    """Prepare, train and evaluate the three contestants, and print what the rules dropped."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path, help="the folder of Multi30k")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--minutes", type=float, default=30.0, help="the longest training")
    options = parser.parse_args()
    folder: Path = options.output.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(_SEED)
    sources, targets, others = (
        read_lines(options.corpus / f"train.{language}.gz") for language in ("en", "de", "fr")
    )
    noise = plant(sources, targets, others, draw)
    _write(folder / "clean", [(s, t) for s, t in zip(sources, targets, strict=True)])
    _write(folder / "noisy", [*zip(sources, targets, strict=True), *((s, t) for _, s, t in noise)])
    (folder / "no-rules.yaml").write_text(yaml.safe_dump({"clean": _NO_RULES}))
    contestants = {
        "clean corpus": ("clean", []),
        "noisy corpus, no rules": ("noisy", ["--config", folder / "no-rules.yaml"]),
        "noisy corpus, default rules": ("noisy", []),
    }
    rows = []
    for name, (train, config) in contestants.items():
        key = name.replace(" ", "-").replace(",", "")
        description = folder / f"{train}.yaml"
        description.write_text(
            yaml.safe_dump(_description(options.corpus.resolve(), folder, train))
        )
        dataset, model, reports = (
            folder / f"{kind}-{key}" for kind in ("dataset", "model", "reports")
        )
        lingo("prepare", description, "--output", dataset, *config)
        resources = ["--workers", 2, "--max-minutes", options.minutes, "--ray-address", "local"]
        lingo("train", dataset, "--output", model, "--preset", options.preset, *resources)
        if not list(reports.glob("*/report.json")):
            lingo("evaluate", dataset, "--model", model, "--reports", reports)
        (report,) = reports.glob("*/report.json")
        bleu = next(s for s in ScoreReport.load(report).scores if s.metric == "BLEU")
        n_pairs = open_dataset(dataset).manifest.splits["train"].n_pairs
        rows.append((name, n_pairs, bleu.score, TrainingRecord.load(model).seconds / 60))
    print(f"\n{'trained on':30}{'pairs':>9}{'BLEU':>7}{'minutes':>9}")
    for name, n_pairs, score, minutes in rows:
        print(f"{name:30}{n_pairs:9,}{score:7.2f}{minutes:9.1f}")
    _print_dropped(folder / "dataset-noisy-corpus-default-rules", noise, len(sources))


def _write(stem: Path, pairs: list[tuple[str, str]]) -> None:
    for number, language in enumerate(("en", "de")):
        lines = "".join(f"{pair[number]}\n" for pair in pairs)
        stem.with_suffix(f".{language}").write_text(lines, encoding="utf-8", newline="\n")


def _description(corpus: Path, folder: Path, train: str) -> dict[str, object]:
    held_out = {"valid": "val", "test": "test_2016_flickr"}
    inputs: list[dict[str, str]] = [
        {"source": str(folder / f"{train}.en"), "target": str(folder / f"{train}.de")}
    ]
    inputs += [
        {
            "source": str(corpus / f"{file}.en.gz"),
            "target": str(corpus / f"{file}.de.gz"),
            "split": split,
        }
        for split, file in held_out.items()
    ]
    return {"source_lang": "en", "target_lang": "de", "inputs": inputs}


def _print_dropped(dataset: Path, noise: list[tuple[str, str, str]], n_clean: int) -> None:
    """How many noisy pairs of each kind, and how many clean ones, the default rules dropped."""
    planted = Counter(kind for kind, _, _ in noise)
    dropped: Counter[str] = Counter()
    reasons: Counter[tuple[str, str]] = Counter()
    for file in sorted((dataset / "rejected").glob("*.parquet")):
        rows = read_parquet(file, ["line", "reason", "split"]).to_pylist()
        for row in rows:
            if row["split"] == "train":
                number = row["line"] - 1 - n_clean
                kind = "clean" if number < 0 else noise[number][0]
                dropped[kind] += 1
                reasons[kind, row["reason"]] += 1
    print(f"\n{'kind':18}{'pairs':>8}{'dropped':>9}  reasons")
    for kind, n in [("clean", n_clean), *planted.items()]:
        by_reason = ", ".join(
            f"{count:,} {reason}" for (of, reason), count in reasons.most_common() if of == kind
        )
        print(f"{kind:18}{n:8,}{dropped[kind]:9,}  {by_reason}")


if __name__ == "__main__":
    main()
