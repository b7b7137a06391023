"""Shows how the inputs of a corpus are read, with their first rows.

Reads: the beginning of the files of each input.
Writes: nothing.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lingo_model import InputError
from pipeline.prepare.corpus import (
    CorpusDescription,
    CorpusInput,
)
from pipeline.prepare.input_checks import check_inputs, extra_schema
from pipeline.prepare.input_layout import InputLayout, layout_of
from pipeline.prepare.input_names import NamedInput, named_inputs
from pipeline.prepare.pairs import RawPair, iter_pairs

N_CHECKED_PARTS = 20
"""How many files of an input, or pairs of files, a preview reads."""

_MAX_TEXT_CHARACTERS = 200
_MAX_COLUMNS = 20
_LABEL_WIDTH = 9
_UNITS = ("bytes", "kB", "MB", "GB", "TB")


@dataclasses.dataclass(frozen=True)
class InputPreview:
    """How an input is read.

    Args:
        name: the name of the input in reports.
        files: its files.
        n_bytes: the size of all files together, as they are stored.
        settings: the settings that its description gives, apart from the files.
        layout: how its first file is read. None if it cannot be read.
        pairs: its first pairs.
        error: why it cannot be read, or not to the last of the pairs.
    """

    name: str
    files: tuple[Path, ...]
    n_bytes: int
    settings: dict[str, Any]
    layout: InputLayout | None
    pairs: tuple[RawPair, ...]
    error: str | None


def preview_corpus(description: CorpusDescription, n_rows: int) -> Iterator[InputPreview]:
    """Read the first rows of each input.

    Args:
        description: the corpus.
        n_rows: the number of rows of each input.
    """
    for named in named_inputs(description.inputs):
        yield _preview_of(description, named, n_rows)


def _preview_of(description: CorpusDescription, named: NamedInput, n_rows: int) -> InputPreview:
    layout = error = None
    pairs: list[RawPair] = []
    try:
        check_inputs(_beginning(description, named.item))
    except InputError as problem:
        error = str(problem)
    try:
        layout = layout_of(named.item)
        if error is None:
            for pair in itertools.islice(_pairs(named), n_rows):
                pairs.append(pair)  # one by one, so that those before an error are shown
    except InputError as problem:
        error = error or str(problem)
    return InputPreview(
        name=named.name,
        files=tuple(named.item.files),
        n_bytes=sum(map(description.n_bytes_of, named.item.files)),
        settings=named.item.model_dump(
            mode="json", exclude={"source", "target", "path", "name"}, exclude_unset=True
        ),
        layout=layout,
        pairs=tuple(pairs),
        error=error,
    )


def _beginning(description: CorpusDescription, *items: CorpusInput) -> CorpusDescription:
    """A corpus with the first files of some inputs."""
    first = tuple(item.first_parts(N_CHECKED_PARTS) for item in items)
    return description.model_copy(update={"inputs": first})


def check_together(description: CorpusDescription) -> None:
    """Check what the first files of all inputs have in common.

    Raises:
        InputError: a column has types that do not go together, or a name that the dataset uses.
    """
    beginning = _beginning(description, *description.inputs)
    extra_schema(beginning, check_inputs(beginning))


def _pairs(named: NamedInput) -> Iterator[RawPair]:
    for part in named.parts[:N_CHECKED_PARTS]:
        yield from iter_pairs(named.item, part.part, origin=part.origin)


def as_json(preview: InputPreview) -> dict[str, Any]:
    """A preview as values of JSON."""
    return dataclasses.asdict(preview) | {"files": [str(file) for file in preview.files]}


def as_lines(preview: InputPreview) -> Iterator[str]:
    """A preview as lines for people."""
    yield f"input: {preview.name}"
    for label, value in _facts(preview):
        yield f"  {label:{_LABEL_WIDTH}} {value}"
    for pair in preview.pairs:
        problem = f"    {pair.problem}" if pair.problem else ""
        detail = f": {pair.detail}" if pair.detail else ""
        unit = f"    unit {shown(pair.unit)}" if pair.unit else ""
        line = f" (line {pair.line})" if pair.problem and pair.line is not None else ""
        yield f"  {pair.origin}{line}{unit}{problem}{detail}"
        yield f"    source {shown(pair.source)}"
        yield f"    target {shown(pair.target)}"
        if pair.text is not None:
            yield f"    text   {shown(pair.text)}"
        if pair.extra:
            yield f"    other  {shown(', '.join(f'{k}={v}' for k, v in pair.extra.items()))}"
    if not preview.pairs and preview.error is None:
        yield "  no rows"
    if preview.error is not None:
        yield f"  error: {preview.error}"


def _facts(preview: InputPreview) -> Iterator[tuple[str, str]]:
    """What is known about an input, with a label for each fact."""
    first, *others = preview.files
    more = f" and {len(others)} more" if others else ""
    yield "files", f"{first}{more}, {_size(preview.n_bytes)}"
    layout = preview.layout
    if layout is not None:
        yield "format", ", ".join(_format_words(layout))
        if layout.columns:
            yield "columns", _listed(layout.columns)
        if layout.source is not None and layout.target is not None:
            found = " (found by its name)" if layout.are_found else ""
            yield "source", f"column {layout.source}{found}"
            yield "target", f"column {layout.target}{found}"
        if layout.kept:
            yield (
                "kept",
                _listed(
                    [old if old == new else f"{old} as {new}" for old, new in layout.kept.items()]
                ),
            )
        if layout.left_out:
            yield "left out", _listed(layout.left_out)
    if preview.settings:
        yield "settings", ", ".join(f"{key}: {value}" for key, value in preview.settings.items())


def _format_words(layout: InputLayout) -> Iterator[str]:
    yield layout.format
    if layout.compression is not None:
        yield layout.compression
    if layout.encoding is not None:
        yield layout.encoding
    if layout.delimiter is not None:
        yield f"delimiter {layout.delimiter!r}"
    if layout.quoting is not None:
        yield layout.quoting


def _listed(names: Any) -> str:
    names = list(names)
    more = f" and {len(names) - _MAX_COLUMNS} more" if len(names) > _MAX_COLUMNS else ""
    return ", ".join(names[:_MAX_COLUMNS]) + more


def _size(n_bytes: int) -> str:
    size, unit = float(n_bytes), 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.0f} {_UNITS[unit]}" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"


def shown(text: str | None) -> str:
    """The beginning of a text on one line, with what is not printable as escapes."""
    if text is None:
        return "(none)"
    if not text:
        return "(empty)"
    cut = text[:_MAX_TEXT_CHARACTERS]
    escaped = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)
    n_more = len(text) - len(cut)
    return f"{escaped}... ({n_more:,} more characters)" if n_more else escaped
