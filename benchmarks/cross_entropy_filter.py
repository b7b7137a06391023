"""What the rule `cross_entropy` finds of pairs that do not fit, which no other rule can see.

    python benchmarks/cross_entropy_filter.py ../multi30k --output CROSS_ENTROPY

The folder has `train.en.gz`, `train.de.gz` and the files of `val` (Multi30k). Of the training
pairs, some are trusted: a dataset is made from them, and a model of each direction is trained on
it. In the others, 30 % of the pairs are misaligned: in blocks of lines, the targets are shifted by
one. With `--train-on noisy`, the models learn from all of these pairs instead. Prints for several
thresholds:

    rejected    pairs whose score is above the threshold
    precision   the share of misaligned pairs among them
    recall      the share of the misaligned pairs that are above the threshold

Then `prepare` makes a dataset of the noisy pairs with the rule at its default, and the script
counts the misaligned pairs among those that the rule rejects. A run that is interrupted goes on.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from _shared import read_lines

from pipeline.prepare.config import CleanConfig, CrossEntropyConfig, PrepareConfig, SubwordsConfig
from pipeline.prepare.corpus import CorpusDescription
from pipeline.prepare.rules.cross_entropy import CROSS_ENTROPY, dual_score, scoring_models
from pipeline.prepare.stage import prepare_corpus
from pipeline.prepare.texts import PairTexts, TextColumn
from pipeline.train.recipe import TrainConfig, TrainResources
from pipeline.train.stage import train_model

N_TRUSTED = 10_000
NOISY_SHARE = 0.3
LINES_PER_BLOCK = 20
RECIPE = TrainConfig(
    emb_dim=128,
    hidden_dim=256,
    num_layers=1,
    embedding_dropout=0.2,
    output_dropout=0.2,
    attention=True,
    bidirectional=True,
    n_data_shards=1,
    target_tokens_per_step=1000,
    max_epochs=6,
    learning_rate=3e-3,
    label_smoothing=0.0,
    eval_every_steps=500,
    max_valid_sentences=200,
)
SUBWORDS = SubwordsConfig(vocab_size=4000)
BAR_CHARACTERS = 40

Pairs = list[tuple[str, str]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="Multi30k")
    parser.add_argument("--output", type=Path, required=True, help="datasets and models")
    parser.add_argument("--train-on", choices=["trusted", "noisy"], default="trusted")
    parser.add_argument("--epochs", type=int, default=RECIPE.max_epochs, help="of training")
    parser.add_argument("--target", default="de", help="the other language")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    pairs = read_pairs(options.folder, "train", options.target)
    valid = read_pairs(options.folder, "val", options.target)
    trusted, rest = pairs[:N_TRUSTED], pairs[N_TRUSTED:]
    noisy, is_misaligned = misaligned(rest, options.seed)
    print(
        f"{len(trusted):,} trusted pairs, {len(noisy):,} others, {is_misaligned.mean():.1%} noise"
    )

    output = options.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    valid_input = write(output, "valid", valid) | {"split": "valid"}
    noisy_input = write(output, "noisy", noisy)
    inputs = {"trusted": write(output, "trusted", trusted), "noisy": noisy_input}
    first = describe(options.target, inputs[options.train_on], valid_input)
    dataset = output / f"dataset-{options.train_on}"
    prepare_corpus(first, dataset, PrepareConfig(subwords=SUBWORDS))
    models = {
        "forward": output / f"{options.train_on}-en-{options.target}",
        "backward": output / f"{options.train_on}-{options.target}-en",
    }
    recipe = RECIPE.model_copy(update={"max_epochs": options.epochs})
    resources = TrainResources(n_workers=1, ray_address="local")
    train_model(dataset, models["forward"], recipe, resources)
    train_model(dataset, models["backward"], recipe, resources, reverse=True)

    rule = CrossEntropyConfig(**models)
    scores = score(rule, noisy, options.target)
    print_thresholds(scores, is_misaligned, rule.max_score)
    print_histogram(scores, is_misaligned)

    second = describe(options.target, noisy_input, valid_input)
    config = PrepareConfig(subwords=SUBWORDS, clean=CleanConfig(cross_entropy=rule))
    filtered = output / f"filtered-{options.train_on}-{rule.max_score}"
    prepare_corpus(second, filtered, config)
    print_rejected(filtered, is_misaligned)


def read_pairs(folder: Path, name: str, target: str) -> Pairs:
    """The pairs of two aligned files."""
    sides = (read_lines(folder / f"{name}.{language}.gz") for language in ("en", target))
    return list(zip(*sides, strict=True))


def misaligned(pairs: Pairs, seed: int) -> tuple[Pairs, npt.NDArray[np.bool_]]:
    """Shift the targets of some blocks of lines by one. Returns the pairs, and which changed."""
    rng = random.Random(seed)
    changed = list(pairs)
    is_changed = np.zeros(len(pairs), np.bool_)
    for start in range(0, len(pairs), LINES_PER_BLOCK):
        block = pairs[start : start + LINES_PER_BLOCK]
        if rng.random() < NOISY_SHARE and len(block) > 1:
            targets = [target for _, target in block]
            shifted = [targets[-1], *targets[:-1]]
            changed[start : start + len(block)] = [
                (source, target) for (source, _), target in zip(block, shifted, strict=True)
            ]
            is_changed[start : start + len(block)] = True
    return changed, is_changed


def write(folder: Path, name: str, pairs: Pairs) -> dict[str, Path]:
    """Write pairs as aligned files. Returns them as an input of a corpus description."""
    paths = {"source": folder / f"{name}.source", "target": folder / f"{name}.target"}
    for path, texts in zip(paths.values(), zip(*pairs, strict=True), strict=True):
        path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return paths


def describe(target: str, *inputs: dict[str, object]) -> CorpusDescription:
    """A description of these inputs."""
    return CorpusDescription.model_validate(
        {"source_lang": "en", "target_lang": target, "inputs": inputs}
    )


def score(rule: CrossEntropyConfig, pairs: Pairs, target: str) -> npt.NDArray[np.float64]:
    """The score of each pair."""
    models = scoring_models(rule, None)
    sources, targets = (TextColumn.of(texts) for texts in zip(*pairs, strict=True))
    start = time.process_time()
    forward, backward = models.entropies(PairTexts(sources, targets, "en", target))
    rate = len(pairs) / (time.process_time() - start)
    print(f"scored {rate:,.0f} pairs/s of CPU time, both directions")
    return dual_score(forward, backward)


def print_thresholds(
    scores: npt.NDArray[np.float64], is_misaligned: npt.NDArray[np.bool_], default: float
) -> None:
    print("\n| max_score | rejected | precision | recall | good pairs rejected |\n|--|--|--|--|--|")
    for threshold in sorted({*np.arange(2.0, 10.5, 0.5).tolist(), default}):
        rejected = scores > threshold
        found = int(np.count_nonzero(rejected & is_misaligned))
        mark = " (default)" if threshold == default else ""
        print(
            f"| {threshold:.1f}{mark} | {np.count_nonzero(rejected):,} "
            f"| {found / max(1, np.count_nonzero(rejected)):.1%} "
            f"| {found / np.count_nonzero(is_misaligned):.1%} "
            f"| {np.mean(rejected[~is_misaligned]):.1%} |"
        )


def print_histogram(scores: npt.NDArray[np.float64], is_misaligned: npt.NDArray[np.bool_]) -> None:
    edges = np.arange(0.0, 15.5, 0.5)
    clipped = np.minimum(scores, edges[-1] - 0.01)
    good, bad = (np.histogram(clipped[rows], edges)[0] for rows in (~is_misaligned, is_misaligned))
    scale = BAR_CHARACTERS / max(good.max(), bad.max())
    print("\nscore   good pairs (=), misaligned pairs (#)")
    for low, n_good, n_bad in zip(edges, good, bad, strict=False):
        if n_good or n_bad:
            print(f"{low:4.1f} {n_good:6,} {'=' * round(n_good * scale)}")
            print(f"     {n_bad:6,} {'#' * round(n_bad * scale)}")


def print_rejected(dataset: Path, is_misaligned: npt.NDArray[np.bool_]) -> None:
    """Count the misaligned pairs among those that `prepare` rejects, by reason."""
    files = sorted((dataset / "rejected").glob("*.parquet"))
    print("\nprepare rejects:")
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    for reason in sorted({row["reason"] for row in rows}):
        numbers = [int(r["origin"].rpartition(":")[2]) for r in rows if r["reason"] == reason]
        found = int(np.count_nonzero(is_misaligned[np.array(numbers) - 1]))
        examples = [r["detail"] for r in rows if r["reason"] == reason][:1]
        note = f", such as {examples[0]}" if reason == CROSS_ENTROPY else ""
        print(f"  {reason}: {len(numbers):,}, {found:,} of them misaligned{note}")


if __name__ == "__main__":
    main()
