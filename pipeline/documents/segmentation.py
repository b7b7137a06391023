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
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from lingo_model.special_ids import PLACEHOLDERS
from pipeline.documents.literals import find_literals
from pipeline.documents.sentence_ends import LINE_MARKS, sentence_ends
from pipeline.documents.span_kinds import SpanKind
from pipeline.documents.spans import Span, ends_sentence, find_spans, is_comment

SEGMENTER_VERSION = "segments-3"
"""Changes whenever texts may be split in other places, or other spans may be found."""

_SYMBOL = re.compile(r"<ph(\d)>")
_STRAY_SYMBOLS = re.compile(r"\s{0,20}(?:<ph\d>\s{0,20})+")

# The line breaks of `str.splitlines`.
_LINE_BREAKS = re.compile("([\n\r\x0b\x0c\x1c-\x1e\x85\u2028\u2029]+)")

# A line in which only the last character can end a sentence, and that has no span. This is the most
# common kind of line, and it needs no language rules.
_ONE_SENTENCE = re.compile(r"\w[\w ,'-]*[\w.!?]")

# Where a long segment is cut, the best place first: after a clause, after a space.
_CUT_PATTERNS = (re.compile(r"[,;:)\]–—、，；：]\s+"), re.compile(r"\s+"))

# A line break within a segment, with the spaces around it.
_SOFT_BREAK = re.compile(r"[^\S\r\n]*(?:\r\n|\n)[^\S\r\n]*")
# What ends a line that the next line does not continue.
_LINE_END = re.compile(r"""[.!?…:;。！？：；।؟]["'”’»」』)\]]*\s*\Z""")
_BEFORE_NO_SPACE = re.compile(r"[\u2e80-\ua4cf\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef-]\Z")
_EDGE_PUNCTUATION = " \t.,:;!?¿¡…。！？，、；："


@dataclasses.dataclass(frozen=True, slots=True)
class Segment:
    """A sentence, or a part of a long sentence. The model translates one segment at a time.

    Attributes:
        text: the segment's text.
        spans: half-open character ranges ``(start, stop)`` that the model must not change. There
            are at most as many spans as placeholder symbols.
        is_fragment: whether the segment is a part of a sentence between its spans. The punctuation
            that a model adds at its edges is dropped.
    """

    text: str
    spans: tuple[Span, ...] = ()
    is_fragment: bool = dataclasses.field(default=False, compare=False)

    @property
    def model_input(self) -> str:
        """The text as the model reads it, with a placeholder symbol in place of each span."""
        if not self.spans:
            return _on_one_line(self.text)
        parts, end = [], 0
        for (start, stop), symbol in zip(self.spans, PLACEHOLDERS, strict=False):
            parts += [self.text[end:start], symbol]
            end = stop
        return _on_one_line("".join([*parts, self.text[end:]]))

    def restored(self, translation: str) -> str | None:
        """Replace the symbols in a translation of :attr:`model_input` by their spans.

        In the translation of a segment without spans, symbols and their spaces are removed.

        Returns:
            the translation, or None if the model lost, repeated or invented a symbol.
        """
        if not self.spans:
            text = without_stray_symbols(translation)
            return text.strip(_EDGE_PUNCTUATION) if self.is_fragment else text
        numbers = [int(digit) for digit in _SYMBOL.findall(translation)]
        if sorted(numbers) != list(range(len(self.spans))):
            return None
        return _SYMBOL.sub(lambda match: self.text[slice(*self.spans[int(match[1])])], translation)

    def halves(self) -> list[Part]:
        """The parts of the segment, cut near its middle and never within a span."""
        return _parts(self, [0, _middle_cut(self), len(self.text)])

    def between_spans(self) -> list[Part]:
        """The spans as text to keep, and the parts between them as segments without spans.

        Punctuation and white space at the edges of the parts are text to keep. Used if the model
        loses a symbol.
        """
        parts: list[Part] = []
        kept_from = 0
        for start, stop in self._outside():
            first, last = _core(self.text, start, stop)
            if any(map(str.isalpha, self.text[first:last])):
                if kept_from < first:
                    parts.append(self.text[kept_from:first])
                parts.append(Segment(self.text[first:last], is_fragment=True))
                kept_from = last
        if kept_from < len(self.text):
            parts.append(self.text[kept_from:])
        return parts

    def with_literals(self, kinds: frozenset[SpanKind]) -> list[Part]:
        """The segment with its literals as spans too. It is cut if these are too many spans."""
        literals = find_literals(self.text, kinds, self._outside())
        spans = tuple(sorted((*self.spans, *literals)))
        return _parts(Segment(self.text, spans), [0, len(self.text)])

    def _outside(self) -> list[Span]:
        """The ranges of the text that are outside of the spans."""
        edges = [0, *(edge for span in self.spans for edge in span), len(self.text)]
        return list(zip(edges[::2], edges[1::2], strict=True))


Part = str | Segment
"""A part of a document: text to keep (``str``) or a segment to translate."""


def split_text(text: str, language: str, *, join_lines: bool = False) -> list[Part]:
    """Split a text into segments and text to keep. Concatenated, they are the text.

    A sentence without a letter outside of spans is kept, and so are the marks of headings, list
    items, quotes and tables.

    Args:
        text: any text.
        language: the language of the text, such as ``de`` or ``de-AT``. Abbreviations and ordinal
            numbers depend on it.
        join_lines: whether a sentence may go on after a single line break within a paragraph.
            Otherwise every line break ends a sentence.
    """
    if _ONE_SENTENCE.fullmatch(text) and any(map(str.isalpha, text)):
        return [Segment(text)]
    whole = Segment(text, find_spans(text))
    if not _has_letters(whole):
        return [text] if text else []
    cuts = [0]
    for line in _lines(text, join_lines=join_lines):
        cuts += [cuts[-1] + end for end in sentence_ends(line, language)]
    blocks = [edge for span in whole.spans if ends_sentence(text[slice(*span)]) for edge in span]
    if blocks:
        cuts = sorted({*cuts, *blocks})
    return _parts(whole, _outside_spans(cuts, whole.spans))


def joined(parts: list[Part], translate: Callable[[Segment], str]) -> str:
    """Concatenate the parts of a text, with the translation of each segment in its place."""
    return "".join(part if isinstance(part, str) else translate(part) for part in parts)


def segments_of(parts: list[Part]) -> Iterator[Segment]:
    """The segments among the parts of a text."""
    return (part for part in parts if isinstance(part, Segment))


def without_symbols(text: str) -> str:
    """Text that a model read or wrote, with a space in place of each placeholder symbol."""
    return _SYMBOL.sub(" ", text) if "<ph" in text else text


def without_stray_symbols(text: str) -> str:
    """A translation without placeholder symbols that the source does not have."""
    if "<ph" not in text:
        return text

    def gap(match: re.Match[str]) -> str:
        following = text[match.end() : match.end() + 1]
        is_edge = match.start() == 0 or not following or following in ".,;:!?)]…"
        return " " if not is_edge and any(map(str.isspace, match[0])) else ""

    return _STRAY_SYMBOLS.sub(gap, text)


def has_symbol(text: str) -> bool:
    """Whether a text has a placeholder symbol."""
    return "<ph" in text and _SYMBOL.search(text) is not None


def _on_one_line(text: str) -> str:
    """A text whose line breaks are joined, with a space where the script has spaces."""
    if "\n" not in text:
        return text

    def gap(match: re.Match[str]) -> str:
        return "" if _BEFORE_NO_SPACE.search(text, match.start() - 1, match.start()) else " "

    return _SOFT_BREAK.sub(gap, text)


def _lines(text: str, *, join_lines: bool) -> list[str]:
    """Lines and line breaks in turn. Concatenated, they are the text."""
    pieces = _LINE_BREAKS.split(text)
    if not join_lines:
        return pieces
    lines = [[pieces[0]]]
    for line_break, line in zip(pieces[1::2], pieces[2::2], strict=True):
        if line_break in ("\n", "\r\n") and _continues(lines[-1][-1], line):
            lines[-1] += [line_break, line]
        else:
            lines += [[line_break], [line]]
    return ["".join(line) for line in lines]


def _continues(line: str, following: str) -> bool:
    """Whether a line goes on in the following one."""
    if _LINE_END.search(line) or line.lstrip().startswith(("#", "|", ">")) or "|" in following:
        return False
    if LINE_MARKS.match(following) or following.lstrip().startswith(("```", "~~~", "<")):
        return False
    return any(map(str.isalnum, line)) and any(map(str.isalnum, following))


def _outside_spans(cuts: list[int], spans: Sequence[Span]) -> list[int]:
    """The cuts that are not within a span."""
    if not spans:
        return cuts
    starts = [start for start, _ in spans]
    outside = []
    for cut in cuts:
        before = bisect_right(starts, cut - 1) - 1  # the last span that starts before the cut
        if before < 0 or spans[before][1] <= cut:
            outside.append(cut)
    return outside


def _core(text: str, start: int, stop: int) -> Span:
    """The range within ``start`` and ``stop`` without punctuation and white space at its edges."""
    while start < stop and not _is_of_word(text[start]):
        start += 1
    while stop > start and not _is_of_word(text[stop - 1]):
        stop -= 1
    return start, stop


def _is_of_word(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character)[0] == "M"


def _has_letters(segment: Segment) -> bool:
    """Whether there is a letter outside of the spans."""
    if not segment.spans:
        return any(map(str.isalpha, segment.text))
    edges = [0, *(edge for span in segment.spans for edge in span), len(segment.text)]
    outside = (segment.text[edges[i] : edges[i + 1]] for i in range(0, len(edges), 2))
    return any(map(str.isalpha, "".join(outside)))


def _parts(whole: Segment, edges: list[int]) -> list[Part]:
    """Cut a segment at ``edges``, which include both of its ends.

    White space around the pieces and pieces without letters are text to keep. A piece with more
    spans than placeholder symbols is halved again.
    """
    parts: list[Part] = []
    kept: list[str] = []

    def add(segment: Segment) -> None:
        if text := "".join(kept):
            parts.append(text)
        kept.clear()
        parts.append(segment)

    spans = iter([*whole.spans, (len(whole.text) + 1, 0)])
    span = next(spans)
    for start, stop in pairwise(edges):
        piece_spans = []
        while span[0] < stop:
            piece_spans.append(span)
            span = next(spans)
        while piece_spans and _starts_with_comment(whole.text, start, piece_spans[0]):
            end = piece_spans.pop(0)[1]
            kept.append(whole.text[start:end])
            start = end
        body = whole.text[start:stop].strip()
        if not body:
            kept.append(whole.text[start:stop])
            continue
        first = whole.text.index(body, start)
        segment = Segment(body, tuple((a - first, b - first) for a, b in piece_spans))
        if not _has_letters(segment):
            kept.append(whole.text[start:stop])
            continue
        kept.append(whole.text[start:first])
        if len(piece_spans) > len(PLACEHOLDERS):
            for part in segment.halves():
                kept.append(part) if isinstance(part, str) else add(part)
        else:
            add(segment)
        kept.append(whole.text[first + len(body) : stop])
    if text := "".join(kept):
        parts.append(text)
    return parts


def _starts_with_comment(text: str, start: int, span: Span) -> bool:
    """Whether a piece that begins at ``start`` begins with a comment."""
    return is_comment(text[slice(*span)]) and not text[start : span[0]].strip()


def _middle_cut(segment: Segment) -> int:
    """The index at which a segment is cut in two."""
    text, middle = segment.text, len(segment.text) / 2
    if len(segment.spans) > len(PLACEHOLDERS):  # half of the spans on each side
        return segment.spans[len(segment.spans) // 2][0]
    allowed = range(len(text) // 4, len(text) - len(text) // 4 + 1)
    for pattern in _CUT_PATTERNS:
        ends = [match.end() for match in pattern.finditer(text)]
        ends = [end for end in ends if end in allowed]
        if ends := _outside_spans(ends, segment.spans):
            return min(ends, key=lambda end: abs(end - middle))
    free = _outside_spans(list(range(1, len(text))), segment.spans)
    whole_characters = [i for i in free if not unicodedata.combining(text[i])]
    return min(whole_characters or free or [len(text)], key=lambda i: abs(i - middle))
