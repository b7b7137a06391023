"""A dataset on S3 is the dataset on a disk, and appears whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lingo_model import InputError
from lingo_model.atomic_files import reserved
from pipeline.dataset.manifest import MANIFEST, DatasetManifest
from pipeline.errors import RunError
from pipeline.prepare.config import PrepareConfig, SubwordsConfig
from pipeline.prepare.corpus import CorpusDescription
from pipeline.prepare.stage import prepare_corpus
from pipeline.prepare.work_folder import folder_of_output
from pipeline.storage.files import names_below
from pipeline.storage.s3 import S3Path

CONFIG = PrepareConfig(subwords=SubwordsConfig(vocab_size=120))
CLAIM = ".staging"


def prepared(
    corpus: CorpusDescription, output: S3Path, work: Path, config: PrepareConfig = CONFIG
) -> DatasetManifest:
    return prepare_corpus(corpus, output, config, work_folder=work)


def content(folder: S3Path | Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names_below(folder)}


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """The folder where datasets are written before they are uploaded."""
    return tmp_path / "work"


@pytest.fixture
def output(s3: S3Path) -> S3Path:
    """The place of the dataset."""
    return s3 / "datasets/en-es"


@pytest.fixture
def expected(small: CorpusDescription, tmp_path: Path) -> dict[str, bytes]:
    """The files of the dataset of ``small`` on a disk."""
    prepare_corpus(small, tmp_path / "on-disk", CONFIG)
    return content(tmp_path / "on-disk")


@pytest.fixture
def stop_upload(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """A function that makes the upload of a file fail, and gives the list of the others."""
    upload = S3Path.upload

    def stop(failing: str) -> list[str]:
        uploaded: list[str] = []

        def failing_upload(path: S3Path, file: Path) -> str | None:
            if path.key.endswith(failing) and failing:
                raise KeyboardInterrupt
            uploaded.append(path.name)
            return upload(path, file)

        monkeypatch.setattr(S3Path, "upload", failing_upload)
        return uploaded

    return stop


def test_the_dataset_is_the_one_on_a_disk_and_nothing_else_is_left(
    small: CorpusDescription, output: S3Path, work: Path, expected: dict[str, bytes]
) -> None:
    prepared(small, output, work)
    assert content(output) == expected
    assert list(work.iterdir()) == []


def test_a_dataset_that_is_there_is_used_as_it_is(
    small: CorpusDescription, output: S3Path, work: Path
) -> None:
    first = prepared(small, output, work)
    stamps = output.files()
    (output / CLAIM).write_bytes(b"{}")  # of a run that was killed after it had put the manifest
    assert prepared(small, output, work) == first
    assert output.files() == stamps


def test_a_dataset_of_other_settings_is_refused_by_the_setting(
    small: CorpusDescription, output: S3Path, work: Path
) -> None:
    prepared(small, output, work)
    stamps = output.files()
    with pytest.raises(InputError, match=r"config.seed was 1 and is 2; name another output"):
        prepared(small, output, work, CONFIG.model_copy(update={"seed": 2}))
    assert output.files() == stamps


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (["other.txt"], "holds other files (other.txt)"),
        (["pairs/split=train/part-00000.parquet"], "holds a dataset without its manifest.json"),
    ],
)
def test_a_folder_with_other_files_is_refused(
    small: CorpusDescription, output: S3Path, work: Path, names: list[str], problem: str
) -> None:
    for name in names:
        (output / name).write_bytes(b"")
    with pytest.raises(InputError) as error:
        prepared(small, output, work)
    assert str(error.value).startswith(f"{output}: {problem}")


def test_a_file_is_refused(small: CorpusDescription, output: S3Path, work: Path) -> None:
    output.write_bytes(b"")
    with pytest.raises(InputError, match="is a file"):
        prepared(small, output, work)


@pytest.mark.parametrize("damage", ["missing", "other"])
def test_a_damaged_dataset_is_made_anew(
    small: CorpusDescription,
    output: S3Path,
    work: Path,
    expected: dict[str, bytes],
    damage: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    prepared(small, output, work)
    if damage == "missing":
        (output / "subwords.model").unlink()
    else:
        (output / "subwords.model").write_bytes(b"other")
    (output / "pairs/split=train/part-00099.parquet").write_bytes(b"of another dataset")
    prepared(small, output, work)
    assert content(output) == expected
    assert f"{output}/subwords.model: " in capsys.readouterr().err


def test_an_interrupted_upload_goes_on(
    small: CorpusDescription,
    output: S3Path,
    work: Path,
    expected: dict[str, bytes],
    stop_upload: Callable[[str], list[str]],
) -> None:
    first = stop_upload("subwords.model")
    with pytest.raises(KeyboardInterrupt):
        prepared(small, output, work)
    assert len(first) == len(expected) - 2
    assert not (output / MANIFEST).exists()
    second = stop_upload("")
    prepared(small, output, work)
    assert second == ["subwords.model"]
    assert content(output) == expected
    assert list(work.iterdir()) == []


def test_a_file_that_someone_removes_during_the_upload_is_uploaded_again(
    small: CorpusDescription,
    output: S3Path,
    work: Path,
    expected: dict[str, bytes],
    stop_upload: Callable[[str], list[str]],
) -> None:
    stop_upload("subwords.model")
    with pytest.raises(KeyboardInterrupt):
        prepared(small, output, work)
    (output / "rejected/part-00000.parquet").unlink()
    stop_upload("")
    prepared(small, output, work)
    assert content(output) == expected


def test_another_dataset_that_is_being_uploaded_is_not_disturbed(
    small: CorpusDescription,
    output: S3Path,
    work: Path,
    stop_upload: Callable[[str], list[str]],
) -> None:
    stop_upload("subwords.model")
    with pytest.raises(KeyboardInterrupt):
        prepared(small, output, work)
    stop_upload("")
    stamps = output.files()
    other = CONFIG.model_copy(update={"seed": 2})
    message = f"^{output}: another process uploads another dataset there since 20.* UTC, or"
    with pytest.raises(RunError, match=message):
        prepared(small, output, work.with_name("elsewhere"), other)
    assert output.files() == stamps
    (output / CLAIM).unlink()
    with pytest.raises(InputError, match=r"dataset without its manifest.json"):
        prepared(small, output, work, other)


@pytest.mark.parametrize("claim", [b"", b"[]", b"{}", b"\xff"])
def test_an_object_with_the_name_of_the_sign_is_not_overwritten(
    small: CorpusDescription, output: S3Path, work: Path, claim: bytes
) -> None:
    (output / CLAIM).write_bytes(claim)
    with pytest.raises(RunError, match="another process uploads another dataset there"):
        prepared(small, output, work)
    assert content(output) == {CLAIM: claim}


def test_a_process_on_another_machine_may_finish_first(
    small: CorpusDescription,
    output: S3Path,
    work: Path,
    expected: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    create = S3Path.create
    elsewhere = work.with_name("elsewhere")

    def create_after_the_other(path: S3Path, content: bytes) -> bool:
        monkeypatch.setattr(S3Path, "create", create)
        prepared(small, output, elsewhere)
        return create(path, content)

    monkeypatch.setattr(S3Path, "create", create_after_the_other)
    prepared(small, output, work)
    assert content(output) == expected
    assert "another process wrote the same dataset meanwhile" in capsys.readouterr().err
    assert list(work.iterdir()) == list(elsewhere.iterdir()) == []


def test_another_dataset_that_appears_meanwhile_is_kept(
    small: CorpusDescription, output: S3Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = S3Path.create
    other = CONFIG.model_copy(update={"seed": 2})

    def create_after_the_other(path: S3Path, content: bytes) -> bool:
        monkeypatch.setattr(S3Path, "create", create)
        prepared(small, output, work.with_name("elsewhere"), other)
        return create(path, content)

    monkeypatch.setattr(S3Path, "create", create_after_the_other)
    with pytest.raises(RunError, match="another process wrote another dataset there meanwhile"):
        prepared(small, output, work)
    assert DatasetManifest.load(output / MANIFEST).made_from["config"]["seed"] == 2
    assert CLAIM not in output.files()


def test_two_processes_of_one_machine_are_kept_apart(
    small: CorpusDescription, output: S3Path, work: Path
) -> None:
    folder = folder_of_output(work, output)
    folder.parent.mkdir(parents=True)
    with reserved(folder), pytest.raises(InputError, match="another process is using it"):
        prepared(small, output, work)
    shutil.rmtree(work)


def test_s3_that_does_not_answer_is_an_error_in_one_line(
    small: CorpusDescription, work: Path, s3: S3Path
) -> None:
    with pytest.raises(OSError, match=r"^s3://no-such-bucket/d: NoSuchBucket: ") as error:
        prepared(small, S3Path("no-such-bucket", "d"), work)
    assert "\n" not in str(error.value)
