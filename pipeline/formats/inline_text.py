"""The text of a segment of TMX or XLIFF without its inline codes.

Inline codes stand for the markup and the placeholders of the document that was translated.
"""

from __future__ import annotations

import re

from pipeline.formats.safe_xml import Element, local_name

# The text inside these elements is markup. The text in other elements, such as hi, g, pc and mrk,
# is part of the sentence.
_CODES = frozenset(("bpt", "ept", "ph", "it", "ut", "x", "bx", "ex", "sc", "ec", "cp"))

_LINE_BREAK = re.compile(r"<(?:br|lb|p|div|li|td|tr)\b|</(?:p|div|li|td|tr)>|\\n|\n", re.IGNORECASE)
_LINE_BREAK_TYPES = frozenset(("lb", "pb", "br", "x-br", "x-html-br", "xlf:lb", "xlf:pb"))
_TYPE_ATTRIBUTES = ("ctype", "type", "subType")

# Characters that XML cannot hold. They mark the places of codes until the spaces are set right.
_CODE, _BREAK = "\0", "\1"
_CODES_AND_SPACES = re.compile(r"\s*[\0\1][\s\0\1]*")


class UnknownEntityError(ValueError):
    """A text uses an entity that is not defined. The error holds the name of the entity."""


def inline_text(segment: Element) -> str:
    """The text of a segment without its inline codes.

    A code leaves no second space behind. A code that breaks the line becomes a space.

    Raises:
        UnknownEntityError: the segment uses an entity.
    """
    if len(segment) == 0:
        return segment.text or ""
    pieces: list[str] = []
    _collect(segment, pieces)
    text = "".join(pieces)
    return _CODES_AND_SPACES.sub(_space, text)


def _collect(element: Element, pieces: list[str]) -> None:
    """Append the texts inside an element, with a mark for each code."""
    if element.text:
        pieces.append(element.text)
    for child in element:
        name = local_name(child)
        if not name:
            raise UnknownEntityError(child.name)
        if name in _CODES:
            pieces.append(_BREAK if _is_line_break(child) else _CODE)
        else:
            _collect(child, pieces)
        if child.tail:
            pieces.append(child.tail)


def _is_line_break(code: Element) -> bool:
    is_of_type = any(code.get(name) in _LINE_BREAK_TYPES for name in _TYPE_ATTRIBUTES)
    return is_of_type or _LINE_BREAK.search(code.text or "") is not None


def _space(match: re.Match[str]) -> str:
    """What stands in the place of codes and the white space around them."""
    if match.start() == 0 or match.end() == len(match.string):
        return ""
    spaces = match[0].replace(_CODE, "").replace(_BREAK, " ")
    return spaces[:1]
