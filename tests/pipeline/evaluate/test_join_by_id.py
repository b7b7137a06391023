"""Translations are joined with references by ``pair_id``, never by position."""

from __future__ import annotations

import pyarrow as pa
import pytest

from lingo_model import Translation
from pipeline.evaluate.stage import join_by_id
from pipeline.schemas import PAIRS, SEGMENTS


def pairs_table(ids: list[str]) -> pa.Table:
    """Pairs whose texts contain their id."""
    columns = {
        "pair_id": ids,
        "source": [f"source {i}" for i in ids],
        "target": [f"target {i}" for i in ids],
    }
    return pa.table(columns, schema=pa.schema([PAIRS.field(name) for name in columns]))


def translation_of(pair_id: str) -> Translation:
    """A translation whose text and score follow from its pair's id."""
    return Translation(f"target {pair_id}", -float(ord(pair_id)), 1, 1, truncated=False)


def test_segments_are_joined_by_id_in_any_order() -> None:
    ids = ["c", "a", "d", "b"]
    segments = join_by_id(pairs_table(ids), {i: translation_of(i) for i in ["b", "d", "a", "c"]})

    assert segments.schema.equals(SEGMENTS)
    assert [(r["pair_id"], r["source"], r["reference"]) for r in segments.to_pylist()] == [
        (i, f"source {i}", f"target {i}") for i in ids
    ]
    assert segments["translation"].to_pylist() == [f"target {i}" for i in ids]
    assert segments["score"].to_pylist() == [-float(ord(i)) for i in ids]
    assert segments["chrf"].to_pylist() == pytest.approx([100] * 4)


def test_each_segment_has_the_chrf_of_its_own_translation() -> None:
    translations = {
        "a": translation_of("a"),
        "b": Translation("wholly other", -1, 1, 1, truncated=False),
    }
    right, wrong = join_by_id(pairs_table(["a", "b"]), translations)["chrf"].to_pylist()
    assert right == pytest.approx(100)
    assert 0 <= wrong < 50


@pytest.mark.parametrize(
    ("pair_ids", "translation_ids", "counts"),
    [
        ("abc", "ab", (1, 0, 0)),
        ("a", "abc", (0, 2, 0)),
        ("abc", "abd", (1, 1, 0)),
        ("abab", "ab", (0, 0, 2)),
    ],
)
def test_ids_that_differ_are_refused(
    pair_ids: str, translation_ids: str, counts: tuple[int, int, int]
) -> None:
    n_untranslated, n_unreferenced, n_repeated = counts
    with pytest.raises(
        ValueError,
        match=f"{n_untranslated} references without a translation, {n_unreferenced} translations "
        f"without a reference, {n_repeated} repeated ids",
    ):
        join_by_id(pairs_table(list(pair_ids)), {i: translation_of(i) for i in translation_ids})
