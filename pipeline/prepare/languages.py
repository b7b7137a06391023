"""The languages of texts: which pairs have a side in another language than the corpus says.

:mod:`pipeline.prepare.language_scores` gives the probabilities. This module decides.
"""

from __future__ import annotations

import dataclasses
import functools
import re
import weakref

import numpy as np
import numpy.typing as npt

from pipeline.languages import primary_language
from pipeline.prepare.characters import Property
from pipeline.prepare.config import LanguageConfig
from pipeline.prepare.language_scores import (
    MAX_BYTES,
    NO_LANGUAGE,
    LanguageModel,
    Scores,
    in_small_letters,
    language_model,
)
from pipeline.prepare.texts import Counts, Mask, PairTexts, Runs, TextColumn

KNOWN_LANGUAGES = frozenset((
    *("ace", "af", "am", "an", "ar", "ary", "arz", "as", "az", "ba", "bcl", "be", "bg", "bn"),
    *("br", "bs", "ca", "crh", "cs", "cy", "da", "de", "dz", "el", "en", "eo", "es", "et"),
    *("eu", "ext", "fa", "fi", "fo", "fr", "fuv", "fy", "ga", "gcf", "gcr", "gd", "gl", "gom"),
    *("grc", "gu", "gug", "guw", "ha", "hbo", "he", "hi", "hr", "ht", "hu", "hy", "id", "ig"),
    *("is", "it", "ja", "jv", "ka", "kab", "kik", "kk", "km", "kn", "ko", "ku", "ky", "la"),
    *("lb", "lg", "lij", "ln", "lo", "lt", "ltg", "lv", "mg", "mk", "ml", "mn", "mr", "ms"),
    *("mt", "my", "ne", "nl", "nn", "no", "nso", "oc", "om", "or", "pa", "pcm", "pl", "ps"),
    *("pt", "qu", "ro", "ru", "rw", "sa", "sdh", "se", "si", "sk", "sl", "sn", "so", "sq"),
    *("sr", "st", "sv", "sw", "ta", "te", "tg", "th", "tk", "tl", "tr", "tt", "ug", "uk"),
    *("ur", "uz", "uzs", "vec", "vi", "vo", "wa", "wuu", "xh", "yo", "yue", "zh", "zu"),
))  # fmt: skip
"""The languages of the model, by its labels."""

# Labels of the model for tags that it does not know by this name.
_LABELS = {
    **{"nb": "no", "iw": "he", "in": "id", "sh": "sr", "ckb": "sdh", "prs": "fa"},
    **{"ki": "kik", "gn": "gug", "ff": "fuv", "hyw": "hy"},
}

# Languages and varieties that the model does not tell apart well enough to reject a text. A text
# in one language of a group is not wrong where another of the group is expected.
_GROUPS = (
    *("no nn da", "bs hr sr", "id ms jv", "zh yue wuu", "ar arz ary"),
    *("hi sa", "mr sa gom", "ne sa", "es an ext", "it vec lij", "fr gcf", "ht gcr gcf", "en pcm"),
    *("tl bcl", "lv ltg", "el grc", "he hbo", "xh zu", "st nso", "crh tr"),
)

# The languages of the model that are written in other scripts than Latin. Serbian and Uzbek are
# there in two scripts.
_LANGUAGES_OF_SCRIPT = {
    "Cyrl": "ba be bg kk ky mk mn ru sr tg tt uk uz",
    "Latn": "sr uz",
    "Arab": "ar ary arz fa ps sd sdh ug ur uzs",
    "Deva": "gom hi mr ne sa",
    "Beng": "as bn",
    "Ethi": "am ti",
    "Grek": "el grc",
    "Hebr": "hbo he",
    **dict.fromkeys(("Hans", "Hant", "Hani"), "wuu yue zh"),
    **{"Jpan": "ja", "Kore": "ko", "Hang": "ko", "Armn": "hy", "Geor": "ka", "Tibt": "dz"},
    **{"Gujr": "gu", "Guru": "pa", "Knda": "kn", "Mlym": "ml", "Orya": "or", "Sinh": "si"},
    **{"Taml": "ta", "Telu": "te", "Thai": "th", "Laoo": "lo", "Khmr": "km", "Mymr": "my"},
}

_TEXTS_AT_ONCE = 8192  # their arrays fit into the cache of a processor
# Two words are often a name or a term that several languages share.
_MIN_WORDS = 3
_MIN_LETTERS_OF_PROSE = 8
# A letter of a script without spaces tells as much as this many letters of others.
_LETTERS_OF_IDEOGRAPH = 3
_QUOTED = re.compile(
    r'"[^"]*"|“[^”]*”|„[^“”]*[“”]|«[^«»]*»|»[^«»]*«|‹[^‹›]*›|「[^」]*」|『[^』]*』|\([^()]*\)|<[^<>]*>'
)
_CODE = np.frombuffer("#$%&*+/<=>@[\\]^_`{|}~".encode("utf-32-le"), np.uint32)
_CODE_INSIDE = np.frombuffer(".:?".encode("utf-32-le"), np.uint32)


@dataclasses.dataclass(frozen=True, slots=True)
class _Judgement:
    """Which texts of a column are wrong, and the best label of each, or -1 if it is not judged."""

    wrong: Mask
    best: npt.NDArray[np.int64]


class LanguageJudge:
    """Judges whether texts are in the language that they are expected to be in.

    A text is wrong only if another language is far more probable, for the text and for what is left
    without names, quotations, numbers and code. Short texts are not judged.

    Judgements are kept as long as their column, so asking again for a column costs nothing.

    Args:
        source_lang: language tag of the sources, such as ``en``, ``pt-BR`` or ``zh_Hant``.
        target_lang: language tag of the targets.
        config: the settings.
    """

    def __init__(self, source_lang: str, target_lang: str, config: LanguageConfig) -> None:
        self.source_lang = source_lang
        self.target_lang = target_lang
        self.config = config
        self._judged: weakref.WeakKeyDictionary[TextColumn, dict[str | None, _Judgement]]
        self._judged = weakref.WeakKeyDictionary()

    def wrong(self, texts: PairTexts) -> Mask:
        """For each pair, whether a side is in another language than it is expected to be in."""
        if not self.config.enabled:
            return np.zeros(len(texts), np.bool_)
        return self.wrong_sources(texts) | self.wrong_targets(texts)

    def wrong_sources(self, texts: PairTexts) -> Mask:
        """For each pair, whether its source is in another language."""
        return self._wrong(texts.source, self.source_lang)

    def wrong_targets(self, texts: PairTexts) -> Mask:
        """For each pair, whether its target is in another language."""
        return self._wrong(texts.target, self.target_lang)

    def languages(self, column: TextColumn) -> list[str | None]:
        """The most probable language of each text, or None for a text that is not judged."""
        known = self._judged.get(column)
        judgement = next(iter(known.values())) if known else self._judgement(column, None)
        labels: list[str | None] = [*language_model().labels, None]
        return [labels[number] for number in judgement.best.tolist()]

    def _wrong(self, column: TextColumn, language: str) -> Mask:
        label = label_of(language)
        if label is None:
            return np.zeros(len(column), np.bool_)
        return self._judgement(column, label).wrong

    def _judgement(self, column: TextColumn, expected: str | None) -> _Judgement:
        of_column = self._judged.setdefault(column, {})
        if expected not in of_column:
            of_column[expected] = self._judge(column, expected)
        return of_column[expected]

    def _judge(self, column: TextColumn, expected: str | None) -> _Judgement:
        """Judge a column. Without an expected language, no text is wrong."""
        judgement = _Judgement(np.zeros(len(column), np.bool_), np.full(len(column), -1, np.int64))
        long_enough = np.flatnonzero(self._is_long(column))
        for start in range(0, len(long_enough), _TEXTS_AT_ONCE):
            rows = long_enough[start : start + _TEXTS_AT_ONCE]
            texts = column.take(rows)
            judgement.best[rows], judgement.wrong[rows] = self._judge_all(texts, expected)
        return judgement

    def _judge_all(
        self, texts: TextColumn, expected: str | None
    ) -> tuple[npt.NDArray[np.int64], Mask]:
        """The best label of each text, and whether it is wrong."""
        model = language_model()
        scores = model.scores(texts)
        best = scores.argmax(axis=1)
        best[best == model.labels.index(NO_LANGUAGE)] = -1
        wrong = np.zeros(len(texts), np.bool_)
        if expected is not None:
            suspects = np.flatnonzero(self._is_other(model, scores, expected))
            wrong[suspects] = self._is_other_prose(model, texts.take(suspects), expected)
        return best, wrong

    def _is_long(self, column: TextColumn) -> Mask:
        """Whether texts are long enough to be judged."""
        has_words = column.count(column.are(Property.SPACE)) >= _MIN_WORDS - 1
        has_words |= column.have(Property.NO_SPACES)
        return has_words & (n_letters(column) >= self.config.min_letters)

    def _is_other(self, model: LanguageModel, scores: Scores, expected: str) -> Mask:
        """Whether a language that is not close to the expected one is better by the margin."""
        close = np.isin(model.labels, [*close_languages(expected)])
        margins = scores[:, ~close].max(axis=1) - scores[:, close].max(axis=1)
        without = model.labels.index(NO_LANGUAGE)
        found: Mask = (margins > self.config.min_margin) & (scores.argmax(axis=1) != without)
        return found

    def _is_other_prose(self, model: LanguageModel, texts: TextColumn, expected: str) -> Mask:
        """Whether the prose of texts, too, is in another language. Names and code are not prose."""
        prose = prose_of(texts, self.config.min_letters)
        enough = n_letters(prose) >= min(_MIN_LETTERS_OF_PROSE, self.config.min_letters)
        return enough & self._is_other(model, model.scores(prose), expected)


@functools.lru_cache(maxsize=16)
def language_judge(source_lang: str, target_lang: str, config: LanguageConfig) -> LanguageJudge:
    """The judge of some languages and settings. Equal arguments give the same object."""
    return LanguageJudge(source_lang, target_lang, config)


def notes_of_languages(source_lang: str, target_lang: str) -> list[str]:
    """A sentence for each side that is not judged because the model does not know its language."""
    return [
        f"clean.language does not judge the {side}, because it does not know the language {tag}"
        for side, tag in (("sources", source_lang), ("targets", target_lang))
        if label_of(tag) is None
    ]


def descriptions(sources: TextColumn, targets: TextColumn, config: LanguageConfig) -> list[str]:
    """The languages of each pair, such as ``en and cs``, for the details of rejected rows."""
    judge = LanguageJudge("", "", config)
    sides = (judge.languages(column) for column in (sources, targets))
    return [
        " and ".join(language or "unknown" for language in pair)
        for pair in zip(*sides, strict=True)
    ]


def label_of(tag: str) -> str | None:
    """The model's label for a language tag, or None if the model does not know the language.

    A script that the model has not seen for a language, such as ``kk_Latn``, is not known either.
    """
    language = primary_language(tag)
    label = _LABELS.get(language, language)
    if label not in KNOWN_LANGUAGES:
        return None
    subtags = tag.replace("_", "-").split("-")[1:]
    scripts = [subtag.title() for subtag in subtags if len(subtag) == 4 and subtag.isalpha()]
    return label if set(scripts) <= _scripts_of(label) else None


def _scripts_of(label: str) -> set[str]:
    """The scripts in which the model has seen a language."""
    others = {script for script, labels in _LANGUAGES_OF_SCRIPT.items() if label in labels.split()}
    return others or {"Latn"}


def close_languages(label: str) -> set[str]:
    """A language and those that are not told apart from it."""
    groups = [group.split() for group in _GROUPS]
    return {label}.union(*(group for group in groups if label in group))


def n_letters(column: TextColumn) -> Counts:
    """The letters and vowel signs of each text; one of a script without spaces counts as three."""
    letters = column.count(column.are(Property.LETTER | Property.MARK))
    dense = column.count(column.are(Property.NO_SPACES))
    return letters + (_LETTERS_OF_IDEOGRAPH - 1) * dense


def prose_of(column: TextColumn, min_letters: int) -> TextColumn:
    """The words of each text that are certainly words of its language.

    Quotations, text in brackets, tags, words with capitals, numbers and code are left out. A text
    that is nothing but a quotation counts as a whole. A text in capitals becomes one in small
    letters. A word with letters of a script without spaces is a sentence, and counts whatever it
    has.

    Nothing is left of a text of which half of the words are code, or that has fewer than
    ``min_letters`` letters outside quotations and code.
    """
    texts = TextColumn.of(_outside_quotations(text) for text in column.to_list())
    texts = in_small_letters(texts)
    words = texts.runs(~texts.are(Property.SPACE) & (texts.codes != 0))
    is_sentence = _any_in(words, texts.are(Property.NO_SPACES))
    has_letters = _any_in(words, texts.are(Property.LETTER))
    is_code = _are_code(texts, words) & ~is_sentence
    n_code = np.bincount(words.rows[is_code], minlength=len(texts))
    n_words = np.bincount(words.rows[has_letters | is_code], minlength=len(texts))
    is_other = 2 * n_code >= n_words
    is_other |= n_letters(_without(texts, words, is_code)) < min_letters
    has_capitals = _any_in(words, texts.are(Property.UPPER)) & ~is_sentence
    dropped = is_code | ~has_letters | has_capitals | is_other[words.rows]
    return _without(texts, words, dropped)


def _outside_quotations(text: str) -> str:
    text = text[:MAX_BYTES]  # the rest does not count, and the search takes quadratic time
    outside = _QUOTED.sub(" ", text)
    return outside if any(map(str.isalpha, outside)) else text


def _are_code(texts: TextColumn, words: Runs) -> Mask:
    """For each word, whether it has a digit, or is an address, an option or a part of a program."""
    is_letter = texts.are(Property.LETTER)
    before_letter = np.concatenate([is_letter[1:], [False]])
    is_symbol = np.isin(texts.codes, _CODE) | texts.are(Property.DIGIT)
    is_symbol |= np.isin(texts.codes, _CODE_INSIDE) & before_letter
    is_code = _any_in(words, is_symbol)
    is_code |= (texts.codes[words.starts] == ord("-")) & _any_in(words, is_letter)
    return is_code


def _any_in(words: Runs, of_codes: Mask) -> Mask:
    """For each word, whether a mask is true for one of its code points."""
    before = np.concatenate([[0], np.cumsum(of_codes)])
    found: Mask = before[words.ends] > before[words.starts]
    return found


def _without(texts: TextColumn, words: Runs, dropped: Mask) -> TextColumn:
    """The texts without some of their words, and without the spaces after those."""
    ends = words.ends[dropped]
    ends = ends + (texts.codes[ends] != 0)
    edges = np.zeros(len(texts.codes) + 1, np.int8)
    edges[words.starts[dropped]] += 1
    edges[ends] -= 1
    return TextColumn.from_codes(texts.codes[np.cumsum(edges[:-1], dtype=np.int8) == 0])
