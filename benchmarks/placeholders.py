"""How many planted variables, addresses and tags come out of a demo model intact and in place.

    python benchmarks/placeholders.py --model demo/models/demo [--rows 1000]

Sentences of the demo's test split that have placeholders, each with something that must come
through in its place. One counts as through where the model itself carried it (the row is not
flagged), and as in place where the row's stand in the order of the reference translation.
"""

from __future__ import annotations

import argparse
import random
import re
from pathlib import Path

from lingo_model import Translator, load_bundle
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.documents.document_translator import DocumentTranslator

PLANTED = (
    "{name}",
    "%s",
    "%(x)d",
    "{{ x }}",
    "${user}",
    "https://example.org/a?b=1",
    "me@example.org",
    "<br/>",
)
_SYMBOL = re.compile(r"<ph\d>")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", type=Path, required=True, help="a bundle of `lingo demo`")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=77)
    options = parser.parse_args()
    rows = planted(options.rows, options.seed)
    documents = DocumentTranslator(
        Translator(load_bundle(options.model)), language="en", max_segment_tokens=128
    )
    found, _ = documents.translate([source for source, _, _ in rows])
    n_planted = n_through = n_in_place = n_kept = n_equal = 0
    for (_, reference, values), translated in zip(rows, found, strict=True):
        any_value = re.compile("|".join(map(re.escape, values)))
        in_place = any_value.findall(translated.text) == any_value.findall(reference)
        n_planted += len(values)
        n_through += len(values) if translated.placeholders_ok else 0
        n_in_place += len(values) if translated.placeholders_ok and in_place else 0
        n_kept += sum(value in translated.text for value in values)
        n_equal += translated.text == reference
    print(f"{len(rows):,} rows, {n_planted:,} planted")
    print(f"intact, by the model itself:        {n_through / n_planted:.2%}")
    print(f"  and in place:                     {n_in_place / n_planted:.2%}")
    print(f"in the row, flagged rows included:  {n_kept / n_planted:.2%}")
    print(f"rows equal to the reference:        {n_equal / len(rows):.2%}")


def planted(n_rows: int, seed: int) -> list[tuple[str, str, list[str]]]:
    """Sources and references with values for their symbols, and those values."""
    draw = random.Random(seed)
    rows: list[tuple[str, str, list[str]]] = []
    while len(rows) < n_rows:
        for pair in generate_pairs(20_000, seed=seed, split="test"):
            symbols = sorted(set(_SYMBOL.findall(pair.source)))
            if symbols and len(rows) < n_rows:
                values = dict(zip(symbols, draw.sample(PLANTED, len(symbols)), strict=True))
                source, reference = (
                    _SYMBOL.sub(lambda m, v=values: v[m[0]], text)  # type: ignore[misc]
                    for text in (pair.source, pair.target)
                )
                rows.append((source, reference, list(values.values())))
        seed += 1
    return rows


if __name__ == "__main__":
    main()
