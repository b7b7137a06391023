"""An id that several files have: when the newest loses it, another file's row is current again."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.storage.files import files_in, write_bytes
from pipeline.storage.s3 import S3Path
from pipeline.table.compaction import compact
from pipeline.table.maintenance import remove_orphan_files
from pipeline.table.manifest import RunManifest
from pipeline.translate.config import TranslateConfig
from pipeline.translate.in_process import run_in_process
from pipeline.translate.stage import translate_table
from pipeline.translate.translation_run import TranslationRun

BY_ID = TranslateConfig(rows_per_unit=20, id_column="id", max_retracted_share=1.0)
SNAPSHOT = BY_ID.model_copy(update={"lake": "snapshot"})

Night = Callable[..., RunManifest | None]


@pytest.mark.parametrize(
    ("how", "merged"), [("row", False), ("row", True), ("emptied", False), ("deleted", True)]
)
def test_the_older_file_s_row_is_current_again(
    lake: Path,
    table: Path,
    night: Night,
    latest: Callable[..., list[Any]],
    write_csv: Callable[..., None],
    how: str,
    merged: bool,
) -> None:
    write_csv(lake / "a.csv", _1="A dog.", _2="A cat.")
    night(SNAPSHOT)
    write_csv(lake / "b.csv", _2="A fish.", _3="A bird.")
    night(SNAPSHOT)
    if merged:
        compact(table)
    assert latest(table, "row_id, text") == [("1", "A dog."), ("2", "A fish."), ("3", "A bird.")]
    if how == "row":
        write_csv(lake / "b.csv", _3="A bird.")
    elif how == "emptied":
        write_csv(lake / "b.csv")
    else:
        (lake / "b.csv").unlink()

    third = night(SNAPSHOT)

    assert third is not None
    assert third.n_rows_restored == 1
    assert third.n_rows_deleted == (0 if how == "row" else 1)
    rest = [("3", "A bird.")] if how == "row" else []
    assert latest(table, "row_id, text") == [("1", "A dog."), ("2", "A cat."), *rest]
    assert night(SNAPSHOT) is None
    compact(table)
    assert remove_orphan_files(table) == {}
    assert latest(table, "row_id, text") == [("1", "A dog."), ("2", "A cat."), *rest]


def test_a_version_that_is_withdrawn_from_a_change_log_gives_the_version_before(
    lake: Path,
    table: Path,
    night: Night,
    latest: Callable[..., list[Any]],
    write_csv: Callable[..., None],
) -> None:
    for day in (1, 2, 3):
        write_csv(lake / f"day={day}.csv", _7=f"Dog {day}.", _8=f"Cat {day}.")
        night(BY_ID)
    shown = []
    for day in (3, 2, 1):
        write_csv(lake / f"day={day}.csv", _8=f"Cat {day}.")
        night(BY_ID)
        shown.append(latest(table, "row_id, text"))
    # A file that is written again is newer than the other files, with all of its rows.
    assert shown == [
        [("7", "Dog 2."), ("8", "Cat 3.")],
        [("7", "Dog 1."), ("8", "Cat 2.")],
        [("8", "Cat 1.")],
    ]


def test_an_id_that_a_third_file_has_gives_the_newest_row(
    lake: Path,
    table: Path,
    night: Night,
    latest: Callable[..., list[Any]],
    write_csv: Callable[..., None],
) -> None:
    for number, name in enumerate("abc"):
        write_csv(lake / f"{name}.csv", **{"_5": f"Dog {number}.", f"_{name}": "A cat."})
        night(BY_ID)
    write_csv(lake / "b.csv", _b="A cat.")  # its row of id 5 is not the current one
    second = night(BY_ID)
    assert second is not None
    assert (second.n_rows_restored, second.n_rows_deleted) == (0, 0)
    assert ("5", "Dog 2.") in latest(table, "row_id, text")
    write_csv(lake / "c.csv", _c="A cat.")
    night(BY_ID)
    assert ("5", "Dog 0.") in latest(table, "row_id, text")


def test_a_quarantined_row_hides_the_older_row_until_it_is_gone(
    lake: Path,
    table: Path,
    night: Night,
    latest: Callable[..., list[Any]],
    write_csv: Callable[..., None],
) -> None:
    config = BY_ID.model_copy(update={"max_source_characters": 20})
    write_csv(lake / "a.csv", _1="A dog.", _2="A cat.")
    night(config)
    write_csv(lake / "b.csv", _2="A cat that is much too long.", _3="A bird.")
    night(config)
    assert latest(table, "row_id") == ["1", "3"]
    write_csv(lake / "b.csv", _3="A bird.")
    night(config)
    assert latest(table, "row_id, text") == [("1", "A dog."), ("2", "A cat."), ("3", "A bird.")]


@pytest.mark.parametrize("retried", [False, True])
def test_an_older_row_in_the_quarantine_is_shown_only_if_a_retry_translated_it(
    lake: Path,
    table: Path,
    bundle: Path,
    night: Night,
    latest: Callable[..., list[Any]],
    write_csv: Callable[..., None],
    retry_here: Callable[..., RunManifest | None],
    retried: bool,
) -> None:
    config = BY_ID.model_copy(update={"max_source_characters": 20})
    write_csv(lake / "a.csv", _1="A dog.", _2="A cat that is much too long.")
    night(config)
    if retried:
        assert retry_here("1", bundle, table, BY_ID) is not None
    write_csv(lake / "b.csv", _2="A fish.", _3="A bird.")
    night(config)
    write_csv(lake / "b.csv", _3="A bird.")
    night(config)
    expected = ["A bird.", "A cat that is much too long.", "A dog."]
    assert latest(table) == (expected if retried else ["A bird.", "A dog."])


def test_a_restored_row_has_the_columns_of_the_new_run(
    lake: Path, table: Path, night: Night, latest: Callable[..., list[Any]]
) -> None:
    (lake / "a.csv").write_text("id,text,old\n1,A dog.,kept\n")
    night(BY_ID)
    (lake / "b.csv").write_text("id,text,new\n1,A cat.,x\n2,A bird.,y\n")
    night(BY_ID)
    (lake / "b.csv").write_text("id,text,newer\n2,A bird.,z\n")
    night(BY_ID)
    assert latest(table, "row_id, text, old, new, newer") == [
        ("1", "A dog.", "kept", None, None),
        ("2", "A bird.", None, None, "z"),
    ]


def test_an_interrupted_run_restores_rows_once(
    lake: Path,
    table: Path,
    bundle: Path,
    night: Night,
    latest: Callable[..., list[Any]],
    write_csv: Callable[..., None],
) -> None:
    write_csv(lake / "a.csv", _1="A dog.", _2="A cat.")
    night(BY_ID)
    write_csv(lake / "b.csv", _2="A fish.", _3="A bird.")
    night(BY_ID)
    write_csv(lake / "b.csv", _3="A bird.")

    def interrupt(_run: TranslationRun) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        translate_table(lake, bundle, table, BY_ID, run_units=interrupt)
    continued = translate_table(lake, bundle, table, BY_ID, run_units=run_in_process)
    assert continued is not None
    assert continued.n_rows_restored == 1
    assert latest(table, "row_id, text") == [("1", "A dog."), ("2", "A cat."), ("3", "A bird.")]
    assert len(files_in(table / "data", f"run_date=*/run=*/part-{continued.run_id}.parquet")) == 1


def test_a_restored_row_keeps_the_model_that_translated_it(
    lake: Path,
    table: Path,
    bundle: Path,
    other_bundle: Path,
    translate_here: Callable[..., RunManifest | None],
    query: Callable[..., list[Any]],
    write_csv: Callable[..., None],
) -> None:
    write_csv(lake / "a.csv", _1="A dog.", _2="A cat.")
    first = translate_here(lake, bundle, table, BY_ID)
    write_csv(lake / "b.csv", _2="A fish.", _3="A bird.")
    translate_here(lake, other_bundle, table, BY_ID)
    write_csv(lake / "b.csv", _3="A bird.")
    third = translate_here(lake, other_bundle, table, BY_ID)
    assert first is not None
    assert third is not None
    assert query(table, "SELECT row_id, run, model_id, model FROM lineage ORDER BY ALL") == [
        ("1", first.run_id, first.model_id, first.lineage.model),
        ("2", third.run_id, first.model_id, first.lineage.model),
        ("3", third.run_id, third.model_id, third.lineage.model),
    ]


def test_rows_are_restored_on_s3(
    s3: S3Path,
    bundle: Path,
    translate_here: Callable[..., RunManifest | None],
    latest: Callable[..., list[Any]],
) -> None:
    for content in (b"1,A dog.\n2,A cat.\n", b"2,A fish.\n3,A bird.\n", b"3,A bird.\n"):
        name = "a.csv" if content.startswith(b"1") else "b.csv"
        write_bytes(s3 / "lake" / name, b"id,text\n" + content)
        translate_here(s3 / "lake", bundle, s3 / "table", BY_ID)
    assert latest(s3 / "table", "row_id, text") == [
        ("1", "A dog."),
        ("2", "A cat."),
        ("3", "A bird."),
    ]
    assert remove_orphan_files(s3 / "table") == {}


@pytest.mark.parametrize("seed", range(2))
def test_the_latest_rows_are_those_of_the_newest_file_that_has_each_id(
    lake: Path,
    table: Path,
    night: Night,
    latest: Callable[..., list[Any]],
    write_csv: Callable[..., None],
    seed: int,
) -> None:
    """Files are written, rewritten and deleted at random; a model of the rule says what is right.

    One file is touched in a night, because two new files of one night may not share an id.
    """
    rng = random.Random(seed)
    files: dict[str, tuple[int, dict[str, str]]] = {}
    for number in range(8):
        name = rng.choice("abc")
        if name in files and rng.random() < 0.25:
            del files[name]
            (lake / f"{name}.csv").unlink()
            if not files:
                continue
        else:
            rows = {f"_{key}": f"{rng.choice(['Dog', 'Cat'])} {number}." for key in range(1, 5)}
            rows = {key: text for key, text in rows.items() if rng.random() < 0.6}
            rows[f"_{name}"] = f"Bird {number}."
            files[name] = number, rows
            write_csv(lake / f"{name}.csv", **rows)
        night(SNAPSHOT)
        expected: dict[str, str] = {}
        for _, rows in sorted(files.values(), key=lambda file: file[0]):
            expected |= {key[1:]: text for key, text in rows.items()}
        assert dict(latest(table, "row_id, text")) == expected
