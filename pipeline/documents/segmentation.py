"""Text as people write it: documents cut into sentences, and put together again.

What must come out as it is (variables, addresses, tags) is set apart as *spans*; a sentence goes
to the model with a placeholder symbol for each. Whatever is not translated, white space between
sentences above all, is kept to the character: the parts of a text, one after the other, are the
text.
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
"""Changes whenever a text may be cut in other places, or other spans set apart."""


# Cheap to look for, and one of these is in every span.
_HINT = re.compile(r"[{%<&@]|://|www\.", re.IGNORECASE)

# Scripts that are written without spaces, or that join their endings to a foreign word: an address
# ends where they begin. (In addresses that browsers copy they are percent signs.) Thai to Lao,
# Burmese, Hangul, Khmer, Chinese and Japanese with their punctuation and full-width forms.
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\ua4cf\ua960-\ua97f\uac00-\ud7ff"
    r"\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff"
)

_LETTER = rf"[^\W{_UNSPACED}]"  # or a digit, or "_"

# Every repetition is bounded, so that no text takes more than linear time.
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

# What `str.splitlines` takes for the end of a line.
_LINE_BREAKS = re.compile("([\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+)")

# Most lines of most lakes, which need no look at the rules of a language: nothing in them but their
# last character could end a sentence.
_ONE_SENTENCE = re.compile(r"\w[\w ,'-]*[\w.!?]")
_UNUSUAL_SPACE = re.compile(r"[^\S \t]")

# Where an over-long sentence is cut: after a clause, at a space, anywhere.
_CUTS = (re.compile(r"[,;:)\]–—、，；：]\s+"), re.compile(r"\s+"))


@dataclasses.dataclass(frozen=True, slots=True)
class Segment:
    """What the model translates at a time: a sentence, or a part of a long one.

    ``spans`` are first and last-but-one character of what must come out as it is; at most as many
    as there are placeholder symbols.
    """

    text: str
    spans: tuple[tuple[int, int], ...] = ()

    @property
    def model_input(self) -> str:
        """The text as the model reads it, with a symbol in place of each span."""
        if not self.spans:
            return self.text
        parts, end = [], 0
        for (start, stop), symbol in zip(self.spans, PLACEHOLDERS, strict=False):
            parts += [self.text[end:start], symbol]
            end = stop
        return "".join([*parts, self.text[end:]])

    def restored(self, translation: str) -> str | None:
        """A translation of :attr:`model_input` with the spans in place of their symbols.

        None where the model lost a symbol, or gave one twice. A symbol in the translation of a
        segment without spans stands for nothing, and is left out.
        """
        if not self.spans:
            return _SYMBOL.sub("", translation) if "<ph" in translation else translation
        found = [int(digit) for digit in _SYMBOL.findall(translation)]
        if sorted(found) != list(range(len(self.spans))):
            return None
        return _SYMBOL.sub(lambda match: self.text[slice(*self.spans[int(match[1])])], translation)

    def halves(self) -> list[Part]:
        """The parts of an over-long segment, cut near its middle, never within a span."""
        return _parts(self, [0, _middle_cut(self), len(self.text)])

    def between_spans(self) -> list[Part]:
        """The parts between the spans: for a model that loses the symbols."""
        edges = [0, *(edge for span in self.spans for edge in span), len(self.text)]
        return _parts(self, edges)


Part = str | Segment
"""Of a text: what stays as it is, or what is translated."""


def split_text(text: str, language: str) -> list[Part]:
    """The parts of a text; joined, they are the text.

    A line break always ends a sentence. What holds no letter outside of spans stays as it is.

    Args:
        language: code of the text's language, for abbreviations and ordinal numbers.
    """
    whole = Segment(text, _spans_of(text))
    if not _has_language(whole):
        return [text] if text else []
    if _ONE_SENTENCE.fullmatch(text):
        return [whole]
    cuts = [0]
    for line in _LINE_BREAKS.split(text):
        cuts += [cuts[-1] + end for end in _sentence_ends(line, language)]
    inside = {i for start, stop in whole.spans for i in range(start + 1, stop)}
    return _parts(whole, [cut for cut in cuts if cut not in inside])


def joined(parts: list[Part], translate: Callable[[Segment], str]) -> str:
    """A text put together again from its parts, each segment translated."""
    return "".join(part if isinstance(part, str) else translate(part) for part in parts)


def segments_of(parts: list[Part]) -> Iterator[Segment]:
    """The parts that are translated."""
    return (part for part in parts if isinstance(part, Segment))


def has_language(text: str) -> bool:
    """Whether there is a letter to translate outside of what must come out as it is."""
    return _has_language(Segment(text, _spans_of(text)))


def without_symbols(text: str) -> str:
    """Text that a model read or wrote, with a space in place of each symbol."""
    return _SYMBOL.sub(" ", text) if "<ph" in text else text


def _spans_of(text: str) -> tuple[tuple[int, int], ...]:
    if _HINT.search(text) is None:
        return ()
    return tuple(match.span() for match in _SPAN.finditer(text))


def _has_language(segment: Segment) -> bool:
    if not segment.spans:
        return any(map(str.isalpha, segment.text))
    ends = [0, *(edge for span in segment.spans for edge in span), len(segment.text)]
    outside = (segment.text[ends[i] : ends[i + 1]] for i in range(0, len(ends), 2))
    return any(map(str.isalpha, "".join(outside)))


def _sentence_ends(line: str, language: str) -> list[int]:
    """Where sentences end in a line, its own end included."""
    if not line:
        return []
    try:
        # For it, white space is what one byte can say.
        # It takes a tag that it does not know, such as de-AT, for English.
        code = primary_language(language)
        sentences = sentencex.segment(code, _UNUSUAL_SPACE.sub(" ", line))
    except BaseException as error:
        # A bug in its compiled part is no Exception, and costs the line its cuts, not its rows.
        if type(error).__name__ != "PanicException":
            raise
        sentences = []
    ends: list[int] = []
    for sentence in sentences:
        ends.append((ends[-1] if ends else 0) + len(sentence))
    return ends if ends and ends[-1] == len(line) else [len(line)]


def _parts(whole: Segment, edges: list[int]) -> list[Part]:
    """Cut a segment at ``edges`` (its ends among them); white space and what holds no letter stay
    as they are."""
    parts: list[Part] = []

    def keep(text: str) -> None:
        if parts and isinstance(parts[-1], str):
            parts[-1] += text
        elif text:
            parts.append(text)

    spans = iter([*whole.spans, (len(whole.text) + 1, 0)])
    span = next(spans)
    for start, stop in pairwise(edges):
        mine = []
        while span[0] < stop:
            mine.append(span)
            span = next(spans)
        body = whole.text[start:stop].strip()
        if not body:
            keep(whole.text[start:stop])
            continue
        first = whole.text.index(body, start)
        segment = Segment(body, tuple((a - first, b - first) for a, b in mine))
        if not _has_language(segment):
            keep(whole.text[start:stop])
            continue
        keep(whole.text[start:first])
        if len(mine) > len(PLACEHOLDERS):
            for part in segment.halves():
                keep(part) if isinstance(part, str) else parts.append(part)
        else:
            parts.append(segment)
        keep(whole.text[first + len(body) : stop])
    return parts


def _middle_cut(segment: Segment) -> int:
    text, middle = segment.text, len(segment.text) / 2
    if len(segment.spans) > len(PLACEHOLDERS):  # by number of spans, wherever they stand
        return segment.spans[len(segment.spans) // 2][0]
    allowed = range(len(text) // 4, len(text) - len(text) // 4 + 1)
    inside = {i for start, stop in segment.spans for i in range(start + 1, stop)}
    for pattern in _CUTS:
        ends = [match.end() for match in pattern.finditer(text)]
        if ends := [end for end in ends if end in allowed and end not in inside]:
            return min(ends, key=lambda end: abs(end - middle))
    free = [i for i in range(1, len(text)) if i not in inside]
    whole_characters = [i for i in free if not unicodedata.combining(text[i])]
    return min(whole_characters or free or [len(text)], key=lambda i: abs(i - middle))
