"""The translation memory finds segments in its files, within bounded memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.documents import translation_memory
from pipeline.documents.translation_memory import Decoded, TranslationMemory, write_memory


def decoded(text: str) -> Decoded:
    """A segment with this translation."""
    return Decoded(text, -0.25, 3, len(text), 1, truncated=False)


def test_each_segment_is_results_with_all_its_values(tmp_path: Path) -> None:
    known = {f"segment {i}": decoded(f"Stück {i}") for i in range(1000)}
    items = list(known.items())
    for number in range(10):
        write_memory(tmp_path / f"part-{number}.parquet", dict(items[number::10]))
    results = TranslationMemory([tmp_path], tmp_path / "own").find([*known, "unknown", ""])
    assert {source: segment.text for source, segment in results.items()} == {
        source: segment.text for source, segment in known.items()
    }
    assert results["segment 7"] == Decoded("Stück 7", -0.25, 3, 7, 1, False, recalled=True)


def test_the_oldest_translation_of_a_segment_is_used(tmp_path: Path) -> None:
    for name, text in (("b", "old"), ("a", "new")):
        write_memory(tmp_path / name / "part-1.parquet", {"x": decoded(text)})
    results = TranslationMemory([tmp_path / "b", tmp_path / "a"], tmp_path / "own").find(["x"])
    assert results["x"].text == "old"


def test_no_file_is_written_without_segments(tmp_path: Path) -> None:
    write_memory(tmp_path / "part-1.parquet", {})
    assert list(tmp_path.iterdir()) == []
    assert TranslationMemory([tmp_path, tmp_path / "gone"], tmp_path / "own").find(["x"]) == {}


def test_the_cache_of_tables_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):
        known = {f"{number} {i}": decoded(f"{i}" * 10) for i in range(100)}
        write_memory(tmp_path / f"part-{number}.parquet", known)
    monkeypatch.setattr(translation_memory, "_MAX_CACHE_BYTES", 20_000)
    segments = TranslationMemory([tmp_path], tmp_path / "own")
    tables = segments._published
    for _ in range(2):
        for number in range(6):
            assert segments.find([f"{number} 5"])[f"{number} 5"].text == "5" * 10
            assert tables._n_cached_bytes <= 20_000
    assert tables._n_cached_bytes == sum(t.nbytes for t in tables._tables.values()) > 0


def test_the_newest_segments_of_the_own_run_are_kept_in_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translation_memory, "_MAX_RECENT_BYTES", 20_000)
    monkeypatch.setattr(translation_memory, "_FILES_PER_BLOCK", 2)
    segments = TranslationMemory([], tmp_path)
    known: dict[str, Decoded] = {}
    for number in range(12):
        new = {f"{number} {i}": decoded(f"{number} {i}" * 3) for i in range(100)}
        write_memory(tmp_path / f"part-{number:02}.parquet", new)
        known |= new
        results = segments.find([*known, "unknown"])
        assert all(results[model_input] == known[model_input] for model_input in results)
        assert results.keys() >= new.keys()
        assert sum(table.nbytes for _, table in segments._recent._blocks) <= 20_000
    assert 200 <= len(results) < 1200
    forgotten_first = [model_input for model_input in known if model_input not in results]
    assert forgotten_first == list(known)[: len(forgotten_first)]


def test_segments_with_equal_keys_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        translation_memory, "segment_hash", lambda text: b"8 equal." + text.encode().ljust(8)
    )
    write_memory(tmp_path / "part-1.parquet", {"x": decoded("of x")})
    results = TranslationMemory([tmp_path], tmp_path / "own").find(["y"])
    assert results == {}


def test_a_file_that_another_process_rewrites_gives_no_wrong_translation(tmp_path: Path) -> None:
    """On S3 two processes may work on one run. Both write correct segments."""
    path = tmp_path / "own" / "part-1.parquet"
    known = {"a": decoded("of a"), "b": decoded("of b"), "c": decoded("of c")}
    write_memory(path, known)
    segments = TranslationMemory([], tmp_path / "own")
    assert segments.find(known) == known
    write_memory(path, {"b": decoded("of b"), "c": decoded("of c")})
    assert segments.find(known) == known
