"""Cleaning: a pair at a limit is kept, a pair beyond it is rejected, and no row gets lost."""

from __future__ import annotations

import json
import random
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from lingo_model import InputError
from pipeline.dataset.splits import SPLITS, Split
from pipeline.prepare.batches import chunks_of
from pipeline.prepare.cleaning import CleaningTask, clean_chunk
from pipeline.prepare.config import CleanConfig, LanguageConfig, PrepareConfig, SplitConfig
from pipeline.prepare.corpus import CorpusInput
from pipeline.prepare.input_names import named_inputs
from pipeline.prepare.job import Job
from pipeline.prepare.spill import read_partition, read_rows
from pipeline.prepare.splitting import SplitRule
from pipeline.schemas import REJECTED

# Rules about anything else than lengths are off, so that texts can be made of any character.
LENGTHS = CleanConfig(
    max_characters=40,
    max_length_ratio=2.5,
    ratio_min_characters=10,
    max_word_characters=None,
    max_copied_words=None,
    min_letter_share=None,
    max_repeated_characters=None,
    max_repeated_words=None,
    max_unexpected_script_share=None,
    match_numbers=False,
    match_urls=False,
    match_emails=False,
    match_placeholders=False,
    match_tags=False,
    language=LanguageConfig(enabled=False),
)

Pair = tuple[str | None, str | None]


class Cleaned:
    """What :func:`clean_chunk` made of the rows of one file.

    Args:
        path: the file.
        config: the cleaning rules.
        split: the split that is given for the file.
        n_partitions: the number of partitions.
    """

    def __init__(
        self,
        path: Path,
        config: CleanConfig = LENGTHS,
        split: Split | None = "train",
        n_partitions: int = 3,
    ) -> None:
        (named,) = named_inputs([CorpusInput(path=(path,), split=split)])
        job = Job(
            dataset=path.parent / "dataset",
            work=path.parent / "work",
            source_lang="en",
            target_lang="es",
            parts=((named, named.parts[0]),),
            config=PrepareConfig(clean=config),
            extra=REJECTED.empty_table().select([]).schema,
            n_partitions=n_partitions,
            split_rule=SplitRule.of([named.item], SplitConfig(), 0),
        )
        (chunk,) = chunks_of(named, named.parts[0], 0)
        self.result = clean_chunk(CleaningTask(job, 0, chunk))
        files = [job.work / name for name in self.result["spills"]]
        self.kept: dict[int, dict[str, Any]] = {
            row["number"]: row
            for partition in range(n_partitions + 1)
            for row in read_partition(files, partition, job.kept_schema).to_pylist()
        }
        self.rejected: dict[int, dict[str, Any]] = {
            row["number"]: row
            for name in self.result["rejected"]
            for row in read_rows(job.work / name).to_pylist()
        }
        assert not self.kept.keys() & self.rejected.keys()
        assert len(self.kept) + len(self.rejected) == self.result["n_read"]

    @property
    def reasons(self) -> list[str | None]:
        """The reason of each row, or None for a kept row."""
        numbers = range(1, self.result["n_read"] + 1)
        return [self.rejected[n]["reason"] if n in self.rejected else None for n in numbers]


def write_pairs(folder: Path, pairs: list[Pair]) -> Path:
    """Write pairs as JSON. A missing side is null."""
    path = folder / "x.jsonl"
    lines = (json.dumps({"source": source, "target": target}) for source, target in pairs)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def check_reasons(
    folder: Path, expected: list[tuple[str | None, str | None, str | None]], **changed: Any
) -> None:
    """Check the reason of each pair, which must be the same if the sides are exchanged."""
    config = LENGTHS.model_copy(update=changed)
    wanted = [reason for _, _, reason in expected]
    for pairs in ([(a, b) for a, b, _ in expected], [(b, a) for a, b, _ in expected]):
        cleaned = Cleaned(write_pairs(folder, pairs), config)
        assert list(zip(pairs, cleaned.reasons, strict=True)) == list(
            zip(pairs, wanted, strict=True)
        )
        assert sum(cleaned.result["n_rejected"].values()) == len(cleaned.rejected)


def words(n_characters: int, letters: str) -> str:
    """Words of some letters, of that many characters together."""
    draw = random.Random(n_characters)
    text = " ".join("".join(draw.sample(letters, 5)) for _ in range(n_characters // 6 + 1))
    return text[: n_characters - 1] + letters[0]


def test_a_good_pair_is_kept(tmp_path: Path) -> None:
    check_reasons(tmp_path, [("good morning", "buenos días", None), (".", "a", None)])


def test_a_problem_in_reading_comes_first(tmp_path: Path) -> None:
    lines = [
        *(f'{{"source": "{text}", "target": "bueno"}}'.encode() for text in ("good", "a" * 99)),
        b'{"source": "caf\xe9", "target": "bueno"}',
        b'{"source": "caf\xe9", "target": ""}',
        b'{"source": "' + b"a" * 99 + b'\xe9", "target": "b"}',
        b'{"source": 5, "target": "bueno"}',
        b'{"source": 5, "target": ""}',
        b'{"source": 5, "target": "' + b"a" * 99 + b'"}',
        b'{"source": "one',
    ]
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    cleaned = Cleaned(path)
    assert cleaned.reasons == [None, "too_long", *["undecodable"] * 3, *["malformed"] * 4]
    assert cleaned.result["n_problems"] == 7
    assert cleaned.rejected[3]["source"] == "caf\ufffd"
    assert cleaned.rejected[6]["source"] is None


def test_a_nul_makes_a_row_undecodable(tmp_path: Path) -> None:
    cleaned = Cleaned(write_pairs(tmp_path, [("a\0b", "c"), ("a", "\0"), ("a", "b")]))
    assert cleaned.reasons == ["undecodable", "undecodable", None]
    assert cleaned.rejected[1]["source"] == "a\ufffdb"
    assert cleaned.rejected[1]["detail"] == "a NUL character"


NOTHING = [
    *(None, "", " ", "\t\r\n", "\u00a0\u2028\u3000"),
    *("\u200b", "\ufeff", "\u200e \u200f", "\u200c\u200d", "\u00ad", "\u2060", "\ufe0f"),
    *("\x07\x1b", "\ufffd", "\ufffd\u200b\ufffd", "\uffff", "\u0378", "\u2066\u2069"),
    "\u2581 \u2581",
]


@pytest.mark.parametrize("repair_invisible", [False, True])
def test_an_empty_side(tmp_path: Path, repair_invisible: bool) -> None:
    others = ("algo", "a" * 99)
    check_reasons(
        tmp_path,
        [
            (nothing, other, "empty")
            for nothing in NOTHING
            # A row that has no text on either side breaks the format.
            for other in ((*others, nothing) if nothing is not None else others)
        ],
        repair_invisible=repair_invisible,
    )


def test_too_long(tmp_path: Path) -> None:
    check_reasons(
        tmp_path,
        [
            ("a" * 40, "b" * 40, None),
            ("a" * 41, "b" * 40, "too_long"),
            ("a" * 41, "b", "too_long"),  # before ratio
        ],
    )


def test_lengths_are_in_characters(tmp_path: Path) -> None:
    check_reasons(
        tmp_path,
        [
            ("año" * 13, "😀" * 40, None),  # 40 characters of 4 bytes
            ("año" * 13, "😀" * 41, "too_long"),
        ],
    )


def test_surrounding_space_does_not_count(tmp_path: Path) -> None:
    cleaned = Cleaned(write_pairs(tmp_path, [("  " + "a" * 40 + "\r\n", "b" * 40)]))
    assert cleaned.kept[1]["source"] == "a" * 40


def test_ratio(tmp_path: Path) -> None:
    check_reasons(
        tmp_path,
        [
            ("a" * 8, "b" * 20, None),  # 20 = 2.5 * 8
            ("a" * 8, "b" * 21, "ratio"),
            ("a" * 4, "b" * 10, None),
            ("a" * 4, "b" * 11, "ratio"),
        ],
    )


def test_the_ratio_of_short_texts_does_not_count(tmp_path: Path) -> None:
    # Both sides of the first pair are shorter than 10 characters.
    check_reasons(tmp_path, [("a", "b" * 9, None), ("a", "b" * 10, "ratio")])


def test_the_defaults(tmp_path: Path) -> None:
    lengths = [(1000, 1000), (1001, 1000), (20, 100), (20, 101), (4, 19), (3, 20)]
    pairs: list[Pair] = [(words(a, "abcdefg"), words(b, "ilmnoprst")) for a, b in lengths]
    config = CleanConfig(language=LanguageConfig(enabled=False))
    cleaned = Cleaned(write_pairs(tmp_path, pairs), config)
    assert cleaned.reasons == [None, "too_long", None, "ratio", None, "ratio"]


@pytest.mark.parametrize(
    "values", [{"max_characters": 0}, {"max_length_ratio": 0.9}, {"ratio_min_characters": -1}]
)
def test_limits_that_nothing_could_meet_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        CleanConfig.model_validate(values)


ODD: list[Pair] = [("", "x"), ("a" * 99, "b"), ("a", "b" * 39), ("good", None), ("\u200b", "?")]


@pytest.mark.parametrize("split", ["valid", "test"])
def test_a_given_file_is_kept_whole(tmp_path: Path, split: Split) -> None:
    path = write_pairs(tmp_path, ODD)
    assert None not in Cleaned(path).reasons
    cleaned = Cleaned(path, split=split)
    assert cleaned.reasons == [None] * len(ODD)
    assert {SPLITS[row["split"]] for row in cleaned.kept.values()} == {split}


@pytest.mark.parametrize("split", ["valid", "test"])
@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"source": "caf\xe9", "target": "b"}', "undecodable"),
        (b'{"source": "a\\u0000", "target": "b"}', "undecodable"),
        (b'{"source": 5, "target": "b"}', "malformed"),
    ],
)
def test_a_row_of_a_given_file_that_cannot_be_read_is_an_error(
    tmp_path: Path, line: bytes, problem: str, split: Split
) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"source": "good", "target": "bueno"}\n' + line + b"\n")
    expected = rf"^x\.jsonl:2 \(line 2 of the file\): the row is {problem} .*given {split} file"
    with pytest.raises(InputError, match=expected):
        Cleaned(path, split=split)


def test_the_error_says_where_the_row_is_and_why_it_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('source,target\n"a\n\nb",c\nd,e\nalone\n')
    with pytest.raises(InputError) as error:
        Cleaned(path, split="test")
    assert str(error.value) == (
        "x.csv:3 (line 6 of the file): the row is malformed (1 cell, the header has 2), and a "
        "given test file is used whole; mend the row, or take the row out of the file"
    )


@pytest.mark.parametrize("text", ["café", "Ελλάδα", "한국어", "ñandú Ångström"])
def test_both_normal_forms_become_the_same_pair(tmp_path: Path, text: str) -> None:
    decomposed = unicodedata.normalize("NFD", text)
    assert decomposed != text
    cleaned = Cleaned(write_pairs(tmp_path, [(f" {decomposed} ", decomposed), (text, text)]))
    first, second = cleaned.kept[1], cleaned.kept[2]
    assert (first["source"], first["target"]) == (text, text)
    assert first["duplicate_key"] == second["duplicate_key"]
    assert first["source_hash"] == second["source_hash"]


def test_repairs_are_counted_and_rejected_rows_keep_their_text(tmp_path: Path) -> None:
    pairs: list[Pair] = [("two  spaces", "dos espacios"), ("a \t b", "x" * 30), ("one", "uno")]
    cleaned = Cleaned(write_pairs(tmp_path, pairs))
    assert cleaned.kept[1]["source"] == "two spaces"
    assert cleaned.rejected[2]["source"] == "a \t b"
    assert sum(cleaned.result["n_repaired"].values()) == 2


def test_training_rows_with_one_source_are_in_one_partition(tmp_path: Path) -> None:
    """Held-out rows are in a partition of their own."""
    variants = ["Good, day", "good day", "GOODDAY!", "good\u00adday"]
    others: list[Pair] = [(f"sentence {n}", f"frase {n}") for n in range(200)]
    path = write_pairs(tmp_path, [*((text, "buen día") for text in variants), *others])
    cleaned = Cleaned(path, n_partitions=5)
    hashes = [cleaned.kept[n]["source_hash"] for n in range(1, len(variants) + 1)]
    assert len(set(hashes)) == 1
    assert len({row["source_hash"] % 5 for row in cleaned.kept.values()}) == 5
    assert {row["split"] for row in cleaned.kept.values()} == {SPLITS.index("train")}
