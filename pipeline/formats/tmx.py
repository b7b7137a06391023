"""Reads TMX 1.4b: translation memories, in which each unit has texts in several languages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lingo_model import InputError
from pipeline.formats.inline_text import UnknownEntityError, inline_text
from pipeline.formats.language_tags import matching_tag
from pipeline.formats.rows import EMPTY, Row
from pipeline.formats.safe_xml import Element, iter_elements, line_of, local_name

_XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"
_MAX_NAMED_LANGUAGES = 20


def tmx_rows(
    path: Path, source_lang: str, target_lang: str, encoding: str | None = None
) -> Iterator[Row]:
    """One row for each unit (``tu``) of a TMX file.

    If a unit has several texts in a language, the first one is used.

    Args:
        path: the file.
        source_lang: language tag of the sources.
        target_lang: language tag of the targets.
        encoding: the file's encoding. None is the encoding that the file names itself.

    Raises:
        InputError: the file is damaged, or no unit has a text in one of the languages.
    """
    wanted = (source_lang, target_lang)
    # Units of a file have few different lists of tags.
    choices: dict[tuple[str, ...], tuple[str | None, ...]] = {}
    is_found = [False, False]
    header_lang = ""
    number = 0
    for number, unit in enumerate(iter_elements(path, ("tu",), encoding), start=1):
        if number == 1:
            header_lang = _header_language(unit)
        texts = _texts(path, unit, unit.get("srclang") or header_lang)
        tags = tuple(tag for tag, _ in texts)
        if tags not in choices:
            choices[tags] = _chosen(tags, wanted)
            is_found = [
                old or new is not None for old, new in zip(is_found, choices[tags], strict=True)
            ]
        yield _row(unit, texts, choices[tags], wanted)
    if number == 0:
        raise InputError(f"{path}: has no unit (no `tu` element); export the memory again")
    for language, is_there in zip(wanted, is_found, strict=True):
        if not is_there:
            there = sorted({tag for tags in choices for tag in tags})
            named = ", ".join(there[:_MAX_NAMED_LANGUAGES]) or "none"
            more = len(there) - _MAX_NAMED_LANGUAGES
            raise InputError(
                f"{path}: no unit has a text in {language!r}; its languages are {named}"
                f"{f' and {more} more' if more > 0 else ''}; set source_lang and target_lang"
            )


def _chosen(tags: tuple[str, ...], wanted: tuple[str, str]) -> tuple[str | None, ...]:
    """The tag of the source and that of the target. They are not one and the same."""
    source, target = (matching_tag(tags, language) for language in wanted)
    if source is not None and source == target:
        return (source, None) if source == wanted[0] else (None, target)
    return source, target


def _header_language(unit: Element) -> str:
    """The language of the sources that the header names, or nothing."""
    root = unit.getroottree().getroot()
    header = next((child for child in root if local_name(child) == "header"), None)
    return "" if header is None else header.get("srclang") or ""


def _texts(path: Path, unit: Element, source_lang: str) -> list[tuple[str, str]]:
    """The language tags of a unit's texts, and the texts."""
    texts: list[tuple[str, str]] = []
    for variant in unit:
        if local_name(variant) != "tuv":
            continue
        language = variant.get(_XML_LANG) or variant.get("lang") or ("" if texts else source_lang)
        segment = next((child for child in variant if local_name(child) == "seg"), None)
        if segment is None:
            continue
        try:
            texts.append((language, inline_text(segment)))
        except UnknownEntityError as error:
            raise InputError(
                f"{path}: line {line_of(segment)} uses the entity '{error}', which XML does not "
                "define; write its character instead"
            ) from error
    return texts


def _row(
    unit: Element,
    texts: list[tuple[str, str]],
    tags: tuple[str | None, ...],
    wanted: tuple[str, str],
) -> Row:
    values: dict[str, str | None] = {}
    missing, repeated = [], []
    for side, language, tag in zip(("source", "target"), wanted, tags, strict=True):
        found = [text for other, text in texts if other == tag]
        values[side] = found[0] if found else None
        if not found or not found[0].strip():
            missing.append(repr(language))
        elif len(found) > 1:
            repeated.append(f"{len(found)} texts in {tag!r}, of which the first one is used")
    details = [f"no text in {' and '.join(missing)}"] if missing else repeated
    return Row(
        values,
        EMPTY if missing else None,
        "; ".join(details) or None,
        line_of(unit),
        unit=unit.get("tuid"),
    )
