"""Reads the elements of an XML file as a stream. Memory is bounded, and no entity is resolved.

A document type declaration is allowed, because TMX files have one. Its file is never loaded. A
document that declares an entity is refused: entities can name other files, and can grow without
bound.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, TypeAlias

from lxml import etree

from lingo_model import InputError
from pipeline.errors import one_line
from pipeline.formats.compression import TooLargeError, open_bytes
from pipeline.formats.rows import check_readable, read_errors_as_input_errors, read_head
from pipeline.formats.signatures import foreign_encoding

Element: TypeAlias = Any
"""An element of lxml, which has no types."""

MAX_UNIT_BYTES = 1 << 24
"""The largest element that is read. Small elements take thirty times as much memory as the file."""

_ENTITY = re.compile(rb"<!ENTITY\s+(?:%\s+)?([^\s\"'>]+)")
_MAX_STORED_LINE = 65_535  # libxml2 stores the line of an element in two bytes
# libxml2 adds the place to some of its messages, and advice for C programs to others.
_PLACE = re.compile(r", line \d+, column \d+.*|, try XML_PARSE_HUGE|, see xmlCtxt\w+\.?", re.DOTALL)


def iter_elements(
    path: Path, names: Collection[str], encoding: str | None = None
) -> Iterator[Element]:
    """Read the elements with some names, in order, as a stream.

    An element may be used until the next one is read. The elements around it have their attributes,
    and what comes before it in the file is removed.

    Args:
        path: the file, which may be compressed.
        names: the names of the elements, without their namespaces.
        encoding: the file's encoding. None is the encoding that the file names itself.

    Raises:
        InputError: the file is missing, damaged or not well-formed, it declares or uses an entity,
            or an element is too large.
    """
    check_readable(path)
    with read_errors_as_input_errors(path), open_bytes(path) as stream:
        source = _Source(stream, encoding)
        events = etree.iterparse(
            source,
            events=("end",),
            tag=[f"{{*}}{name}" for name in names],
            encoding=None if encoding is None else "utf-8",
            resolve_entities=False,
            load_dtd=False,
            no_network=True,
            remove_comments=True,
            remove_pis=True,
            huge_tree=False,
        )
        try:
            for number, (_, element) in enumerate(events):
                if number == 0:
                    _check_no_entities(path, element)
                yield element
                source.n_bytes = 0
                _remove_with_everything_before(element)
        except etree.XMLSyntaxError as error:
            raise _syntax_error(path, error, events.error_log) from error
        if events.root is not None:
            _check_no_entities(path, events.root)


def local_name(element: Element) -> str:
    """The name of an element without its namespace. Empty for an entity."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def line_of(element: Element) -> int:
    """The number of the line in which an element begins."""
    line: int = element.sourceline
    if line >= _MAX_STORED_LINE and element.text:
        # libxml2 then gives the line in which the text at the beginning of the element ends.
        line -= element.text.count("\n")
    return line


class _Source:
    """The bytes of a file for the parser. Counts them, so that one element is not too large.

    Args:
        stream: the uncompressed bytes of the file.
        encoding: the encoding of the bytes, which are turned into UTF-8. None leaves them as they
            are, and the parser uses the encoding that the file names.
    """

    def __init__(self, stream: io.BufferedReader, encoding: str | None) -> None:
        self._stream = stream
        self._decoder = None if encoding is None else codecs.getincrementaldecoder(encoding)()
        self.n_bytes = 0

    def read(self, n_bytes: int) -> bytes:
        data = self._stream.read(n_bytes)
        self.n_bytes += len(data)
        if self.n_bytes > MAX_UNIT_BYTES:
            raise TooLargeError(
                f"there are more than {MAX_UNIT_BYTES:,} bytes from one unit to the next"
            )
        if self._decoder is None:
            return data
        text = self._decoder.decode(data, final=not data)
        while data and not text:  # an empty text would be the end of the file
            data = self._stream.read(n_bytes)
            text = self._decoder.decode(data, final=not data)
        return text.encode()


def _remove_with_everything_before(element: Element) -> None:
    """Free the memory of an element, and of all elements that end before it."""
    element.clear()
    while (parent := element.getparent()) is not None:
        while element.getprevious() is not None:
            del parent[0]
        element = parent


def _check_no_entities(path: Path, element: Element) -> None:
    """Check that the document type of an element's document declares no entity.

    Raises:
        InputError: it declares one.
    """
    document_type = element.getroottree().docinfo.internalDTD
    if document_type is None:
        return
    for entity in document_type.iterentities():
        raise _declared_entity(path) or InputError(
            f"{path}: declares the entity {entity.name!r}; {_ENTITY_REMEDY}"
        )


_ENTITY_REMEDY = (
    "entities are not read, because they can load other files or fill the memory; write their "
    "text instead, and remove the declaration"
)


def _declared_entity(path: Path) -> InputError | None:
    """The error of the first entity that the beginning of a file declares, with its line."""
    head = read_head(path)
    if encoding := foreign_encoding(head):
        head = head.decode(encoding, "replace").encode()
    match = _ENTITY.search(head)
    if match is None:
        return None
    line = head.count(b"\n", 0, match.start()) + 1
    name = match[1].decode("utf-8", "replace")
    return InputError(f"{path}: line {line} declares the entity {name!r}; {_ENTITY_REMEDY}")


def _syntax_error(path: Path, error: etree.XMLSyntaxError, log: Any) -> InputError:
    """What is wrong with a document, and in which line."""
    if entity_error := _declared_entity(path):
        return entity_error
    errors = log.filter_from_errors()
    line, reason = (errors[0].line, errors[0].message) if errors else (error.lineno, error.msg)
    reason = one_line(ValueError(_PLACE.sub("", reason).strip()))
    place = f"line {line}: " if line else ""
    return InputError(
        f"{path}: {place}is not well-formed XML ({reason}); mend it, or export the file again"
    )
