"""Where a dataset can be written, by one process at a time, and what happens to a damaged one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lingo_model import InputError
from lingo_model.atomic_files import LOCK, locked
from pipeline.dataset.dataset import open_dataset
from pipeline.prepare import output_folder
from pipeline.prepare.config import PrepareConfig, SubwordsConfig
from pipeline.prepare.corpus import CorpusDescription
from pipeline.prepare.output_folder import reserved_output
from pipeline.prepare.stage import prepare_corpus

CONFIG = PrepareConfig(subwords=SubwordsConfig(vocab_size=120))


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def new_dataset(small: CorpusDescription, output: Path) -> dict[str, bytes]:
    """Make a dataset, and return its files."""
    prepare_corpus(small, output, CONFIG)
    return tree(output)


def empty_folder(folder: Path) -> Path:
    (folder / "d").mkdir()
    return folder / "d"


def mounted_folder(folder: Path) -> Path:
    """A new file system has a folder for lost files."""
    (folder / "d" / "lost+found").mkdir(parents=True)
    return folder / "d"


def linked_folder(folder: Path) -> Path:
    (folder / "elsewhere").mkdir()
    (folder / "d").symlink_to(folder / "elsewhere")
    return folder / "d"


def interrupted_folder(folder: Path) -> Path:
    """A process was killed while it moved the files of the dataset into an existing folder."""
    (folder / "d" / ".staging").mkdir(parents=True)
    (folder / "d" / "pairs").mkdir()
    (folder / "d" / LOCK).touch()
    return folder / "d"


@pytest.mark.parametrize(
    "output_in", [empty_folder, mounted_folder, linked_folder, interrupted_folder]
)
def test_an_existing_empty_folder_is_used(
    tmp_path: Path, small: CorpusDescription, output_in: Callable[[Path], Path]
) -> None:
    expected = new_dataset(small, tmp_path / "new")
    output = output_in(tmp_path)
    inode = output.stat().st_ino
    assert new_dataset(small, output) == expected
    assert output.stat().st_ino == inode  # a mounted folder cannot be replaced
    assert prepare_corpus(small, output, CONFIG) == open_dataset(output).manifest


def test_the_current_folder_is_used_if_it_is_empty(
    tmp_path: Path, small: CorpusDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    prepare_corpus(small, Path(), CONFIG)
    assert open_dataset(Path()).manifest.splits["train"].n_pairs > 0
    assert Path("manifest.json").exists()


def test_a_failure_leaves_an_existing_folder_empty(
    tmp_path: Path, small: CorpusDescription
) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(InputError, match=r"subwords\.vocab_size"):
        prepare_corpus(small, tmp_path / "d", PrepareConfig(subwords=SubwordsConfig(vocab_size=32)))
    assert list((tmp_path / "d").iterdir()) == []


def test_an_output_that_cannot_be_used_is_named_with_the_reason(
    tmp_path: Path, small: CorpusDescription
) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to("nowhere")
    (tmp_path / "full").mkdir()
    for name in "abcd":
        (tmp_path / "full" / name).touch()
    (tmp_path / "half" / "pairs").mkdir(parents=True)
    for name, reason in (
        ("file", "is a file; name a new or an empty folder for the dataset"),
        ("file/d", f"{tmp_path / 'file'} is a file, not a folder; name another output"),
        ("link", "is a link to nothing; name another output"),
        ("full", "holds other files (a, b, c ...); name a new or an empty folder"),
        ("half", "holds a dataset without its manifest.json (pairs); remove the folder and start"),
    ):
        with pytest.raises(InputError) as error:
            prepare_corpus(small, tmp_path / name, CONFIG)
        assert str(error.value).startswith(f"{tmp_path / name}: {reason}")


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwrite(path: Path) -> None:
    """Change bytes in the middle, which leaves size and footer as they were."""
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)


DAMAGES = [
    ("pairs/split=train/part-00000.parquet", remove),
    ("pairs/split=test/part-00000.parquet", truncate),
    ("pairs/split=train/part-00000.parquet", overwrite),
    ("encoded/split=train/part-00000.parquet", truncate),
    ("encoded/split=train/part-00000.parquet", overwrite),
    ("encoded", remove),
    ("rejected/part-00000.parquet", remove),
    ("subwords.model", remove),
    ("subwords.model", truncate),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_a_damaged_dataset_is_prepared_anew(
    tmp_path: Path,
    small: CorpusDescription,
    capsys: pytest.CaptureFixture[str],
    name: str,
    damage: Callable[[Path], None],
) -> None:
    output = tmp_path / "d"
    good = new_dataset(small, output)
    damage(output / name)
    prepare_corpus(small, output, CONFIG)
    assert tree(output) == good
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(f"lingo: {output}/{name}.*: .*; the dataset is prepared anew", line)


@pytest.mark.parametrize(
    ("name", "damage"),
    [item for item in DAMAGES if item[1] is not overwrite and "rejected" not in item[0]],
)
def test_damage_to_a_dataset_of_an_earlier_release_is_noticed(
    tmp_path: Path, small: CorpusDescription, name: str, damage: Callable[[Path], None]
) -> None:
    output = tmp_path / "d"
    new_dataset(small, output)
    manifest = json.loads((output / "manifest.json").read_text())
    del manifest["files_sha256"]
    (output / "manifest.json").write_text(json.dumps(manifest))
    before = tree(output)
    assert prepare_corpus(small, output, CONFIG).files_sha256 == {}
    assert tree(output) == before
    damage(output / name)
    assert prepare_corpus(small, output, CONFIG).files_sha256
    open_dataset(output).check_files()


def test_a_damaged_dataset_of_other_settings_is_not_removed(
    tmp_path: Path, small: CorpusDescription
) -> None:
    output = tmp_path / "d"
    new_dataset(small, output)
    (output / "subwords.model").unlink()
    before = tree(output)
    with pytest.raises(InputError, match=r"config\.seed was 1 and is 2"):
        prepare_corpus(small, output, CONFIG.model_copy(update={"seed": 2}))
    assert tree(output) == before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"name": "web app"}'])
def test_a_folder_with_a_foreign_manifest_is_not_touched(
    tmp_path: Path, small: CorpusDescription, content: bytes
) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "manifest.json").write_bytes(content)
    with pytest.raises(InputError, match="remove the folder, or name another output"):
        prepare_corpus(small, tmp_path / "d", CONFIG)
    assert tree(tmp_path / "d") == {"manifest.json": content}


@pytest.mark.parametrize("exists", [False, True])
def test_a_second_process_is_refused_at_once(
    tmp_path: Path, small: CorpusDescription, exists: bool
) -> None:
    output = tmp_path / "d"
    if exists:
        output.mkdir()
    hold = locked if exists else reserved_output
    with hold(output), pytest.raises(InputError) as error:
        prepare_corpus(small, output, CONFIG)
    assert str(error.value) == (
        f"{output}: another process is using it (process {os.getpid()}); wait for it to end"
    )
    # The lock is free again, and leaves nothing.
    prepare_corpus(small, output, CONFIG)
    assert LOCK not in {path.name for path in output.iterdir()}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "raw"]


def test_a_process_that_finds_the_dataset_of_another_returns_it(
    tmp_path: Path, small: CorpusDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other process ends between the look at the output and the lock."""
    output = tmp_path / "d"
    real: Callable[..., Any] = output_folder.reserved_output
    inodes: list[int] = []

    def after_another(path: Path) -> Any:
        monkeypatch.setattr(output_folder, "reserved_output", real)
        prepare_corpus(small, output, CONFIG)
        inodes.append(output.stat().st_ino)
        return real(path)

    monkeypatch.setattr(output_folder, "reserved_output", after_another)
    assert prepare_corpus(small, output, CONFIG) == open_dataset(output).manifest
    assert inodes == [output.stat().st_ino]


def test_a_full_disk_names_the_file(tmp_path: Path, small: CorpusDescription) -> None:
    """A limit on the size of files stands in for a full disk."""
    corpus = {"source_lang": "en", "target_lang": "es"}
    corpus["inputs"] = [{"path": str(small.inputs[0].files[0])}]
    (tmp_path / "small.yaml").write_text(json.dumps(corpus))
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from pipeline.cli.exit_status import run_command_line\n"
        "from pipeline.prepare.config import PrepareConfig, SubwordsConfig\n"
        "from pipeline.prepare.corpus import load_corpus\n"
        "from pipeline.prepare.language_scores import language_model\n"
        "from pipeline.prepare.stage import prepare_corpus\n"
        "language_model()  # is unpacked to a temporary file\n"
        "corpus = load_corpus(Path(sys.argv[1]))\n"
        "config = PrepareConfig(subwords=SubwordsConfig(vocab_size=120))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))\n"
        "run_command_line(lambda: prepare_corpus(corpus, Path(sys.argv[2]), config))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "small.yaml"), str(tmp_path / "d")],
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert re.fullmatch("lingo: .*File too large: '.*/kept-.*arrow'\n", done.stderr)
    assert "Traceback" not in done.stderr
    # With more space, the next run goes on.
    assert [path.name for path in (tmp_path / "d").iterdir()] == [".staging"]
    prepare_corpus(small, tmp_path / "d", CONFIG)
    assert tree(tmp_path / "d") == new_dataset(small, tmp_path / "other")
