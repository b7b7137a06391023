"""Finds literals: short text that a translation has as the source has it, such as numbers.

A model reads literals as they are. If it does not write one, a placeholder symbol replaces it.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable

from pipeline.documents.numbers import same_numbers
from pipeline.documents.span_kinds import SpanKind
from pipeline.documents.spans import LETTER, Span

_EMOJI = (
    r"\u231a\u231b\u23e9-\u23fa\u25aa-\u25fe\u2600-\u27bf\u2934\u2935\u2b05-\u2b55"
    r"\U0001f000-\U0001faff"
)
_CURRENCY = "$€£¥₹₽₩₺₴₫฿₦₱¢"
_NOT_IN_WORD = rf"(?<!{LETTER})"

# Repetitions are bounded or possessive, so that the search takes linear time.
_PATTERNS: dict[SpanKind, str] = {
    "addresses": rf"""
        {_NOT_IN_WORD}[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}(?!{LETTER})       # UUID
      | {_NOT_IN_WORD}[0-9a-f]{{2}}(?P<mark>[:-])[0-9a-f]{{2}}(?:(?P=mark)[0-9a-f]{{2}}){{4}}
        (?!{LETTER})  # MAC
      | (?<![\w.:])(?:[0-9a-f]{{1,4}}:){{3,7}}(?::?[0-9a-f]{{1,4}}){{1,7}}(?:/\d{{1,3}})?(?![\w:])
      | (?<![\w.:])[0-9a-f]{{0,4}}::(?:[0-9a-f]{{1,4}}(?::[0-9a-f]{{1,4}}){{0,6}})?(?![\w:])  # IPv6
      | (?<![\w.])\d{{1,3}}(?:\.\d{{1,3}}){{3}}(?:/\d{{1,2}}|:\d{{1,5}})?(?![\w])            # IPv4
      | {_NOT_IN_WORD}[a-z]:\\[^\s"<>|?*:,;]{{0,260}}[^\s"<>|?*:,;.!)]                     # C:\x
      | (?<![\w\\])\\\\[\w.$-]{{1,60}}\\[^\s"<>|?*:,;]{{0,260}}[^\s"<>|?*:,;.!)]  # \\server\x
      | (?<![\w/.<:~])(?:~|\.{{1,2}})?(?:/[\w@+%=.-]{{0,99}}[\w@+%=-]){{2,40}}/?  # /usr/bin
      | (?<![\w/.<:~])(?:~|\.{{1,2}})/[\w@+%=.-]{{0,99}}[\w@+%=-]/?  # ~/x ./x
      | {_NOT_IN_WORD}(?<![.@-])(?:[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?\.){{1,6}}
        (?-i:com|org|net|edu|gov|int|io|dev|app|info|biz|eu|uk|de|fr|es|nl|pl|ru|cn|jp|br)
        (?:/[^\s<>"]{{0,500}}[^\s<>".,;:!?)])?(?!{LETTER}|-|\.{LETTER})                     # x.org
      | {_NOT_IN_WORD}0x[0-9a-f]{{1,64}}(?!{LETTER})
      | {_NOT_IN_WORD}(?=[a-f]{{0,63}}\d)(?=\d{{0,63}}[a-f])[0-9a-f]{{7,64}}(?!{LETTER})    # hash
      | {_NOT_IN_WORD}v\d{{1,9}}(?:\.\d{{1,9}}){{1,3}}(?:-{LETTER}{{1,20}})?(?!{LETTER})  # v1.2.3
      | {_NOT_IN_WORD}[\w-]{{1,60}}\.(?:pdf|docx?|xlsx?|pptx?|csv|tsv|jsonl?|xml|html?|txt|md|zip
        |gz|png|jpe?g|gif|svg|mp[34]|py|js|ts|java|cpp|sh|ya?ml|sql|log|exe|parquet)(?!{LETTER})
    """,
    "variables": rf"""
        (?<![\w$])\$[a-z_]\w{{0,63}}(?:(?:->|\.)[a-z_]\w{{0,63}}){{0,5}}                     # $name
      | (?<![\w:/)]):[a-z_]\w{{0,63}}(?![\w:])                                              # :name
      | (?-i:\[[A-Z][A-Z0-9_ ]{{1,60}}\])                                                   # [NAME]
      | {_NOT_IN_WORD}__[a-z][a-z0-9]{{0,30}}(?:_[a-z0-9]{{1,30}}){{0,6}}__(?!\w)  # __NAME__
      | \\(?:[nrt"'\\](?![a-z])|(?-i:[nrt](?=[A-Z]))|u[0-9a-f]{{4}}|x[0-9a-f]{{2}}|[a-z]{{2,40}})
    """,
    "handles": rf"""
        (?<![\w@.])@{LETTER}(?:{LETTER}|[.-](?={LETTER})){{0,63}}(?:@{LETTER}{{1,63}}(?:\.{LETTER}{{1,63}}){{1,4}})?
    """,
    "hashtags": rf"""
        (?<![\w&\#])[#＃](?=\d{{0,20}}[^\W\d])(?:{LETTER}{{1,100}}|\w{{1,40}}(?!\S))
      | [#＃](?=[^\W\d])[^\s#＃]{{1,40}}[#＃](?!\w)
    """,
    "emoji": rf"""
        (?:[0-9#*]\ufe0f?\u20e3 | [{_EMOJI}\u203c\u2049\u2122\u2139\u2190-\u21ff\xa9\xae]\ufe0f?
          | [{_EMOJI}](?:[\ufe0f\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]
            | \u200d(?=[{_EMOJI}]) | [{_EMOJI}])* )+
      | (?<!\S)[:;=]['’]?-?[)(DPpOo/\\|*\]\[3](?!\w) | (?<!\S)<3(?!\w)
      | (?<![\w:]):[a-z][a-z0-9_+-]{{1,40}}:(?![\w:])
    """,
    "numbers": rf"""
        {_NOT_IN_WORD}[+−{_CURRENCY}\#-]{{0,8}}+ {LETTER}{{0,30}}? \d (?:{LETTER}|\d){{0,60}}
        (?: [.,:/'’·–٫٬\u00a0\u202f-](?=\d)(?:{LETTER}|\d){{1,60}}
          | [ ]\d{{3}}(?!{LETTER}|\d) ){{0,20}}
        (?:[ \u00a0\u202f]?[%‰°{_CURRENCY}])?
    """,
    "emphasis": r"""
        (?<![*\w])\*{1,3}(?=[^\s*]) | (?<=[^\s*])\*{1,3}(?![*\w]) | ~~(?=\S) | (?<=\S)~~
      | (?<=\S)\|(?=\S)
      | (?<![\w])_{1,2}(?=[^\W_]) | (?<=[^\W_])_{1,2}(?!\w)
    """,
}

# Every literal contains one of these. They are quick to search for.
_HINT = re.compile(
    rf"[|\[\d@#＃$:;=\\*_~/<{_EMOJI}\u203c\u2049\u2122\u2139\u2190-\u21ff\xa9\xae]|\.\w"
)
_UNIT = re.compile(f"[%‰{_CURRENCY}]")

# Literals with at most this many characters between them, and no letter, are kept as one.
_MAX_GAP = 3


def may_have_literals(text: str) -> bool:
    """Whether a text has a character that literals have. Quick."""
    return _HINT.search(text) is not None


def find_literals(text: str, kinds: frozenset[SpanKind], outside: Iterable[Span]) -> list[Span]:
    """Find literals.

    Args:
        text: any text.
        kinds: the kinds to find.
        outside: the ranges of the text in which to search.

    Returns:
        the literals in order. They do not overlap. Neighbours without a letter between them are one
        literal.
    """
    spans: list[Span] = []
    if not kinds or not may_have_literals(text):
        return spans
    pattern = _pattern(kinds)
    for begin, end in outside:
        joins = False  # never across a range's edge
        for match in pattern.finditer(text, begin, end):
            start, stop = match.span()
            gap = text[spans[-1][1] : start] if joins else ""
            if joins and len(gap) <= _MAX_GAP and not any(map(str.isalpha, gap)):
                spans[-1] = (spans[-1][0], stop)
            else:
                spans.append((start, stop))
            joins = True
    return spans


def loses_literals(source: str, translation: str, kinds: frozenset[SpanKind]) -> bool:
    """Whether a translation lacks a literal of its source. Numbers may have another format.

    Args:
        source: the source, without placeholder symbols.
        translation: its translation, without placeholder symbols.
        kinds: the kinds that matter.
    """
    if not kinds or not may_have_literals(source):
        return False
    literals = _literals(source, kinds)
    if not literals:
        return False
    missing = literals - _literals(translation, kinds)
    if any(kind != "numbers" for kind, _ in missing):
        return True
    if not any(kind == "numbers" for kind, _ in literals):
        return False
    units = Counter(_UNIT.findall(source)) - Counter(_UNIT.findall(translation))
    return bool(units) or not same_numbers(source, translation)


def _literals(text: str, kinds: frozenset[SpanKind]) -> Counter[tuple[str, str]]:
    """The literals of a text with their kinds, and how often each occurs."""
    return Counter((str(m.lastgroup), m[0]) for m in _pattern(kinds).finditer(text))


@functools.cache
def _pattern(kinds: frozenset[SpanKind]) -> re.Pattern[str]:
    """A pattern of all literals of some kinds. ``lastgroup`` of a match is its kind."""
    alternatives = [f"(?P<{kind}>{_PATTERNS[kind]})" for kind in _PATTERNS if kind in kinds]
    return re.compile("|".join(alternatives), re.VERBOSE | re.IGNORECASE)
