"""Notes on what takes much of an input: something else may be wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.prepare.config import PrepareConfig, SubwordsConfig
from pipeline.prepare.notes import notes_of
from pipeline.prepare.stage import prepare_corpus
from tests.pipeline.prepare.conftest import GOOD, describe, write_tsv

CONFIG = PrepareConfig(subwords=SubwordsConfig(vocab_size=120))


def test_swapped_sides_are_suspected(tmp_path: Path) -> None:
    swapped = [(target, source) for source, target in GOOD["train"]]
    path = write_tsv(tmp_path / "swapped.tsv", swapped)
    more = write_tsv(tmp_path / "good.tsv", GOOD["valid"])
    manifest = prepare_corpus(
        describe({"path": path, "split": "train"}, {"path": more}), tmp_path / "dataset", CONFIG
    )
    n_wrong = manifest.inputs[0].n_rejected["wrong_language"]
    assert n_wrong > 40
    assert (
        f"swapped.tsv: wrong_language drops {n_wrong} of 100 rows; check source_lang and "
        "target_lang of the corpus description, and that source and target are not swapped"
    ) in notes_of(manifest)


@pytest.mark.parametrize(("n_copies", "is_noted"), [(9, False), (30, False), (90, True)])
def test_few_rejected_rows_are_not_noted(tmp_path: Path, n_copies: int, is_noted: bool) -> None:
    copies = [("The old teacher sees the small dog.",) * 2] * n_copies
    path = write_tsv(tmp_path / "x.tsv", [*copies, *GOOD["train"]])
    manifest = prepare_corpus(
        describe({"path": path, "split": "train"}), tmp_path / "dataset", CONFIG
    )
    assert manifest.inputs[0].n_rejected["copy"] == n_copies
    notes = [note for note in notes_of(manifest) if "copy drops" in note]
    assert bool(notes) == is_noted
