"""Reads XLIFF 1.2, 2.0 and 2.1: the texts of documents with their translations and their states."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from lingo_model import InputError
from pipeline.formats.inline_text import UnknownEntityError, inline_text
from pipeline.formats.language_tags import is_same_language
from pipeline.formats.rows import EMPTY, NOT_TRANSLATABLE, UNFINISHED, UNTRANSLATED, Row
from pipeline.formats.safe_xml import Element, iter_elements, line_of, local_name

UNSTATED = "unstated"
"""Stands for the state of a target that has none."""

APPROVED = "approved"
"""Stands for ``approved="yes"`` of XLIFF 1.2, whatever the target's state."""

UNAPPROVED = "unapproved"
"""Stands for ``approved="no"`` of XLIFF 1.2 and a target without a state."""

DEFAULT_STATES = ("translated", "reviewed", "signed-off", "final", APPROVED, UNSTATED)
"""The states that are used by default."""

KNOWN_STATES = (
    *DEFAULT_STATES,
    UNAPPROVED,
    "initial",
    "new",
    "needs-adaptation",
    "needs-l10n",
    "needs-review-adaptation",
    "needs-review-l10n",
    "needs-review-translation",
    "needs-translation",
)
"""The states of XLIFF 1.2 and 2. Tools add states that begin with ``x-``."""

_CATALOGUE_HEADER = "x-gettext-domain-header"


def xliff_rows(
    path: Path,
    source_lang: str,
    target_lang: str,
    states: Collection[str] = DEFAULT_STATES,
    encoding: str | None = None,
) -> Iterator[Row]:
    """One row for each unit (``trans-unit``) of XLIFF 1.2, or segment (``segment``) of XLIFF 2.

    Args:
        path: the file.
        source_lang: language tag of the sources.
        target_lang: language tag of the targets.
        states: the states of the targets that are used.
        encoding: the file's encoding. None is the encoding that the file names itself.

    Raises:
        InputError: the file is damaged, or its languages are others.
    """
    n_rows = 0
    checked: Element = None  # the element with the languages that were checked last
    for unit in iter_elements(path, ("trans-unit", "unit"), encoding):
        if local_name(unit) == "trans-unit":
            owner = _ancestor(unit, "file")
            names, parts = ("source-language", "target-language"), [unit]
        else:
            owner = _ancestor(unit, "xliff")
            names = ("srcLang", "trgLang")
            parts = [child for child in unit if local_name(child) == "segment"]
        if owner is not None and owner is not checked:
            _check_languages(path, owner, names, (source_lang, target_lang))
            checked = owner
        for number, part in enumerate(parts, start=1):
            n_rows += 1
            yield _row(path, unit, part, number if len(parts) > 1 else None, states)
    if n_rows == 0:
        raise InputError(f"{path}: has no unit (`trans-unit`, or `segment`); export it again")


def _ancestor(element: Element, name: str) -> Element:
    return next((e for e in element.iterancestors() if local_name(e) == name), None)


def _check_languages(
    path: Path, owner: Element, names: tuple[str, str], wanted: tuple[str, str]
) -> None:
    """Check that the languages of a file element are those of the corpus.

    Raises:
        InputError: one of them is another language.
    """
    keys = ("source_lang", "target_lang")
    for name, key, language in zip(names, keys, wanted, strict=True):
        tag = owner.get(name)
        if tag and not is_same_language(tag, language):
            raise InputError(
                f"{path}: line {line_of(owner)} has {name} {tag!r}, and {key} of the corpus is "
                f"{language!r}; set {key}, or leave the file out"
            )


def _row(
    path: Path, unit: Element, part: Element, number: int | None, states: Collection[str]
) -> Row:
    """The row of a unit of XLIFF 1.2, or of a segment of XLIFF 2."""
    source_element, target_element = _child(part, "source"), _child(part, "target")
    source, target = _text(path, source_element), _text(path, target_element)
    problem = detail = None
    if unit.get("translate") == "no":
        problem, detail = NOT_TRANSLATABLE, "its translate is no"
    elif unit.get("restype") == _CATALOGUE_HEADER:
        problem, detail = NOT_TRANSLATABLE, "it is the header of a gettext catalogue"
    elif not source or not source.strip():
        problem, detail = EMPTY, "no source"
    elif not target or not target.strip():
        problem, detail = UNTRANSLATED, "no target"
    else:
        its_states = _states(unit, part, target_element)
        if not any(state in states for state in its_states):
            problem, detail = UNFINISHED, f"its state is {' and '.join(its_states)}"
    return Row(
        {"source": source, "target": target},
        problem,
        detail,
        line_of(part),
        unit=_unit_name(unit, part, number),
    )


def _child(element: Element, name: str) -> Element:
    return next((child for child in element if local_name(child) == name), None)


def _text(path: Path, element: Element) -> str | None:
    if element is None:
        return None
    try:
        return inline_text(element)
    except UnknownEntityError as error:
        raise InputError(
            f"{path}: line {line_of(element)} uses the entity '{error}', which XML does not "
            "define; write its character instead"
        ) from error


def _states(unit: Element, part: Element, target: Element) -> list[str]:
    """The states of a target. One of them must be a state that is used."""
    if part is not unit:  # XLIFF 2
        return [part.get("state") or UNSTATED]
    approved = unit.get("approved")
    states = [target.get("state") or (UNAPPROVED if approved == "no" else UNSTATED)]
    if approved == "yes":
        states = [APPROVED, *(state for state in states if state != UNSTATED)]
    return states


def _unit_name(unit: Element, part: Element, number: int | None) -> str:
    """The names of the file, the unit and the segment, such as ``messages.json/greeting/s1``."""
    file = _ancestor(unit, "file")
    names = [] if file is None else [file.get("original") or file.get("id")]
    names.append(unit.get("id") or unit.get("resname"))
    if part is not unit:
        names.append(part.get("id") or (number and str(number)))
    return "/".join(name for name in names if name)
