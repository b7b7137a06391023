"""The translation memory's files and index."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.documents import translation_memory
from pipeline.documents.translation_memory import Decoded, TranslationMemory, write_memory


def value(text: str) -> Decoded:
    return Decoded(text, -0.25, 3, len(text), 1, truncated=False)


def test_each_segment_is_found_with_all_its_values(tmp_path: Path) -> None:
    known = {f"segment {i}": value(f"Stück {i}") for i in range(1000)}
    items = list(known.items())
    for number in range(10):
        write_memory(tmp_path / f"part-{number}.parquet", dict(items[number::10]))
    found = TranslationMemory([tmp_path], tmp_path / "own").find([*known, "unknown", ""])
    assert {name: one.text for name, one in found.items()} == {
        name: one.text for name, one in known.items()
    }
    assert found["segment 7"] == Decoded("Stück 7", -0.25, 3, 7, 1, False, recalled=True)


def test_of_equal_segments_the_oldest_counts(tmp_path: Path) -> None:
    for name, text in (("b", "old"), ("a", "new")):
        write_memory(tmp_path / name / "part-1.parquet", {"x": value(text)})
    found = TranslationMemory([tmp_path / "b", tmp_path / "a"], tmp_path / "own").find(["x"])
    assert found["x"].text == "old"


def test_nothing_is_written_for_nothing(tmp_path: Path) -> None:
    write_memory(tmp_path / "part-1.parquet", {})
    assert list(tmp_path.iterdir()) == []
    assert TranslationMemory([tmp_path, tmp_path / "gone"], tmp_path / "own").find(["x"]) == {}


def test_tables_are_kept_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        known = {f"{number} {i}": value(f"{i}" * 10) for i in range(100)}
        write_memory(tmp_path / f"part-{number}.parquet", known)
    monkeypatch.setattr(translation_memory, "_MAX_CACHE_BYTES", 20_000)
    segments = TranslationMemory([tmp_path], tmp_path / "own")
    tables = segments._published
    for _ in range(2):
        for number in range(6):
            assert segments.find([f"{number} 5"])[f"{number} 5"].text == "5" * 10
            assert tables._n_cached_bytes <= 20_000
    assert tables._n_cached_bytes == sum(t.nbytes for t in tables._tables.values()) > 0


def test_of_its_own_run_the_newest_segments_are_remembered_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translation_memory, "_MAX_RECENT_BYTES", 20_000)
    monkeypatch.setattr(translation_memory, "_FILES_PER_BLOCK", 2)
    segments = TranslationMemory([], tmp_path)
    known: dict[str, Decoded] = {}
    for number in range(12):
        new = {f"{number} {i}": value(f"{number} {i}" * 3) for i in range(100)}
        write_memory(tmp_path / f"part-{number:02}.parquet", new)
        known |= new
        found = segments.find([*known, "unknown"])
        assert all(found[model_input] == known[model_input] for model_input in found)
        assert found.keys() >= new.keys()
        assert sum(table.nbytes for _, table in segments._recent._blocks) <= 20_000
    assert 200 <= len(found) < 1200
    forgotten_first = [model_input for model_input in known if model_input not in found]
    assert forgotten_first == list(known)[: len(forgotten_first)]


def test_a_collision_of_the_short_key_is_no_hit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        translation_memory, "segment_hash", lambda text: b"8 equal." + text.encode().ljust(8)
    )
    write_memory(tmp_path / "part-1.parquet", {"x": value("of x")})
    found = TranslationMemory([tmp_path], tmp_path / "own").find(["y"])
    assert found == {}


def test_a_file_that_another_process_wrote_again_gives_no_wrong_hit(tmp_path: Path) -> None:
    """On S3 two processes may work on one run; both write what is true."""
    path = tmp_path / "own" / "part-1.parquet"
    known = {"a": value("of a"), "b": value("of b"), "c": value("of c")}
    write_memory(path, known)
    segments = TranslationMemory([], tmp_path / "own")
    assert segments.find(known) == known
    write_memory(path, {"b": value("of b"), "c": value("of c")})
    assert segments.find(known) == known
