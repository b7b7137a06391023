"""Rules about what both sides must have alike: numbers, addresses, placeholders, tags, marks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import numpy as np

from pipeline.documents.numbers import digit_runs_of, numbers_of
from pipeline.prepare.characters import BRACKETS, QUOTES, Property
from pipeline.prepare.config import CleanConfig
from pipeline.prepare.rules.rule import Rule, where_rows
from pipeline.prepare.texts import Hashes, Mask, PairTexts, TextColumn

# --- Numbers ---

# A number of so many digits, zeros around them aside, is rarely written in words or left out.
_MIN_DIGITS = 3
_MIN_SHORT_YEAR_DIGITS = 2
_HOURS_OF_HALF_DAY, _HOURS_OF_DAY = 12, 24
# Words such as `thousand` and `万` multiply by at least this much, or a hundred in `1.2亿`.
_MIN_MULTIPLIER = 100
# With the multipliers of East Asia, `2 billion` is `20亿`.
_TEN_THOUSANDS = re.compile("[万萬亿億兆만억]")


# Digits with a mark between them, which may be one number.
_SEPARATED = re.compile(r"\d[^\w\s:/-]\d|\d\s\d")
# The decade of `1950s` is `padesátá léta` in Czech.
_DECADE = re.compile(r"\b\d{3}0(?=['’]?s\b)")


def _numbers_differ(source: str, target: str) -> bool:
    """Whether a number of one side can have no counterpart on the other.

    Numbers may have another format, another order, or another number of occurrences. A number of
    less than three digits, zeros around it aside, may be written in words or be left out. So
    `1,000` may be `thousand`, and `12` may be `twelve`.
    """
    runs = digit_runs_of(source), digit_runs_of(target)
    if runs[0] == runs[1]:
        return False
    min_multiplier = 10 if _TEN_THOUSANDS.search(source + target) else _MIN_MULTIPLIER
    decades = {*_DECADE.findall(source), *_DECADE.findall(target)}
    if not _is_wrong(*_unmatched(*runs, min_multiplier), decades):
        return False
    if _SEPARATED.search(source) is None and _SEPARATED.search(target) is None:
        return True  # the runs are the numbers
    numbers = numbers_of(source), numbers_of(target)
    return _is_wrong(*_unmatched(*numbers, min_multiplier), decades)


def _is_wrong(of_source: list[str], of_target: list[str], decades: set[str]) -> bool:
    """Whether unmatched numbers are too many to be a matter of style."""
    of_source = [number for number in of_source if number not in decades]
    of_target = [number for number in of_target if number not in decades]
    if of_source and of_target:
        return True
    return any(len(_significant(number)) >= _MIN_DIGITS for number in of_source + of_target)


def _unmatched(
    of_source: list[str], of_target: list[str], min_multiplier: int = _MIN_MULTIPLIER
) -> tuple[list[str], list[str]]:
    """The numbers of each side that have no counterpart on the other."""
    sides = [{number.lstrip("-") for number in of_side} for of_side in (of_source, of_target)]
    left, right = sorted(sides[0] - sides[1]), sorted(sides[1] - sides[0])
    for number in list(left):
        for other in right:
            if _mean_the_same(number, other, min_multiplier) or _mean_the_same(
                other, number, min_multiplier
            ):
                left.remove(number)
                right.remove(other)
                break
    return left, right


def _mean_the_same(number: str, other: str, min_multiplier: int) -> bool:
    """Whether two numbers can be one in another style: `8` pm and `20`, `'99` and `1999`."""
    if number.isdigit() and other.isdigit():
        if other.endswith(number) and len(number) == _MIN_SHORT_YEAR_DIGITS:
            return len(other) == 2 * _MIN_SHORT_YEAR_DIGITS
        if int(number) + _HOURS_OF_HALF_DAY == int(other) <= _HOURS_OF_DAY:
            return True
    if _significant(number) != _significant(other):
        return False
    return float(number or 0) >= min_multiplier * float(other or 0) > 0


def _significant(number: str) -> str:
    """The digits of a number without the zeros around them."""
    return number.replace(".", "").strip("0")


def _digit_hashes(column: TextColumn) -> Hashes:
    is_digit = column.are(Property.DIGIT)
    return column.hashes(is_digit)


def _numbers(texts: PairTexts, config: CleanConfig) -> Mask:
    source, target = texts.source, texts.target
    with_digits = source.have(Property.DIGIT) | target.have(Property.DIGIT)
    if not with_digits.any():
        return with_digits
    # Most pairs have the same digits in the same order.
    candidates = with_digits & (_digit_hashes(source) != _digit_hashes(target))
    return where_rows(candidates, lambda row: _numbers_differ(source.text(row), target.text(row)))


def _differing_numbers(source: str, target: str, config: CleanConfig) -> str:
    left, right = _unmatched(numbers_of(source), numbers_of(target))
    return f"{', '.join(left) or 'nothing'} and {', '.join(right) or 'nothing'}"


# --- Counted literals: what a text has of a kind, and how often ---

Found = Callable[[str], Counter[str]]


def _by_count(
    name: str,
    found: Found,
    candidates: Callable[[TextColumn], Mask],
    is_on: Callable[[CleanConfig], bool],
    same: Callable[[str, str], bool] | None = None,
) -> Rule:
    """A rule that demands equal literals of a kind on both sides.

    Args:
        name: the reason.
        found: the literals of a text.
        candidates: for each text of a column, whether it may have such literals. Quick.
        is_on: whether the settings switch the rule on.
        same: whether two texts have the same literals, if that is not the equality of ``found``.
    """

    def have_same(source: str, target: str) -> bool:
        return same(source, target) if same else found(source) == found(target)

    def rejects(texts: PairTexts, config: CleanConfig) -> Mask:
        source, target = texts.source, texts.target
        rows = candidates(source) | candidates(target)
        return where_rows(rows, lambda row: not have_same(source.text(row), target.text(row)))

    def detail(source: str, target: str, config: CleanConfig) -> str:
        of_source, of_target = found(source), found(target)
        left, right = of_source - of_target, of_target - of_source
        return f"{_listed(left)} and {_listed(right)}"

    return Rule(name, rejects, is_on, detail)


def _listed(literals: Counter[str]) -> str:
    return " ".join(literals.elements()) or "nothing"


# --- Addresses ---

_URL = re.compile(r"(?:[a-z][a-z0-9+.-]{1,20}://|\bwww\.)(\w[^\s/<>\"?#:\[\]]*)", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+-]{1,64}@((?:[\w-]{1,63}\.)+[^\W\d_]{2,24})")


def _hosts(text: str) -> Counter[str]:
    """The names of the sites of the web addresses of a text.

    Translations link to pages in their language, so only the name of the site counts:
    `wikipedia` for `https://en.wikipedia.org/wiki/Dog`.
    """
    return Counter(_site(match[1].lower()) for match in _URL.finditer(text))


def _site(host: str) -> str:
    """The longest part of a host's name, its last part aside."""
    labels = host.strip(".,;!)'…").split(".")
    return max(labels[:-1] or labels, key=len)


def _emails(text: str) -> Counter[str]:
    return Counter(match[0].lower() for match in _EMAIL.finditer(text))


def _may_have_urls(column: TextColumn) -> Mask:
    return column.contain("://") | column.contain("www.") | column.contain("WWW.")


# --- Placeholders and tags ---

_PLACEHOLDER = re.compile(
    r"""
      %\((?P<python>[^()\s]{1,100})\)[#0+-]{0,3}\d{0,4}(?:\.\d{1,4})?[a-zA-Z]
    | (?<![\d%])%(?:\d{1,2}\$)?[#0+'-]{0,3}(?:\d{1,4}|\*)?(?:\.(?:\d{1,4}|\*))?
      (?:hh|h|ll|l|z|j|t|q)?(?P<printf>[diouxXeEfgGcsSpn@])(?P<glued>(?=[a-zA-Z]))?
    | (?<![\w%])%L?(?P<numbered>[1-9]\d?)(?![\w%$])
    | (?<![\w%])%(?P<named>[A-Za-z_]\w{1,60})%(?!\w)
    | [$%\#]?\{{1,3}[ ]?(?P<brace>(?:[A-Za-z_][\w.$]{0,60}|\d{1,2})?)
      (?:[!:][^{}\s]{0,20})?[ ]?\}{1,3}
    | (?<![\w$])\$(?P<variable>[a-z_][a-z0-9_]{1,60}|[A-Z_]{4,60})(?!\w)
    """,
    re.VERBOSE | re.ASCII,
)
# A text with one of these is a format of dates, and other languages order dates otherwise.
_DATE_FORMAT = re.compile(r"%[-_EO]?[YmHMBbAayITRFDjklZ](?![a-zA-Z])")


def _placeholders(text: str, *, with_glued: bool = False) -> Counter[str]:
    """The placeholders of a text: their names or types, without positions and widths.

    Args:
        text: any text.
        with_glued: whether `%s` is a placeholder if a letter follows it, as in `%sx%s`. In
            `5 %ige`, `%i` is none.
    """
    found: Counter[str] = Counter()
    is_date = _DATE_FORMAT.search(text) is not None
    for match in _PLACEHOLDER.finditer(text):
        kind = str(match.lastgroup)
        if kind in ("printf", "glued"):
            if not is_date and (with_glued or kind != "glued"):
                found[f"%{match['printf'].lower()}"] += 1
        elif kind == "variable":
            found[f"${{{match[kind]}}}"] += 1
        else:
            found[match[0].replace(" ", "")] += 1
    return found


def _same_placeholders(source: str, target: str) -> bool:
    written = [sorted(m[0] for m in _PLACEHOLDER.finditer(text)) for text in (source, target)]
    return written[0] == written[1] or any(
        _placeholders(source, with_glued=with_glued) == _placeholders(target, with_glued=with_glued)
        for with_glued in (False, True)
    )


_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9:_-]{0,60})(?:\s[^<>]{0,2000})?(/?)>")
# Tags that are no words. `<address>` and `<title>` are tags if the text closes them.
_KNOWN_TAG = re.compile(
    "a|abbr|b|blockquote|br|d[dlt]|del|dfn|div|em|h[1-6r]|i|img|ins|kbd|li|ol|p|pre|s|samp|span|"
    "strike|strong|su[bp]|tbody|t[dhr]|tfoot|thead|tt|u|ul|var|"
    "bpt|bx|ec|ept|ex|g|it|mrk|pc|ph|sc|x"  # of XLIFF
)


def _tags(text: str) -> Counter[str]:
    """The tags of a text, without attributes.

    A name in angle brackets is a tag if HTML or XLIFF knows it, or if the text closes it. Others,
    such as `<file>`, are placeholders for words, which translations translate.
    """
    matches = list(_TAG.finditer(text))
    closed = {match[2].lower() for match in matches if match[1] or match[3]}
    return Counter(
        f"<{match[1]}{name}>"
        for match in matches
        if (name := match[2].lower()) in closed or _KNOWN_TAG.fullmatch(name)
    )


# --- Brackets, quotes, ends ---

# An opening and a closing bracket in turn, for each kind.
_BRACKET_KIND = {
    character: kind[number % 2] for kind in BRACKETS for number, character in enumerate(kind)
}
_ANY_BRACKET = re.compile(f"[{re.escape(''.join(BRACKETS))}]")
_SINGLE_QUOTED = re.compile(r"(?<!\w)['‘‚‹›`].*['’‘‹›](?!\w)|<<.*>>")
_ANY_QUOTE = re.compile(f"[{re.escape(QUOTES)}]")
_NO_END = ""
_ENDS = {
    **dict.fromkeys(".。．｡।॥۔։።", "."),
    **dict.fromkeys("?？؟;՞፧", "?"),  # the Greek question mark looks like a semicolon
    **dict.fromkeys("!！", "!"),
    **dict.fromkeys(":：", ":"),
    **dict.fromkeys("…", "…"),
}
_AFTER_END = re.compile(rf"[\s{re.escape(QUOTES)}'’‘›‹){re.escape(''.join(BRACKETS))}*_]+\Z")


def _brackets(text: str) -> Counter[str]:
    return Counter(_BRACKET_KIND[match] for match in _ANY_BRACKET.findall(text))


def _quotes(text: str) -> Counter[str]:
    has_quotes = _ANY_QUOTE.search(text) or _SINGLE_QUOTED.search(text)
    return Counter({"quotes": 1} if has_quotes else {})


def _end(text: str) -> str:
    """The kind of punctuation mark that a text ends with; empty if it ends with none."""
    text = _AFTER_END.sub("", text)
    return "…" if text.endswith("...") else _ENDS.get(text[-1:], _NO_END)


def _end_punctuation(texts: PairTexts, config: CleanConfig) -> Mask:
    source, target = texts.source, texts.target
    last = [column.codes[np.maximum(column.ends - 1, column.starts)] for column in (source, target)]
    return where_rows(
        last[0] != last[1], lambda row: _end(source.text(row)) != _end(target.text(row))
    )


def _ends(source: str, target: str, config: CleanConfig) -> str:
    return f"{_end(source) or 'nothing'} and {_end(target) or 'nothing'}"


NUMBERS = Rule("numbers", _numbers, lambda config: config.match_numbers, _differing_numbers)
URLS = _by_count("urls", _hosts, _may_have_urls, lambda config: config.match_urls)
EMAILS = _by_count(
    "emails",
    _emails,
    lambda column: column.have(Property.AT_SIGN),
    lambda config: config.match_emails,
)
PLACEHOLDERS = _by_count(
    "placeholders",
    _placeholders,
    lambda column: column.have(Property.PLACEHOLDER_MARK),
    lambda config: config.match_placeholders,
    _same_placeholders,
)
TAGS = _by_count(
    "tags",
    _tags,
    lambda column: column.have(Property.LESS_THAN),
    lambda config: config.match_tags,
)
BRACKETS_RULE = _by_count(
    "brackets",
    _brackets,
    lambda column: column.have(Property.BRACKET),
    lambda config: config.match_brackets,
)
QUOTES_RULE = _by_count(
    "quotes",
    _quotes,
    lambda column: column.have(Property.QUOTE),
    lambda config: config.match_quotes,
)
END_PUNCTUATION = Rule(
    "end_punctuation", _end_punctuation, lambda config: config.match_end_punctuation, _ends
)
