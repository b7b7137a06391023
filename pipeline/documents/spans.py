"""Finds markup, variables and addresses in a text: text that a translation must not change.

The time is linear in the length of the text, for any text. A construct that is never closed is not
a span; only its opening may be one.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import defaultdict
from functools import cached_property

Span = tuple[int, int]
"""A half-open range of characters, ``(start, stop)``."""

# Letters of scripts that are written without spaces, or whose endings are joined to a foreign word.
# Addresses end before them. (Browsers copy addresses with such letters percent-encoded.)
# Thai to Lao, Burmese, Hangul, Khmer, Chinese and Japanese with punctuation and full-width forms.
_UNSPACED = (
    r"\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2e80-\ua4cf\ua960-\ua97f\uac00-\ud7ff"
    r"\uf900-\ufaff\ufe30-\ufe4f\uff00-\uffef\U00020000-\U0003ffff"
)

LETTER = rf"[^\W{_UNSPACED}]"
"""A pattern of a letter, a digit or ``_`` of a script that puts spaces between words."""

# Every span contains one of these. They are quick to search for.
_HINT = re.compile(r"[{%<&@`$\[~/＜]|:\S|[wW][wW][wW]\.")

# The elements whose content is not prose.
_KEPT_ELEMENTS = frozenset({"script", "style", "code", "pre", "kbd", "samp", "var", "svg", "math"})
_NOT_TRANSLATED = re.compile(r"""\stranslate\s*=\s*["']?no\b|\bnotranslate\b""", re.IGNORECASE)
# Elements that end a sentence before and after their tags.
_BLOCKS = re.compile(
    "address|article|aside|blockquote|body|caption|dd|details|div|dl|dt|fieldset|figcaption|figure|"
    "footer|form|h[1-6]|head|header|hr|html|li|main|nav|ol|option|p|section|select|summary|table|"
    "tbody|td|tfoot|th|thead|title|tr|ul",
    re.IGNORECASE,
)
_COMMENT = re.compile(
    r"<!|<\?xml|\{#|\{%[-+~]?\s*(?:if|elif|elsif|else|unless|for|while|with|block|set|include|extends|"
    r"import|from|macro|load|raw|comment|autoescape|filter|assign|capture|case|when|end\w*)\b"
)
_TAG_NAME = re.compile(r"</?([A-Za-z][A-Za-z0-9:._-]*)")

# The end of an open construct is searched for in the whole text, once for each kind of construct.
# After this many kinds, the text is no markup.
_MAX_NEVER_CLOSED = 32

_CLOSERS = {
    "<!--": "-->",
    "<![CDATA[": "]]>",
    "<%": "%>",
    "<?": "?>",
    "{%": "%}",
    "{#": "#}",
    "{{": "}}",
}

# An escaped tag or quotation mark after an address does not belong to it.
_ESCAPED_MARKUP = r"&(?:lt|gt|quot|apos|\#39|\#34|nbsp);"

# The beginning of a construct whose end is searched for.
_OPENING = r"""
      (?P<delimiter> <!-- | <!\[CDATA\[ | <[%?] | \{[%#{] )
    | (?P<fence> ^[ \t]{0,3} (?P<fence_marks> `{3,} | ~{3,} ) )
    | (?P<code> `+ )
    | (?P<link> !?\[ ) | (?P<target> \](?=\() )
    | (?P<message> \{\s{0,20}[\w.-]{1,100}\s{0,20},\s{0,20}
        (?:plural|select|selectordinal|choice|number|date|time|spellout|ordinal|duration|list)\b )
    | (?P<object> \{\s{0,20}" )
"""

# Constructs that one expression describes. Repetitions are bounded, or end before the beginning of
# another construct, so that the search takes linear time. Only single characters are repeated
# possessively: Python before 3.11.5 loses its place if a group is (CPython issue 106052).
_WHOLE = (
    r"""
      \[\[[\w.:-]{1,100}\]\]                                    # [[x]]
    | \[\^[\w-]{1,50}\]:?                                       # [^1]
    | \{\{\{[^{}\n]{0,200}\}\}\}                                # {{{ x }}}
    | [$%#]?\{\{[^{}\n]{0,200}\}\}                              # {{ x }} ${{ x }}
    | [$%#@]?\{[^{}\n]{0,200}\}                                 # {name} {0:>8} ${name} %{name}
    | [$%#@]?\{[^{}\s]{1,100}(?:\{[^{}\s]{0,100}\}[^{}\s]{0,100}){1,4}\}            # {x:>{width}}
    | \$(?:[a-z_]\w{0,40})?\([^()\n]{0,200}\)                   # $t(key)
    | %(?:\([^()\s]{1,100}\)|<[^<>\s]{1,100}>)[#0\-+]{0,3}\d{0,4}(?:\.\d{1,4})?[a-z]     # %(x)d
    | (?<![\w%])%[a-z_]\w{1,60}%(?!\w)                          # %NAME%
    | (?<!\d)%(?:\d{1,2}\$)?[#0\-+]{0,3}(?:\d{1,4}|\*)?(?:\.(?:\d{1,4}|\*))?
      (?:hh|h|ll|l|z|j|t|q)?[diouxefgcrsapn@](?![^\W\d_])       # %s %1$s %-10.2lf
    | (?<![\w%])%L?[1-9]\d?(?![\w%])                            # %1
    | (?<!\d)%[a-z](?![^\W\d_])                                 # %Y
    | (?<!%)%%(?!%)                                             # %%
    | <(?:[a-z][a-z0-9+.-]{1,20}:[^<>\s]{1,2000}|[^<>\s@]{1,64}@[^<>\s@]{1,255})>  # <https://x.org>
    | </?[a-z][a-z0-9:._-]{0,60}(?:\s(?:[^<>"']++|"[^"]*+"|'[^']*+'){0,80}|/)?>  # <b> <br/>
    | </?[a-z][a-z0-9:._-]{0,60}(?:\s[^<>\n]{0,1000})?/?>       # a tag with a stray quotation mark
    | <![a-z][^<>]{0,1000}>                                     # <!DOCTYPE html>
    | [<＜]ph\d[>＞]                                            # a placeholder symbol
    | &(?:\#\d{1,7}|\#x[0-9a-f]{1,6}|[a-z][a-z0-9]{1,31});      # &nbsp;
    """
    rf"""
    | (?P<url>
        (?: [a-z][a-z0-9+.-]{{1,20}}:// | (?<!{LETTER})www\.
          | (?<!{LETTER})(?:mailto|tel|sms|urn|doi|magnet):(?=[\w+?]) | (?<!{LETTER})data:\w+/ )
        (?: (?!{_ESCAPED_MARKUP}) [^\s<>"{{}}|\\^`{_UNSPACED}] | \{{[^{{}}\s]{{0,100}}\}} )+ )
    | (?<!{LETTER})(?<![.+@-])(?:{LETTER}|[.+-]){{1,64}}@                                 # a@b.org
      (?:{LETTER}|-){{1,63}}(?:\.(?:{LETTER}|-){{1,63}}){{1,8}}
    """
)
_FLAGS = re.VERBOSE | re.IGNORECASE | re.MULTILINE
_SPAN = re.compile(f"{_OPENING} | {_WHOLE}", _FLAGS)
_WHOLE_SPAN = re.compile(_WHOLE, _FLAGS)

_ENTITY_AT_END = re.compile(r"&[#\w]{1,31};\Z")
_AFTER_ADDRESS = frozenset(".,:!?'([…»”’")
_OPENING_OF = {")": "(", "]": "["}

_LINK_TARGET = re.compile(
    r"""
    \]\( \s{0,8}
    (?: <[^<>\n]{0,2000}> | (?: [^()\s\\] | \\. | \((?:[^()\s\\]|\\.){0,500}\) ){0,2000} )
    (?: \s{1,8}(?:"[^"\n]{0,500}"|'[^'\n]{0,500}') )? \s{0,8} \)
    """,
    re.VERBOSE,
)
_IN_WORD = re.compile(LETTER)
_BRACKET = re.compile(r"[\[\]\n]")
_BRACE = re.compile(r"''|'(?=[{}])|[{}]")


def find_spans(text: str) -> tuple[Span, ...]:
    """Find the spans of a text that a translation must not change.

    They are variables of the usual template languages, whole ICU messages, tags and comments of
    markup, elements such as ``<script>`` and ``<code>`` with their content, code and link targets
    of Markdown, URLs and e-mail addresses.

    Args:
        text: any text.

    Returns:
        the spans in order. They do not overlap.
    """
    if _HINT.search(text) is None:
        return ()
    return tuple(_Scanner(text).spans())


def ends_sentence(span: str) -> bool:
    """Whether a span ends the sentence before it: the tag of a block, such as ``<p>``."""
    if span[0] != "<":
        return False
    name = _TAG_NAME.match(span)
    return name is not None and _BLOCKS.fullmatch(name[1]) is not None


def is_comment(span: str) -> bool:
    """Whether a span is a comment, or an instruction that writes no text."""
    return _COMMENT.match(span) is not None


class _Scanner:
    """Finds the spans of one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._never_closed: set[str] = set()
        self._targets: dict[int, int] = {}

    def spans(self) -> list[Span]:
        spans: list[Span] = []
        position = 0
        while match := _SPAN.search(self._text, position):
            start = match.start()
            stop = self._stop(match)
            if stop > start:
                spans.append((start, stop))
            position = max(stop, start + 1)
        return spans

    def _stop(self, match: re.Match[str]) -> int:
        """Where the span that begins with a match ends; its start if there is none."""
        kind = match.lastgroup
        stop: int | None = match.end()
        if kind == "fence_marks" or kind == "fence":
            stop = self._end_of_fence(match)
        elif kind == "code":
            stop = self._end_of_code(match)
        elif kind == "link":
            stop = self._end_of_link_opening(match)
        elif kind == "target":
            stop = self._targets.get(match.start())
        elif kind in ("message", "object"):
            close = self._braces.get(match.start())
            stop = None if close is None else close + 1
        elif kind == "delimiter":
            stop = self._end_of_delimiter(match)
        if kind is None or kind == "url":
            return self._end_of_whole(match)
        if stop is None and (whole := _WHOLE_SPAN.match(self._text, match.start())):
            return self._end_of_whole(whole)
        return match.start() if stop is None else stop

    def _end_of_whole(self, match: re.Match[str]) -> int:
        if match["url"] is not None:
            return match.start() + _address_length(match["url"])
        if match[0][0] == "<" and match[0][1] != "/" and (name := _TAG_NAME.match(match[0])):
            element = name[1].lower()
            is_kept = element in _KEPT_ELEMENTS or _NOT_TRANSLATED.search(match[0]) is not None
            if is_kept and not match[0].endswith("/>"):
                return self._end_of_element(element, match.end())
        return match.end()

    def _end_of_element(self, name: str, start: int) -> int:
        """Where an element's content and its end tag end; ``start`` if it has no end tag."""
        if name in self._never_closed or len(self._never_closed) > _MAX_NEVER_CLOSED:
            return start
        end_tag = re.compile(rf"</{re.escape(name)}\s*>", re.IGNORECASE).search(self._text, start)
        if end_tag is None:
            self._never_closed.add(name)
            return start
        return end_tag.end()

    def _end_of_delimiter(self, match: re.Match[str]) -> int | None:
        closer = _CLOSERS[match["delimiter"]]
        # The simple forms come first: {{ x }} ends at its first brace.
        whole = _WHOLE_SPAN.match(self._text, match.start())
        if whole is not None and match["delimiter"][0] == "{":
            return whole.end()
        if closer in self._never_closed:
            return None
        at = self._text.find(closer, match.end())
        if at < 0:
            self._never_closed.add(closer)
            return None
        return at + len(closer)

    def _end_of_fence(self, match: re.Match[str]) -> int | None:
        """Where a block of code ends, with its closing fence; an open fence is a span alone."""
        marks = match["fence_marks"]
        key = f"fence {marks}"
        line_end = self._text.find("\n", match.end())
        if line_end < 0 or key in self._never_closed:
            return match.end()
        if len(self._never_closed) > _MAX_NEVER_CLOSED:
            return match.end()
        if marks[0] == "`" and "`" in self._text[match.end() : line_end]:
            return self._end_of_code_run(match.start("fence_marks"), len(marks))
        fence = re.compile(rf"^[ \t]{{0,3}}{re.escape(marks)}{marks[0]}*[ \t]*\r?$", re.MULTILINE)
        closing = fence.search(self._text, line_end + 1)
        if closing is None:
            self._never_closed.add(key)
            return match.end()
        return closing.end()

    def _end_of_code(self, match: re.Match[str]) -> int | None:
        return self._end_of_code_run(match.start(), len(match[0]))

    def _end_of_code_run(self, start: int, n_marks: int) -> int | None:
        """Where code between runs of equally many backquotes ends, on the same line.

        A backquote within a word, as in ``it`s``, is an apostrophe.
        """
        runs = self._runs_of_backquotes[n_marks]
        following = bisect_left(runs, start + n_marks)
        alone = start + n_marks if n_marks > 1 else None
        if following == len(runs) or self._text.find("\n", start, runs[following]) >= 0:
            return alone
        stop = runs[following] + n_marks
        if n_marks == 1 and (
            (start > 0 and _IN_WORD.match(self._text, start - 1))
            or _IN_WORD.match(self._text, stop)
        ):
            return None
        return stop

    def _end_of_link_opening(self, match: re.Match[str]) -> int | None:
        """The bracket of ``[text](target)`` is a span; remembers the target, which is another."""
        close = self._brackets.get(match.end() - 1)
        if close is None:
            return None
        target = _LINK_TARGET.match(self._text, close)
        if target is None:
            return None
        self._targets[close] = target.end()
        return match.end()

    @cached_property
    def _runs_of_backquotes(self) -> dict[int, list[int]]:
        """The starts of the runs of backquotes, by their length."""
        runs: defaultdict[int, list[int]] = defaultdict(list)
        for match in re.finditer("`+", self._text):
            runs[len(match[0])].append(match.start())
        return runs

    @cached_property
    def _brackets(self) -> dict[int, int]:
        """The positions of square brackets on one line, closing by opening."""
        pairs: dict[int, int] = {}
        if "](" not in self._text:
            return pairs
        opened: list[int] = []
        for match in _BRACKET.finditer(self._text):
            if match[0] == "[":
                opened.append(match.start())
            elif match[0] == "\n":
                opened.clear()
            elif opened:
                pairs[opened.pop()] = match.start()
        return pairs

    @cached_property
    def _braces(self) -> dict[int, int]:
        """The positions of braces, closing by opening.

        As in ICU's messages, text between apostrophes is literal within braces if the first
        apostrophe stands before a brace.
        """
        pairs: dict[int, int] = {}
        opened: list[int] = []
        position = 0
        while match := _BRACE.search(self._text, position):
            position = match.end()
            if match[0] == "{":
                opened.append(match.start())
            elif match[0] == "}":
                if opened:
                    pairs[opened.pop()] = match.start()
            elif match[0] == "'" and opened:
                position = self._text.find("'", position) + 1
                if position == 0:
                    break
        return pairs


def _address_length(url: str) -> int:
    """The length of an address without the punctuation that follows it.

    A closing bracket belongs to the address if the address opens it.
    """
    surplus = {
        close: url.count(close) - url.count(opening) for close, opening in _OPENING_OF.items()
    }
    length = len(url)
    while length:
        last = url[length - 1]
        if last in _OPENING_OF:
            if surplus[last] <= 0:
                break
            surplus[last] -= 1
        elif last == ";":
            if entity := _ENTITY_AT_END.search(url, max(0, length - 33), length):
                length = entity.start() + 1
        elif last not in _AFTER_ADDRESS:
            break
        elif last in "([":
            surplus[")" if last == "(" else "]"] += 1
        length -= 1
    scheme, separator, _ = url.partition("://")
    shortest = len(scheme + separator) if separator else len("www")
    return 0 if length <= shortest else length
