"""Names of temporary, partial, backup, lock and system files."""

from __future__ import annotations

import pytest

from pipeline.formats.temporary_names import is_temporary_name


@pytest.mark.parametrize(
    "name",
    [
        *("notes.txt~", "~$report.docx", "#notes.txt#", ".notes.txt.swp", "notes.txt.swo"),
        *("a.txt.tmp", "a.csv.TEMP", "a.csv.tmp.4711", "a.parquet.part", "a.partial"),
        *("a.parquet.inprogress", "a.zip.crdownload", "a.gz.download", "a.csv._COPYING_"),
        *("a.txt.bak", "a.txt.orig", "a.txt.old", "a.lock", ".~lock.a.ods#", "a.lck"),
        *("Thumbs.db", "desktop.ini", ".DS_Store", "._a.txt", "a.txt.sb-1a2b3c4d-Xy12zZ"),
    ],
)
def test_unfinished_backup_lock_and_system_files_have_temporary_names(name: str) -> None:
    assert is_temporary_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("a.txt", "a", "part-00000", "part-00000.snappy.parquet", "partial.csv", "temp.txt"),
        *("a.en", "tmp.jsonl", "a~b.txt", "lock.csv", "#1.txt", "a.tmpl", "backup.parquet"),
    ],
)
def test_names_of_data_are_not_temporary(name: str) -> None:
    assert not is_temporary_name(name)
