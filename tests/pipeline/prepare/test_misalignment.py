"""The place where aligned files with unequal numbers of lines stop fitting."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lingo_model import InputError
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.formats.options import DEFAULT_OPTIONS, ReadOptions
from pipeline.prepare.corpus import CorpusInput
from pipeline.prepare.misalignment import unequal_lengths
from pipeline.prepare.pairs import iter_pairs

N_PAIRS = 1000


def write_without(folder: Path, side: str, first: int, n_lines: int) -> tuple[Path, Path]:
    """Write aligned files of which one lacks some lines, from ``first`` (counted from 1) on."""
    pairs = list(generate_pairs(N_PAIRS, seed=5, split="train"))
    lines = {"en": [p.source for p in pairs], "es": [p.target for p in pairs]}
    del lines[side][first - 1 : first - 1 + n_lines]
    for name, texts in lines.items():
        (folder / f"a.{name}").write_text("".join(f"{text}\n" for text in texts))
    return folder / "a.en", folder / "a.es"


@pytest.mark.parametrize("side", ["en", "es"])
@pytest.mark.parametrize(("first", "n_lines"), [(1, 1), (300, 1), (640, 4), (985, 2)])
def test_the_line_is_named_where_the_lengths_stop_fitting(
    tmp_path: Path, side: str, first: int, n_lines: int
) -> None:
    source, target = write_without(tmp_path, side, first, n_lines)
    text = unequal_lengths(source, target, DEFAULT_OPTIONS)
    numbers = {"en": N_PAIRS, "es": N_PAIRS} | {side: N_PAIRS - n_lines}
    assert text.startswith(f"{source} has {numbers['en']} lines and {target} has {numbers['es']}: ")
    found = re.search(
        r"stop fitting from about line (\d+) on, where (.*) missing in (\S+) or", text
    )
    assert found is not None
    assert abs(int(found[1]) - first) <= 20
    assert found[2] == ("a line is" if n_lines == 1 else f"{n_lines} lines are")
    assert found[3] == str(tmp_path / f"a.{side}")


@pytest.mark.parametrize("side", ["en", "es"])
def test_a_file_that_ends_too_early_is_named(tmp_path: Path, side: str) -> None:
    source, target = write_without(tmp_path, side, 901, 100)
    text = unequal_lengths(source, target, DEFAULT_OPTIONS)
    assert f"the lines fit up to the end of {tmp_path / f'a.{side}'}, so copy that file" in text
    assert text.endswith("to 900 lines")


@pytest.mark.parametrize("n_lines", [1, 30, 3000])
def test_no_place_is_named_if_the_lengths_do_not_tell(tmp_path: Path, n_lines: int) -> None:
    (tmp_path / "a.en").write_text("word\n" * n_lines)
    (tmp_path / "a.es").write_text("palabra\n" * (n_lines - 1))
    text = unequal_lengths(tmp_path / "a.en", tmp_path / "a.es", DEFAULT_OPTIONS)
    assert text.endswith("equally many; find the line that is missing or doubled")


def test_numbers_tell_the_place_if_all_lines_have_one_length(tmp_path: Path) -> None:
    numbers = ["12" if n % 3 == 0 or n % 7 == 0 else "ab" for n in range(400)]
    source, target = tmp_path / "a.en", tmp_path / "a.es"
    source.write_text("".join(f"{text}\n" for text in numbers))
    target.write_text("".join(f"{text}\n" for n, text in enumerate(numbers) if n != 200))
    found = re.search(r"about line (\d+) on", unequal_lengths(source, target, DEFAULT_OPTIONS))
    assert found is not None
    assert abs(int(found[1]) - 201) <= 20


def test_files_in_another_encoding_are_compared_too(tmp_path: Path) -> None:
    source, target = write_without(tmp_path, "es", 500, 1)
    for file in (source, target):
        file.write_bytes(file.read_text().encode("utf-16-le"))
    options = ReadOptions(encoding="utf-16-le")
    assert "from about line " in unequal_lengths(source, target, options)
    item = CorpusInput(source=source, target=target, encoding="utf-16-le")
    with pytest.raises(InputError, match=r"has 1000 lines and .* has 999: .* from about line "):
        list(iter_pairs(item, item.parts[0]))
