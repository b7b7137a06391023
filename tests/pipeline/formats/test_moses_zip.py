"""Zip archives of aligned texts: which members are read, and which archives are refused."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.formats import moses_zip
from pipeline.formats.rows import Row, format_of

Read = Callable[..., list[Row]]


def archive(path: Path, members: dict[str, str | bytes]) -> Path:
    """Write a zip archive and return its path."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


OPUS = {
    "README": "Corpus: Books",
    "LICENSE": "free",
    "Books.en-es.en": "One.\nTwo.\r\n",
    "Books.en-es.es": "Uno.\nDos.\n",
    "Books.en-es.ids": "1\t1\n2\t2\n",
    "Books.en-es.xml": "<x/>",
}


@pytest.mark.parametrize("name", ["en-es.txt.zip", "a", "a.txt"])
def test_the_files_of_the_two_languages_are_read(
    tmp_path: Path, bilingual: Read, name: str
) -> None:
    path = archive(tmp_path / name, OPUS)
    assert format_of(path) == "moses_zip"
    rows = bilingual(path)
    assert rows == [
        Row({"source": "One.", "target": "Uno."}),
        Row({"source": "Two.", "target": "Dos."}),
    ]
    assert [row.line for row in rows] == [1, 2]
    assert bilingual(path, "es", "en")[0].values == {"source": "Uno.", "target": "One."}


@pytest.mark.parametrize(
    ("names", "source", "target"),
    [
        (("data/train.en_US", "data/train.spa"), "en", "es"),
        (("a.EN", "a.ES"), "en", "es"),
        (("a.en", "a.pt_BR"), "en", "pt-BR"),
        (("a.zh_CN", "a.en"), "zh", "en"),
    ],
)
def test_languages_are_found_by_the_endings(
    tmp_path: Path, bilingual: Read, names: tuple[str, str], source: str, target: str
) -> None:
    path = archive(tmp_path / "a.zip", {names[0]: "a\n", names[1]: "b\n"})
    assert bilingual(path, source, target) == [Row({"source": "a", "target": "b"})]


def test_different_numbers_of_lines_are_refused_with_both(
    tmp_path: Path, bilingual: Read, refusal: Callable[..., str]
) -> None:
    path = archive(tmp_path / "a.zip", OPUS | {"Books.en-es.es": "Uno.\nDos.\nTres.\nCuatro.\n"})
    message = refusal(path, bilingual)
    assert "Books.en-es.en has 2 lines and Books.en-es.es has 4" in message


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({}, "it holds nothing"),
        (
            {"a.csv": "a,b\n", "b.txt": "x"},
            "no pair of files that end in .en and .es; it holds a.csv",
        ),
        ({"a.en": "x\n"}, "no pair"),
        ({"a.en": "x\n", "b.es": "x\n"}, "no pair"),
        ({"a.en": "x", "a.es": "x", "b.en": "x", "b.es": "x"}, "more than one pair"),
        ({f"{n}.txt": "x" for n in range(30)}, "9.txt and 20 more"),
    ],
)
def test_other_archives_are_refused_with_their_members(
    tmp_path: Path,
    bilingual: Read,
    refusal: Callable[..., str],
    members: dict[str, str | bytes],
    reason: str,
) -> None:
    assert reason in refusal(archive(tmp_path / "a.zip", members), bilingual)


def test_a_pair_has_the_problem_of_one_side(tmp_path: Path, bilingual: Read) -> None:
    members = {"a.en": b"caf\xe9\nx\n" + b"x\n" * 20, "a.es": b"x\na\0b\n" + b"x\n" * 20}
    rows = bilingual(archive(tmp_path / "a.zip", members))
    assert [row.problem for row in rows[:3]] == ["undecodable", "undecodable", None]
    assert rows[0].values == {"source": "caf\ufffd", "target": "x"}
    rows = bilingual(tmp_path / "a.zip", encoding="cp1252")
    assert (rows[0].values["source"], rows[0].problem) == ("café", None)


def test_a_compressed_archive_is_refused(
    tmp_path: Path, bilingual: Read, refusal: Callable[..., str]
) -> None:
    path = archive(tmp_path / "a.zip.gz", OPUS)
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert "is a compressed zip archive" in refusal(path, bilingual)


@pytest.mark.parametrize("n_kept", [40, 150, -30])
def test_a_truncated_archive_is_refused(
    tmp_path: Path, bilingual: Read, refusal: Callable[..., str], n_kept: int
) -> None:
    path = archive(tmp_path / "a.zip", OPUS)
    path.write_bytes(path.read_bytes()[:n_kept])
    assert "damaged" in refusal(path, bilingual)


def test_a_damaged_member_is_refused(
    tmp_path: Path, bilingual: Read, refusal: Callable[..., str]
) -> None:
    text = "".join(f"line {n}\n" for n in range(5000))
    path = archive(tmp_path / "a.zip", {"a.en": text, "a.es": text})
    content = bytearray(path.read_bytes())
    content[2000:2020] = bytes(20)
    path.write_bytes(content)
    assert "damaged" in refusal(path, bilingual)


def test_an_encrypted_archive_is_refused(
    tmp_path: Path, bilingual: Read, refusal: Callable[..., str]
) -> None:
    path = archive(tmp_path / "a.zip", OPUS)
    content = bytearray(path.read_bytes())
    position = 0
    while (position := content.find(b"PK\x01\x02", position)) >= 0:
        content[position + 8] |= 1  # the flag in the central directory
        position += 4
    path.write_bytes(content)
    assert "is encrypted" in refusal(path, bilingual)


def test_a_decompression_bomb_is_refused(
    tmp_path: Path,
    bilingual: Read,
    refusal: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(moses_zip, "MIN_BOMB_BYTES", 1_000_000)
    members = {"a.en": b"\0" * 2_000_000, "a.es": b"\0" * 2_000_000}
    assert "bomb" in refusal(archive(tmp_path / "a.zip", members), bilingual)
