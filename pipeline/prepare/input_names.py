"""Names of a corpus's inputs that tell them apart, for reports, messages and PAIRS.

The name of a file has as many folders as it needs: ``train.tsv``, or ``books/train.tsv`` beside
``web/train.tsv``. It does not depend on the folder that holds the whole corpus.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.prepare.corpus import CorpusInput
from pipeline.prepare.input_files import InputPart


@dataclasses.dataclass(frozen=True)
class NamedPart:
    """A part of an input and its names.

    Args:
        part: the table, or the two aligned files.
        name: the names of its files, such as ``train.en+train.es``.
        origin: what the origins of its pairs begin with, such as ``train.en``. No other part of the
            corpus has it.
        file_names: the name of each file.
    """

    part: InputPart
    name: str
    origin: str
    file_names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class NamedInput:
    """An input and its name, which no other input of the corpus has.

    Args:
        number: position in the corpus description, from 0.
        item: the input.
        name: the name that the description gives, or else the names of the files, such as
            ``train.en+train.es``, or ``a.tsv and 2 more``.
        parts: its parts, in the order of reading.
    """

    number: int
    item: CorpusInput
    name: str
    parts: tuple[NamedPart, ...]


def named_inputs(inputs: Sequence[CorpusInput]) -> list[NamedInput]:
    """The inputs with their names, in the same order.

    If two inputs have the same name, or read the same file, their names end in ``#`` and the
    input's position from 1.
    """
    name_of = _distinct_names(file for item in inputs for file in item.files)
    names = [_input_name(item, name_of) for item in inputs]
    n_inputs_of_name = Counter(names)
    n_parts_of_origin = Counter(name_of[part.files[0]] for item in inputs for part in item.parts)

    def numbered(name: str, n_uses: Counter[str], number: int) -> str:
        return f"{name}#{number + 1}" if n_uses[name] > 1 else name

    def named_part(part: InputPart, number: int) -> NamedPart:
        file_names = tuple(name_of[file] for file in part.files)
        origin = numbered(file_names[0], n_parts_of_origin, number)
        return NamedPart(part, "+".join(file_names), origin, file_names)

    return [
        NamedInput(
            number=number,
            item=item,
            name=numbered(name, n_inputs_of_name, number),
            parts=tuple(named_part(part, number) for part in item.parts),
        )
        for number, (item, name) in enumerate(zip(inputs, names, strict=True))
    ]


def _input_name(item: CorpusInput, name_of: dict[Path, str]) -> str:
    """The name of an input, which another input may have, too."""
    if item.given_name is not None:
        return item.given_name
    first, *others = item.parts
    names = "+".join(name_of[file] for file in first.files)
    return f"{names} and {len(others)} more" if others else names


def _distinct_names(files: Iterable[Path]) -> dict[Path, str]:
    """The shortest end of each path that is the end of no other path."""
    parts_of = {file: file.absolute().parts for file in files}
    distinct_paths = set(parts_of.values())
    n_paths_with_end: Counter[tuple[str, ...]] = Counter(
        parts[-length:] for parts in distinct_paths for length in range(1, len(parts) + 1)
    )

    def name(parts: tuple[str, ...]) -> str:
        lengths = range(1, len(parts) + 1)
        length = next((n for n in lengths if n_paths_with_end[parts[-n:]] == 1), len(parts))
        return Path(*parts[-length:]).as_posix()

    return {file: name(parts) for file, parts in parts_of.items()}
