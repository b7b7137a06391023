"""Splits documents into sentences to translate, and joins the translations.

A document is split into parts: segments to translate and text to keep, mostly white space between
sentences. Concatenated, the parts reproduce the document exactly. Within a segment, *spans* are
text that the model must not change, such as variables, addresses and tags. The model reads a
placeholder symbol in place of each span.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Callable, Iterator
from itertools import pairwise

import sentencex

from lingo_model.special_ids import PLACEHOLDERS
from pipeline.languages import primary_language

SEGMENTER_VERSION = "segments-2"
"""Changes whenever texts may be split in other places, or other spans may be found."""


# Every span contains one of these. They are quick to search for.
_HINT = re.compile(r"[{%<&@]|://|www\.", re.IGNORECASE)

# Characters that end an address: letters of scripts that are written without spaces, or whose
# endings are joined to a foreign word. (Browsers copy addresses with such letters percent-encoded.)
# Thai to Lao, Burmese, Hangul, Khmer, Chinese and Japanese with punctuation and full-width forms.
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\ua4cf\ua960-\ua97f\uac00-\ud7ff"
    r"\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff"
)

_LETTER = rf"[^\W{_UNSPACED}]"  # a letter, a digit or "_"

# Every repetition is bounded, so that the search takes linear time for any text.
_SPAN = re.compile(
    r"""
      \{\{[^{}\n]{0,200}\}\}                                    # {{ x }}
    | \$?\{[^{}\n]{0,200}\}                                     # {name} {0:>8} ${name}
    | %\([^()\s]{1,100}\)[#0\-+]{0,3}\d{0,4}(?:\.\d{1,4})?[diouxXeEfFgGcrsa]          # %(x)d
    | (?<!\d)%(?:\d{1,2}\$)?[#0\-+]{0,3}\d{0,4}(?:\.\d{1,4})?[diouxXeEfFgGcrsa@](?![^\W\d_])  # %s
    | </?[A-Za-z][A-Za-z0-9:_-]{0,40}(?:\s[^<>\n]{0,1000})?/?>                     # <b> </a> <br/>
    | &(?:\#\d{1,7}|\#[xX][0-9A-Fa-f]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});             # &nbsp;
    """
    rf"""
    | (?:[A-Za-z][A-Za-z0-9+.-]{{1,20}}://|(?<!{_LETTER})www\.)
      [^\s<>"{{}}|\\^`{_UNSPACED}]{{0,2000}}[^\s<>"{{}}|\\^`.,;:!?'()\[\]…»”’{_UNSPACED}]
    | (?<!{_LETTER})(?<![.+-])(?:{_LETTER}|[.+-]){{1,64}}@                                 # a@b.org
      (?:{_LETTER}|-){{1,63}}(?:\.(?:{_LETTER}|-){{1,63}}){{1,8}}
    """,
    re.VERBOSE | re.IGNORECASE,
)

_SYMBOL = re.compile(r"<ph(\d)>")

# The line breaks of `str.splitlines`.
_LINE_BREAKS = re.compile("([\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+)")

# A line in which only the last character can end a sentence. This is the most common kind of line,
# and it needs no language rules.
_ONE_SENTENCE = re.compile(r"\w[\w ,'-]*[\w.!?]")
_UNUSUAL_SPACE = re.compile(r"[^\S \t]")

# Where a long segment is cut, the best place first: after a clause, after a space.
_CUT_PATTERNS = (re.compile(r"[,;:)\]–—、，；：]\s+"), re.compile(r"\s+"))


@dataclasses.dataclass(frozen=True, slots=True)
class Segment:
    """A sentence, or a part of a long sentence. The model translates one segment at a time.

    Attributes:
        text: the segment's text.
        spans: half-open character ranges ``(start, stop)`` that the model must not change. There
            are at most as many spans as placeholder symbols.
    """

    text: str
    spans: tuple[tuple[int, int], ...] = ()

    @property
    def model_input(self) -> str:
        """The text as the model reads it, with a placeholder symbol in place of each span."""
        if not self.spans:
            return self.text
        parts, end = [], 0
        for (start, stop), symbol in zip(self.spans, PLACEHOLDERS, strict=False):
            parts += [self.text[end:start], symbol]
            end = stop
        return "".join([*parts, self.text[end:]])

    def restored(self, translation: str) -> str | None:
        """Replace the symbols in a translation of :attr:`model_input` by their spans.

        In the translation of a segment without spans, symbols are removed.

        Returns:
            the translation, or None if the model lost, repeated or invented a symbol.
        """
        if not self.spans:
            return _SYMBOL.sub("", translation) if "<ph" in translation else translation
        numbers = [int(digit) for digit in _SYMBOL.findall(translation)]
        if sorted(numbers) != list(range(len(self.spans))):
            return None
        return _SYMBOL.sub(lambda match: self.text[slice(*self.spans[int(match[1])])], translation)

    def halves(self) -> list[Part]:
        """The parts of the segment, cut near its middle and never within a span."""
        return _parts(self, [0, _middle_cut(self), len(self.text)])

    def between_spans(self) -> list[Part]:
        """The spans as text to keep, and the parts between them as segments without spans.

        Used if the model loses a symbol.
        """
        edges = [0, *(edge for span in self.spans for edge in span), len(self.text)]
        return _parts(self, edges)


Part = str | Segment
"""A part of a document: text to keep (``str``) or a segment to translate."""


def split_text(text: str, language: str) -> list[Part]:
    """Split a text into segments and text to keep. Concatenated, they are the text.

    A line break always ends a sentence. A sentence without a letter outside of spans is kept.

    Args:
        text: any text.
        language: the language of the text, such as ``de`` or ``de-AT``. Abbreviations and ordinal
            numbers depend on it.
    """
    whole = Segment(text, _spans_of(text))
    if not _has_letters(whole):
        return [text] if text else []
    if _ONE_SENTENCE.fullmatch(text):
        return [whole]
    cuts = [0]
    for line in _LINE_BREAKS.split(text):
        cuts += [cuts[-1] + end for end in _sentence_ends(line, language)]
    inside = {i for start, stop in whole.spans for i in range(start + 1, stop)}
    return _parts(whole, [cut for cut in cuts if cut not in inside])


def joined(parts: list[Part], translate: Callable[[Segment], str]) -> str:
    """Concatenate the parts of a text, with the translation of each segment in its place."""
    return "".join(part if isinstance(part, str) else translate(part) for part in parts)


def segments_of(parts: list[Part]) -> Iterator[Segment]:
    """The segments among the parts of a text."""
    return (part for part in parts if isinstance(part, Segment))


def without_symbols(text: str) -> str:
    """Text that a model read or wrote, with a space in place of each placeholder symbol."""
    return _SYMBOL.sub(" ", text) if "<ph" in text else text


def _spans_of(text: str) -> tuple[tuple[int, int], ...]:
    if _HINT.search(text) is None:
        return ()
    return tuple(match.span() for match in _SPAN.finditer(text))


def _has_letters(segment: Segment) -> bool:
    """Whether there is a letter outside of the spans."""
    if not segment.spans:
        return any(map(str.isalpha, segment.text))
    edges = [0, *(edge for span in segment.spans for edge in span), len(segment.text)]
    outside = (segment.text[edges[i] : edges[i + 1]] for i in range(0, len(edges), 2))
    return any(map(str.isalpha, "".join(outside)))


def _sentence_ends(line: str, language: str) -> list[int]:
    """The index after the last character of each sentence of a line. The line's end is the last."""
    if not line:
        return []
    try:
        # sentencex only knows one-byte white space, and takes unknown tags such as de-AT for en.
        code = primary_language(language)
        sentences = sentencex.segment(code, _UNUSUAL_SPACE.sub(" ", line))
    except BaseException as error:
        # A panic of sentencex's native code is no Exception. The line is then left unsplit.
        if type(error).__name__ != "PanicException":
            raise
        sentences = []
    ends: list[int] = []
    for sentence in sentences:
        ends.append((ends[-1] if ends else 0) + len(sentence))
    return ends if ends and ends[-1] == len(line) else [len(line)]


def _parts(whole: Segment, edges: list[int]) -> list[Part]:
    """Cut a segment at ``edges``, which include both of its ends.

    White space around the pieces and pieces without letters are text to keep. A piece with more
    spans than placeholder symbols is halved again.
    """
    parts: list[Part] = []

    def keep(text: str) -> None:
        if parts and isinstance(parts[-1], str):
            parts[-1] += text
        elif text:
            parts.append(text)

    spans = iter([*whole.spans, (len(whole.text) + 1, 0)])
    span = next(spans)
    for start, stop in pairwise(edges):
        piece_spans = []
        while span[0] < stop:
            piece_spans.append(span)
            span = next(spans)
        body = whole.text[start:stop].strip()
        if not body:
            keep(whole.text[start:stop])
            continue
        first = whole.text.index(body, start)
        segment = Segment(body, tuple((a - first, b - first) for a, b in piece_spans))
        if not _has_letters(segment):
            keep(whole.text[start:stop])
            continue
        keep(whole.text[start:first])
        if len(piece_spans) > len(PLACEHOLDERS):
            for part in segment.halves():
                keep(part) if isinstance(part, str) else parts.append(part)
        else:
            parts.append(segment)
        keep(whole.text[first + len(body) : stop])
    return parts


def _middle_cut(segment: Segment) -> int:
    """The index at which a segment is cut in two."""
    text, middle = segment.text, len(segment.text) / 2
    if len(segment.spans) > len(PLACEHOLDERS):  # half of the spans on each side
        return segment.spans[len(segment.spans) // 2][0]
    allowed = range(len(text) // 4, len(text) - len(text) // 4 + 1)
    inside = {i for start, stop in segment.spans for i in range(start + 1, stop)}
    for pattern in _CUT_PATTERNS:
        ends = [match.end() for match in pattern.finditer(text)]
        if ends := [end for end in ends if end in allowed and end not in inside]:
            return min(ends, key=lambda end: abs(end - middle))
    free = [i for i in range(1, len(text)) if i not in inside]
    whole_characters = [i for i in free if not unicodedata.combining(text[i])]
    return min(whole_characters or free or [len(text)], key=lambda i: abs(i - middle))
