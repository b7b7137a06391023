"""How many planted variables, addresses, tags, numbers and other spans come through a demo model.

    python benchmarks/placeholders.py --model demo/models/demo [--rows 300]

The rows are sentences of the demo's test split. Spans of one kind are planted in the places of
their placeholders. The columns of the table:

    planted     spans in the sources
    intact      spans that are in the translations
    flagged     spans of rows with `placeholders_ok` or `numbers_ok` false
    silent      spans that are neither intact nor flagged
    equal       rows that are equal to the reference translation
    alone       spans that are intact if the model reads the kinds of `spans` as they are
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import re
from pathlib import Path

from lingo_model import Translator, load_bundle
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.documents.document_translator import DocumentTranslator, TranslatedText
from pipeline.documents.quality_signals import numbers_ok
from pipeline.translate.config import TranslateConfig

PLANTED = {
    "braces": ("{name}", "{0,number}", "{{ x }}", "${user}", "%{dog}", "#{dog}", "{a:>{w}}"),
    "formats": ("%s", "%(x)d", "%1$s", "%1", "$t(key)", "%-5.2lf"),
    "templates": ("<%= x %>", "{% tag %}", "<?php x(); ?>", "[[x]]"),
    "messages": ("{n, plural, =0 {none} one {# dogs}}", "{g, select, a {A} other {B}}"),
    "tags": ("<br/>", "<!-- note > -->", "<code>x > y</code>", '<img alt="a > b">', "&nbsp;"),
    "urls": ("https://example.org/a?b=1", "https://en.example.org/wiki/Dog_(animal)", "www.a.com"),
    "e-mail": ("me@example.org", "anna.b+c@mail.example.co.uk", "mailto:me@x.org"),
    "code": ("`x = 1`", "``a`b``", "`f(x)`"),
    "numbers": ("1,000.50", "42", "3.5", "7th", "555-0199", "-12"),
    "dates": ("2024-01-02", "10:30", "02.01.2024", "1/2/2024", "10:30:15"),
    "amounts": ("$5", "1.250,00 €", "20 %", "£3.99", "5kg", "100%"),
    "emoji": ("😀", "👩‍👩‍👧", "🇪🇸", "👍🏽", "❤️", ":smile:"),
    "handles": ("@maria", "@dog_lover", "@a.b", "@ana@example.social"),
    "hashtags": ("#dogs", "#spanish_dogs", "#2024goals"),
    "variables": (":name", "$name", "$user->name", "[NAME]", "__NAME__"),
    "machines": ("192.168.1.10", "10.0.0.0/8", "fe80::1", "00:1a:2b:3c:4d:5e", "v1.2.3"),
    "paths": ("/usr/local/bin", "C:\\Users\\ana", "~/notes.txt", "report.pdf", "example.org"),
    "emphasis": ("**dog42**", "*dog42*", "__dog42__", "~~dog42~~"),
}  # fmt: skip
_PLACEHOLDER = re.compile(r"<ph\d>")
_HEADER = ("kind", "planted", "intact", "flagged", "silent", "equal", "alone")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", type=Path, required=True, help="a bundle of `lingo demo`")
    parser.add_argument("--rows", type=int, default=300, help="rows of each kind")
    parser.add_argument("--seed", type=int, default=77)
    options = parser.parse_args()
    translator = Translator(load_bundle(options.model))
    config = TranslateConfig()
    documents, alone = (
        DocumentTranslator(
            translator,
            language="en",
            max_segment_tokens=config.max_segment_tokens,
            spans=spans,
        )
        for spans in (config.spans, ())
    )
    print(f"{_HEADER[0]:10}" + "".join(f"{title:>10}" for title in _HEADER[1:]))
    for kind, values in PLANTED.items():
        rows = planted_rows(values, options.rows, options.seed)
        result = Result.of(rows, documents)
        n_alone = Result.of(rows, alone).n_intact
        counts = (result.n_planted, result.n_intact, result.n_flagged, result.n_silent)
        print(
            f"{kind:10}"
            + "".join(f"{count:>10,}" for count in counts)
            + f"{result.n_equal / len(rows):>10.1%}{n_alone:>10,}"
        )


@dataclasses.dataclass(frozen=True)
class PlantedRow:
    """A source and its reference translation, with ``values`` in place of the placeholders."""

    source: str
    reference: str
    values: list[str]

    def n_intact(self, translation: str) -> int:
        """How many values are in a translation."""
        return sum(value in translation for value in self.values)


@dataclasses.dataclass(frozen=True)
class Result:
    """How the planted values of some rows came through."""

    n_planted: int
    n_intact: int
    n_flagged: int
    n_silent: int
    n_equal: int

    @classmethod
    def of(cls, rows: list[PlantedRow], documents: DocumentTranslator) -> Result:
        """Translate rows and count."""
        translations, _ = documents.translate([row.source for row in rows])
        pairs = list(zip(rows, translations, strict=True))
        return cls(
            n_planted=sum(len(row.values) for row in rows),
            n_intact=sum(row.n_intact(translated.text) for row, translated in pairs),
            n_flagged=sum(len(row.values) for row, t in pairs if _is_flagged(row, t)),
            n_silent=sum(
                len(row.values) - row.n_intact(t.text)
                for row, t in pairs
                if not _is_flagged(row, t)
            ),
            n_equal=sum(row.reference == translated.text for row, translated in pairs),
        )


def _is_flagged(row: PlantedRow, translated: TranslatedText) -> bool:
    is_number_lost = numbers_ok(row.source, translated.text) is False
    return translated.placeholders_ok is False or is_number_lost


def planted_rows(values: tuple[str, ...], n_rows: int, seed: int) -> list[PlantedRow]:
    """Draw sentences that have placeholders, and plant some of the values in them."""
    draw = random.Random(seed)
    rows: list[PlantedRow] = []
    while len(rows) < n_rows:
        for pair in generate_pairs(20_000, seed=seed, split="test"):
            placeholders = sorted(set(_PLACEHOLDER.findall(pair.source)))
            if placeholders and len(rows) < n_rows:
                chosen = draw.sample(values, len(placeholders))
                value_of = dict(zip(placeholders, chosen, strict=True))
                rows.append(
                    PlantedRow(_plant(value_of, pair.source), _plant(value_of, pair.target), chosen)
                )
        seed += 1
    return rows


def _plant(value_of: dict[str, str], text: str) -> str:
    return _PLACEHOLDER.sub(lambda match: value_of[match[0]], text)


if __name__ == "__main__":
    main()
