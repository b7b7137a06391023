"""Finds the ends of sentences, and the marks that stand outside of them."""

from __future__ import annotations

import re

import sentencex

from pipeline.languages import primary_language

# sentencex takes quadratic time in the number of sentences and of marks that may end one. It reads
# a line of more than _MAX_LINE characters through a window, which grows until it has a sentence.
_MAX_LINE = 8192
_WINDOW = 512
_MAX_WINDOW = 4096

_UNUSUAL_SPACE = re.compile(r"[^\S \t]")

# Marks of Markdown and of lists at the beginning of a line: quotes, headings, items, boxes.
LINE_MARKS = re.compile(
    r"[^\S\n]*(?:(?:>|#{1,6}(?=\s)|[-*+•◦▪‣·–—](?=\s)|\d{1,3}[.)](?=\s)|\[[ xX]\](?=\s))[^\S\n]*)+"
)
"""Marks at the beginning of a line that say what the line is: quotes, headings, list items."""

_CLOSING_HASHES = re.compile(r"\s#+\s*\Z")
_BAR = re.compile(r"(?<!\\)\|")
# Outside of a table, as in a title. P(A|B) is not cut.
_SPACED_BAR = re.compile(r"(?<!\\)(?:(?<=\s)\||\|(?=\s|\Z))")


def sentence_ends(line: str, language: str) -> list[int]:
    """Find the ends of the sentences of a line.

    Marks of a heading, a quote, a list item or a table count as sentences of their own.

    Args:
        line: text without a line break.
        language: the language of the text, such as ``de`` or ``de-AT``.

    Returns:
        the index after the last character of each sentence. The end of the line is the last.
    """
    if not line:
        return []
    start, stop = 0, len(line)
    ends: list[int] = []
    if marks := LINE_MARKS.match(line):
        start = marks.end()
        ends.append(start)
        if "#" in marks[0] and (hashes := _CLOSING_HASHES.search(line, start)):
            stop = hashes.start()
    bars = _BAR if line.startswith("|", start) else _SPACED_BAR
    for bar in bars.finditer(line, start, stop) if "|" in line else ():
        ends += _ends_within(line, start, bar.start(), language)
        ends.append(bar.end())
        start = bar.end()
    ends += _ends_within(line, start, stop, language)
    if stop < len(line):
        ends.append(len(line))
    return ends


def _ends_within(line: str, start: int, stop: int, language: str) -> list[int]:
    """The ends of the sentences of ``line[start:stop]``, as indices of the line."""
    if stop - start <= _MAX_LINE:
        return [start + end for end in _sentencex_ends(line[start:stop], language)]
    ends: list[int] = []
    size = _WINDOW
    while start + size < stop:
        # What follows the window may change the sentences near its end.
        window = line[start : start + size]
        if window.count('"') % 2:  # sentencex would pair the wrong quotation marks
            window = window[: window.rindex('"')]
        found = _sentencex_ends(window, language)
        if found := [end for end in found if end <= size // 2]:
            ends += [start + end for end in found]
            start, size = ends[-1], _WINDOW
        elif size < _MAX_WINDOW:
            size *= 2
        else:
            start += size // 2
    return ends + [start + end for end in _sentencex_ends(line[start:stop], language)]


def _sentencex_ends(text: str, language: str) -> list[int]:
    if not text:
        return []
    try:
        # sentencex only knows one-byte white space, and takes unknown tags such as de-AT for en.
        sentences = sentencex.segment(primary_language(language), _UNUSUAL_SPACE.sub(" ", text))
    except BaseException as error:
        # A panic of sentencex's native code is no Exception. The line is then left unsplit.
        if type(error).__name__ != "PanicException":
            raise
        sentences = []
    ends: list[int] = []
    for sentence in sentences:
        ends.append((ends[-1] if ends else 0) + len(sentence))
    return ends if ends and ends[-1] == len(text) else [len(text)]
