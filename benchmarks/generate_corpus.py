"""Generates parallel text of any size, for the benchmarks of ``lingo prepare``.

The words are random letters, as frequent as words of a language (Zipf). A pair has the same numbers
on both sides. One pair in 20 occurs twice, and one in 50 has a fault of some kind.

Run: ``python benchmarks/generate_corpus.py OUTPUT --pairs 10000000``
"""

# ruff: noqa: SIM905, E501 - syllables are easier to read in a text
from __future__ import annotations

import argparse
import itertools
import random
from pathlib import Path

import numpy as np
import numpy.typing as npt

_N_WORDS = 200_000
_BLOCK_PAIRS = 50_000
_MEAN_WORDS = 9
_DUPLICATES = 20
_FAULTS = 50
_SYLLABLES = {
    "en": "ba be bi bo co da de di do el en er fa fi go ha he in ka la le li lo ma me mi mo na ne "
    "no on or pa pe ra re ri ro sa se si so ta te ti to un ur va ve wa we wi yo".split(),
    "es": "ba be bi bó ca ce co cu da de dí do el en es fa fe ga go ha hi ja la le li lo ma me mi mó "
    "na ne ño no os pa pe que ra ré ri ro sa se si so ta te tí to ún va ve vi ya zo".split(),
}


def _words(lang: str) -> npt.NDArray[np.object_]:
    draw = random.Random(lang)
    syllables = _SYLLABLES[lang]
    words: dict[str, None] = {}
    while len(words) < _N_WORDS:
        words["".join(draw.choices(syllables, k=draw.choice((1, 2, 2, 3, 3, 4))))] = None
        if len(words) % 1000 == 0:
            words["".join(draw.choices(syllables, k=7))] = None
    return np.array(list(words), object)


def _sentences(
    words: npt.NDArray[np.object_], n: int, draw: np.random.Generator
) -> list[list[str]]:
    lengths = 2 + draw.poisson(_MEAN_WORDS - 2, n)
    # Zipf's law by the inverse of its distribution, so that no word has more than some percent.
    places = draw.random(lengths.sum())
    chosen = words[np.exp(places * np.log(len(words))).astype(np.int64) - 1].tolist()
    ends = itertools.accumulate(lengths.tolist())
    return [chosen[end - length : end] for end, length in zip(ends, lengths.tolist(), strict=True)]


def _text(words: list[str], number: int | None) -> str:
    text = " ".join(words).capitalize()
    return f"{text}." if number is None else f"{text} {number}."


def main() -> None:
    """Write ``OUTPUT/train.en``, ``train.es`` and ``corpus.yaml``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("output", type=Path, help="a new folder")
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True)
    draw = np.random.default_rng(arguments.seed)
    words = {lang: _words(lang) for lang in _SYLLABLES}
    files = {lang: (arguments.output / f"train.{lang}").open("w", newline="\n") for lang in words}
    for start in range(0, arguments.pairs, _BLOCK_PAIRS):
        n = min(_BLOCK_PAIRS, arguments.pairs - start)
        numbers = [int(v) if v < 1000 else None for v in draw.integers(0, 5000, n)]
        lines = {
            lang: [
                _text(sentence, number)
                for sentence, number in zip(_sentences(words[lang], n, draw), numbers, strict=True)
            ]
            for lang in words
        }
        for place in range(_DUPLICATES, n, _DUPLICATES):
            for side in lines.values():
                side[place] = side[place - _DUPLICATES + 1]
        for place in range(7, n, _FAULTS):
            lines["es"][place] = ("", lines["en"][place], "x" * 1100, "!!!!!!!! 99")[
                place // 50 % 4
            ]
        for lang, side in lines.items():
            files[lang].write("\n".join(side) + "\n")
    for file in files.values():
        file.close()
    (arguments.output / "corpus.yaml").write_text(
        "source_lang: en\ntarget_lang: es\ninputs:\n  - {source: train.en, target: train.es}\n"
    )


if __name__ == "__main__":
    main()
