"""Names of a corpus's inputs that tell them apart, for reports, messages and PAIRS.

A name has as many folders as it needs: ``train.tsv``, or ``books/train.tsv`` beside
``web/train.tsv``. It does not depend on the folder that holds the whole corpus.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.prepare.corpus import CorpusInput


@dataclasses.dataclass(frozen=True)
class NamedInput:
    """An input and its names, which no other input of the corpus has.

    Args:
        number: position in the corpus description, from 0.
        item: the input.
        name: the names of its files, such as ``train.en+train.es``.
        origin: what the origins of its pairs begin with, such as ``train.en``.
        file_names: the name of each file.
    """

    number: int
    item: CorpusInput
    name: str
    origin: str
    file_names: tuple[str, ...]


def named_inputs(inputs: Sequence[CorpusInput]) -> list[NamedInput]:
    """The inputs with their names, in the same order.

    If two inputs read the same file, their names end in ``#`` and the input's position from 1.
    """
    name_of = _distinct_names(file for item in inputs for file in item.files)
    file_names = [tuple(name_of[file] for file in item.files) for item in inputs]
    n_inputs_of_name = Counter("+".join(names) for names in file_names)
    n_inputs_of_origin = Counter(names[0] for names in file_names)

    def numbered(name: str, n_inputs: Counter[str], number: int) -> str:
        return f"{name}#{number + 1}" if n_inputs[name] > 1 else name

    return [
        NamedInput(
            number=number,
            item=item,
            name=numbered("+".join(names), n_inputs_of_name, number),
            origin=numbered(names[0], n_inputs_of_origin, number),
            file_names=names,
        )
        for number, (item, names) in enumerate(zip(inputs, file_names, strict=True))
    ]


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
