"""How many planted variables, addresses and tags a demo model keeps intact and in place.

    python benchmarks/placeholders.py --model demo/models/demo [--rows 1000]

The rows are sentences of the demo's test split that have placeholders, with a value planted in each
placeholder. A value is intact if the model itself kept it, that is, if the row is not flagged. It
is in place if the row's values are also in the order of the reference translation.
"""

from __future__ import annotations

import argparse
import dataclasses
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
_PLACEHOLDER = re.compile(r"<ph\d>")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", type=Path, required=True, help="a bundle of `lingo demo`")
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=77)
    options = parser.parse_args()
    rows = planted_rows(options.rows, options.seed)
    documents = DocumentTranslator(
        Translator(load_bundle(options.model)), language="en", max_segment_tokens=128
    )
    translations, _ = documents.translate([row.source for row in rows])
    n_planted = n_intact = n_in_place = n_present = n_equal = 0
    for row, translation in zip(rows, translations, strict=True):
        any_value = re.compile("|".join(map(re.escape, row.values)))
        same_order = any_value.findall(translation.text) == any_value.findall(row.reference)
        n_planted += len(row.values)
        n_intact += len(row.values) if translation.placeholders_ok else 0
        n_in_place += len(row.values) if translation.placeholders_ok and same_order else 0
        n_present += sum(value in translation.text for value in row.values)
        n_equal += translation.text == row.reference
    print(f"{len(rows):,} rows, {n_planted:,} planted values")
    print(f"intact, by the model itself:        {n_intact / n_planted:.2%}")
    print(f"  and in place:                     {n_in_place / n_planted:.2%}")
    print(f"in the row, flagged rows included:  {n_present / n_planted:.2%}")
    print(f"rows equal to the reference:        {n_equal / len(rows):.2%}")


@dataclasses.dataclass(frozen=True)
class PlantedRow:
    """A source and its reference translation, with ``values`` in place of the placeholders."""

    source: str
    reference: str
    values: list[str]


def planted_rows(n_rows: int, seed: int) -> list[PlantedRow]:
    """Draw sentences that have placeholders, and plant values in them."""
    draw = random.Random(seed)
    rows: list[PlantedRow] = []
    while len(rows) < n_rows:
        for pair in generate_pairs(20_000, seed=seed, split="test"):
            placeholders = sorted(set(_PLACEHOLDER.findall(pair.source)))
            if placeholders and len(rows) < n_rows:
                values = draw.sample(PLANTED, len(placeholders))
                value_of = dict(zip(placeholders, values, strict=True))
                rows.append(
                    PlantedRow(_plant(value_of, pair.source), _plant(value_of, pair.target), values)
                )
        seed += 1
    return rows


def _plant(value_of: dict[str, str], text: str) -> str:
    return _PLACEHOLDER.sub(lambda match: value_of[match[0]], text)


if __name__ == "__main__":
    main()
