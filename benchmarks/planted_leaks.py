"""How many planted copies of test sentences the leak check finds, and what else it finds.

    python benchmarks/planted_leaks.py multi30k/ [--source en] [--target de] [--similarity 0.8]

The folder has `train.LANG.gz`, `val.LANG.gz` and `test_2016_flickr.LANG.gz` of Multi30k. Changed
copies of test sentences are planted among the training pairs. There are as many of each kind as
there are test sentences: once as sources with another target, and once as targets with another
source. The columns of the table:

    kind        the change
    sources     planted sources that the check finds, of those planted
    targets     planted targets that the check finds, of those with enough words

The training pairs that are not planted and that the check finds follow, with the pair that they are
near to. Whether they are leaks is for the reader to judge.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path

from _shared import read_lines

from pipeline.prepare.leaks_config import LeaksConfig
from pipeline.prepare.near import words_of
from pipeline.prepare.near_index import LEAK_KINDS, NO_LEAK, HeldOutIndex
from pipeline.prepare.texts import PairTexts, TextColumn

PUNCTUATION = ",;:!?.\"'()-"
HELD_OUT_TIME = "10:45"
Change = Callable[[str, random.Random], str]


def other_case(text: str, draw: random.Random) -> str:
    """Capitals, small letters, or a capital for each word."""
    return draw.choice([str.upper, str.lower, str.title, str.swapcase])(text)


def other_punctuation(text: str, draw: random.Random) -> str:
    """Without punctuation, or with more of it between the words."""
    if draw.random() < 0.5:
        return "".join(character for character in text if character not in ".,;:!?\"'")
    words = text.rstrip(".").split()
    return "- " + " ".join(word + draw.choice(["", "", ",", " -", "!", "..."]) for word in words)


def other_digits(text: str, draw: random.Random) -> str:
    """Another time of the day."""
    return text.replace(HELD_OUT_TIME, f"{draw.randint(0, 23)}:{draw.randint(10, 59)}")


def other_order(text: str, draw: random.Random) -> str:
    """The words in any order."""
    words = text.split()
    draw.shuffle(words)
    return " ".join(words)


def other_word(text: str, draw: random.Random) -> str:
    """One word replaced, added or taken away."""
    words = text.split()
    place = draw.randrange(len(words))
    new = draw.choice(["quickly", "zebra", "Anna", "heute", "unter", "blau"])
    match draw.choice(["replace", "add", "remove"]):
        case "replace":
            words[place] = new
        case "add":
            words.insert(place, new)
        case _:
            del words[place]
    return " ".join(words)


CHANGES: dict[str, Change] = {
    "exact": lambda text, _draw: text,
    "case": other_case,
    "punctuation": other_punctuation,
    "digits": other_digits,
    "word order": other_order,
    "one word": other_word,
    "one word, order, case": lambda text, draw: other_case(
        other_order(other_word(text, draw), draw), draw
    ),
    "two words": lambda text, draw: other_word(other_word(text, draw), draw),
}


def main() -> None:
    """Plant, look, and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--source", default="en")
    parser.add_argument("--target", default="de")
    parser.add_argument("--similarity", type=float, default=LeaksConfig().similarity)
    parser.add_argument("--examples", type=int, default=100)
    options = parser.parse_args()
    langs = (options.source, options.target)

    def read(name: str) -> list[tuple[str, str]]:
        sides = (read_lines(options.folder / f"{name}.{lang}.gz") for lang in langs)
        return list(zip(*sides, strict=True))

    def column(pairs: list[tuple[str, str]]) -> PairTexts:
        sides = [TextColumn.of(pair[side] for pair in pairs) for side in (0, 1)]
        return PairTexts(sides[0], sides[1], *langs)

    train, valid, test = read("train"), read("val"), read("test_2016_flickr")
    timed = [(f"{source} {HELD_OUT_TIME}", f"{target} {HELD_OUT_TIME}") for source, target in test]
    held_out = [*test, *timed, *valid]
    config = LeaksConfig(similarity=options.similarity)
    names = [str(number) for number in range(len(held_out))]
    index = HeldOutIndex.build([("test", names, column(held_out))], config)
    draw = random.Random(1)
    rows: list[tuple[str, int, bool]] = []
    planted: list[tuple[str, str]] = []
    for kind, change in CHANGES.items():
        for number, pair in enumerate(timed if kind == "digits" else test):
            for side in (0, 1):
                copy, other = (
                    change(pair[side], draw),
                    f"row {number} is planted here with side {side}",
                )
                planted.append((copy, other) if side == 0 else (other, copy))
                rows.append((kind, side, True))
    pairs = [*train, *planted]
    rows = [*[("", 0, False)] * len(train), *rows]
    order = draw.sample(range(len(pairs)), len(pairs))
    texts = column([pairs[number] for number in order])
    texts.source.codes, texts.target.codes  # noqa: B018, the texts are columns before the check
    began = time.process_time()
    leaks = index.leaks(texts)
    seconds = time.process_time() - began
    n_words = words_of(texts.target).counts
    found: dict[tuple[str, int], list[int]] = {}
    alarms: list[int] = []
    for place, number in enumerate(order):
        kind, side, is_planted = rows[number]
        is_found = bool(leaks.kind[place] != NO_LEAK)
        if not is_planted:
            if is_found:
                alarms.append(place)
        elif side == 0 or n_words[place] >= config.min_target_words:
            counts = found.setdefault((kind, side), [0, 0])
            counts[0] += is_found
            counts[1] += 1
    print(f"{'kind':24}{'sources':>16}{'targets':>16}")
    for kind in CHANGES:
        cells = (f"{n:,} of {of:,}" for n, of in (found[kind, side] for side in (0, 1)))
        print(f"{kind:24}" + "".join(f"{cell:>16}" for cell in cells))
    print(f"{len(alarms):,} of {len(train):,} pairs that are not planted are found, too")
    print(f"{seconds / len(pairs) * 1e6:.1f} microseconds for each pair")
    for place in sorted(alarms, key=lambda place: leaks.of[place])[: options.examples]:
        kind = LEAK_KINDS[leaks.kind[place]]
        side = int(kind.endswith("target"))
        print(f"\n{kind}, {leaks.similarity[place]:.2f}")
        print(f"    {pairs[order[place]][side]}\n    {held_out[leaks.of[place]][side]}")


if __name__ == "__main__":
    main()
