"""Which texts in another language the rule `wrong_language` finds, which it should keep, its speed.

    python benchmarks/languages.py ../multi30k /usr/share/locale [--compare] [--examples 10]

Each folder is a corpus of texts in known languages: `NAME.LANG.gz` (Multi30k), gettext catalogues
`LANG/LC_MESSAGES/NAME.mo`, or `LANG.txt`. For each of its languages a mixed corpus is made: its
texts, and for nine of them one text of another language, half of which are English. `--compare`
lets other detectors judge them, too, as far as they are installed. The columns of the tables:

    words       words of the texts
    own         texts in the expected language
    other       texts in other languages
    rejected    texts in the expected language that the rule rejects
    precision   the share of texts in other languages among those that it rejects
    recall      the share of texts in other languages that it rejects
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import gettext
import importlib.util
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from _shared import own_peak_mb, read_lines

from pipeline.languages import primary_language
from pipeline.prepare.config import LanguageConfig
from pipeline.prepare.languages import LanguageJudge, close_languages, label_of
from pipeline.prepare.texts import PairTexts, TextColumn

LENGTHS = ((1, 2), (3, 4), (5, 9), (10, 10_000))
_MIN_TEXTS = 50
# Messages of these catalogues are names of languages, countries and properties.
_NOT_PROSE = re.compile(r"^iso_|-properties$")
_MARKUP = re.compile(r"%[-+ #0-9.*$lhqjzt]*[a-zA-Z]|<[^>]*>|&\w+;|%\(\w+\)\w|\{\w*\}|^[^\x04]*\x04")

Texts = dict[str, list[str]]
"""The texts of each language."""
Detector = Callable[[list[str]], list[str | None]]
"""Gives the two-letter code of each text, or None if it does not know."""
Decide = Callable[[str, list[str]], Iterable[bool]]
"""Takes the expected language and texts, and says which texts are in another language."""


@dataclasses.dataclass
class Count:
    """What happened to the texts of one length."""

    own: int = 0
    other: int = 0
    rejected: int = 0
    found: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folders", type=Path, nargs="+", help="corpora of known languages")
    parser.add_argument("--per-language", type=int, default=2000, help="texts of each language")
    parser.add_argument("--compare", action="store_true", help="with lingua, pycld2 and py3langid")
    parser.add_argument("--examples", type=int, default=0, help="texts to print of each mistake")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    start = time.process_time()
    by_rule("en", ["loads the model and the tables"])
    print(
        f"model: {time.process_time() - start:.1f} s, {own_peak_mb():.0f} MB with NumPy and Arrow"
    )
    for folder in options.folders:
        texts = sampled(read_corpus(folder), options.per_language, options.seed)
        if len(texts) < 2:
            print(f"\n{folder}: skipped, no texts in two or more languages")
            continue
        print(f"\n{folder}: {len(texts)} languages")
        mixed = [*mixed_corpora(texts, options.seed)]
        report("wrong_language", mixed, by_rule, options.examples)
        if options.compare:
            for name, detector, known in detectors():
                report(name, mixed, by_label(detector, known), options.examples)


def read_corpus(folder: Path) -> Texts:
    """The texts of a folder by language. Empty if it is missing or holds none."""
    texts: dict[str, set[str]] = collections.defaultdict(set)
    for file in folder.glob("*.*.gz"):
        texts[file.name.split(".")[-2]].update(read_lines(file))
    for file in folder.glob("*.txt"):
        texts[file.stem].update(file.read_text(encoding="utf-8").splitlines())
    for file in folder.glob("*/LC_MESSAGES/*.mo"):
        if "@" not in file.parts[-3] and not _NOT_PROSE.search(file.stem):
            for source, target in messages(file):
                texts["en"].add(source)
                texts[file.parts[-3]].add(target)
    english = texts.get("en", set())
    # A message that nobody translated is English.
    return {
        tag: sorted(found if tag == "en" else found - english)
        for tag, found in texts.items()
        if label_of(tag)
    }


def messages(catalogue: Path) -> Iterator[tuple[str, str]]:
    """The messages of a gettext catalogue that look like prose, without markup."""
    with catalogue.open("rb") as file:
        try:
            translations = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
        except (OSError, ValueError, IndexError):  # not a catalogue, or a wrong header
            return
    for key, target in translations.items():
        source = key[0] if isinstance(key, tuple) else key
        source, target = (
            " ".join(_MARKUP.sub(" ", text).replace("_", "").split()) for text in (source, target)
        )
        if source and target and source != target and all(map(is_prose, (source, target))):
            yield source, target


def is_prose(text: str) -> bool:
    letters = sum(c.isalpha() or c.isspace() or not c.isascii() for c in text)
    return letters > 0.9 * len(text) and not re.search(r"--|[/=`\"@]|[A-Z]{3}", text)


def sampled(texts: Texts, n: int, seed: int) -> Texts:
    """At most ``n`` texts of each language that has some. Languages are in order."""
    chooser = random.Random(seed)
    return {
        tag: chooser.sample(texts[tag], min(n, len(texts[tag])))
        for tag in sorted(texts)
        if len(texts[tag]) >= _MIN_TEXTS
    }


def mixed_corpora(texts: Texts, seed: int) -> Iterator[tuple[str, list[str], list[str]]]:
    """For each language its tag, its texts, and a ninth as many texts of other languages."""
    chooser = random.Random(seed)
    for tag, own in texts.items():
        close = close_languages(str(label_of(tag)))
        others = [other for other in texts if label_of(other) not in close]
        english = ["en"] if "en" in others else others
        foreign = [
            chooser.choice(texts[chooser.choice(others if number % 2 else english)])
            for number in range(len(own) // 9)
        ]
        yield tag, own, foreign


def by_rule(tag: str, texts: list[str]) -> Iterable[bool]:
    """The decisions of the rule."""
    column = TextColumn.of(texts)
    judge = LanguageJudge(tag, tag, LanguageConfig())
    return judge.wrong_sources(PairTexts(column, column, tag, tag)).tolist()


def by_label(detector: Detector, known: set[str]) -> Decide:
    """Reject what a detector gives another language than the expected one and close ones.

    Args:
        detector: the detector.
        known: the languages that it knows. Where it does not know the expected one, it rejects
            nothing.
    """

    def decide(tag: str, texts: list[str]) -> Iterable[bool]:
        close = {"nb", *close_languages(str(label_of(tag)))}
        if known.isdisjoint(close - {"nb"}):
            return [False] * len(texts)
        return [label is not None and label not in close for label in detector(texts)]

    return decide


def detectors() -> Iterator[tuple[str, Detector, set[str]]]:
    """The other detectors that are installed, and the languages that they know."""
    if importlib.util.find_spec("py3langid"):
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        identifier = LanguageIdentifier.from_model_file(MODEL_FILE)

        def langid(texts: list[str]) -> list[str | None]:
            return [identifier.classify(text)[0] for text in texts]

        yield "py3langid, one text after the other", langid, set(identifier.labels)
    if importlib.util.find_spec("pycld2"):
        import pycld2

        def cld2(text: str) -> str | None:
            try:
                is_reliable, _, found = pycld2.detect(text)
            except pycld2.error:
                return None
            return primary_language(found[0][1]) if is_reliable else None

        known = {primary_language(code) for _, code in pycld2.LANGUAGES}
        yield "pycld2", lambda texts: [cld2(text) for text in texts], known
    if importlib.util.find_spec("lingua"):
        from lingua import Language, LanguageDetectorBuilder

        known = {language.iso_code_639_1.name.lower() for language in Language.all()} | {"no"}
        for name in ("low", "high"):
            builder = LanguageDetectorBuilder.from_all_languages()
            if name == "low":
                builder = builder.with_low_accuracy_mode()
            detector = builder.with_preloaded_language_models().build()

            def lingua(texts: list[str], detector: Any = detector) -> list[str | None]:
                found = (detector.detect_language_of(text) for text in texts)
                return [one and one.iso_code_639_1.name.lower() for one in found]

            yield f"lingua, {name} accuracy", lingua, known


def report(
    name: str,
    mixed: list[tuple[str, list[str], list[str]]],
    decide: Decide,
    n_examples: int,
) -> None:
    """Print the table of a detector, and examples of its mistakes."""
    counts = {length: Count() for length in LENGTHS}
    seconds = [0.0, 0.0]
    mistakes: dict[str, list[str]] = {"rejected": [], "missed": []}
    for tag, own, foreign in mixed:
        for is_foreign, texts in enumerate((own, foreign)):
            start = time.process_time()
            decisions = decide(tag, texts)
            seconds[is_foreign] += time.process_time() - start
            for text, is_wrong in zip(texts, decisions, strict=True):
                count = counts[length_of(text)]
                count.own += not is_foreign
                count.other += is_foreign
                count.rejected += is_wrong and not is_foreign
                count.found += is_wrong and is_foreign
                if is_wrong != is_foreign and length_of(text)[0] >= 5:
                    mistakes["missed" if is_foreign else "rejected"].append(f"{tag}: {text[:90]}")
    n_texts = [sum(count.own for count in counts.values())]
    n_texts.append(sum(count.other for count in counts.values()))
    rates = [n / max(s, 1e-9) for n, s in zip(n_texts, seconds, strict=True)]
    print(f"\n  {name}: {rates[0]:,.0f} texts/s of a core, {rates[1]:,.0f} of other languages")
    print(f"  {'words':8}{'own':>10}{'other':>10}{'rejected':>10}{'precision':>11}{'recall':>9}")
    for (shortest, longest), count in counts.items():
        words = f"{shortest}-{longest}" if longest < 1000 else f"{shortest}+"
        precision = count.found / max(1, count.found + count.rejected)
        print(
            f"  {words:8}{count.own:>10,}{count.other:>10,}{count.rejected:>10,}"
            f"{precision:>11.2%}{count.found / max(1, count.other):>9.2%}"
        )
    for kind, texts in mistakes.items():
        for text in random.Random(1).sample(texts, min(n_examples, len(texts))):
            print(f"    {kind} {text}")


def length_of(text: str) -> tuple[int, int]:
    n_words = len(text.split())
    return next((length for length in LENGTHS if n_words <= length[1]), LENGTHS[-1])


if __name__ == "__main__":
    main()
