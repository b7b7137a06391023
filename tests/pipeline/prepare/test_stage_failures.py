"""A dataset appears whole or not at all, and what is done before a failure is kept or removed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from lingo_model import InputError
from lingo_model.atomic_files import LOCK
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.errors import RunError
from pipeline.prepare import stage
from pipeline.prepare.config import PrepareConfig, SubwordsConfig
from pipeline.prepare.corpus import CorpusDescription
from pipeline.prepare.stage import prepare_corpus

CONFIG = PrepareConfig(subwords=SubwordsConfig(vocab_size=120))
GOOD_PAIRS = [(p.source, p.target) for p in generate_pairs(100, seed=2, split="train")]


def describe(*inputs: dict[str, Any], **changed: Any) -> CorpusDescription:
    """A description of English to Spanish."""
    values = {"source_lang": "en", "target_lang": "es", "inputs": list(inputs)} | changed
    return CorpusDescription.model_validate(values)


def write_tsv(path: Path, pairs: list[tuple[str, str]]) -> Path:
    """A table of pairs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["source\ttarget", *("\t".join(pair) for pair in pairs)]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")
    return path


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


FULL_DISK = OSError(28, "No space left on device")


def fail_at(
    monkeypatch: pytest.MonkeyPatch, step: str, *, after: bool, error: BaseException = FULL_DISK
) -> None:
    """Make a step of ``prepare`` fail, before or after its work."""
    real: Callable[..., Any] = getattr(stage, step)

    def failing(*args: Any, **kwargs: Any) -> Any:
        if after:
            real(*args, **kwargs)
        raise error

    monkeypatch.setattr(stage, step, failing)


STEPS = [
    "clean_chunk",
    "write_held_out",
    "find_repeats",
    "write_rejected",
    "train_subwords_in_child",
    "encode_file",
    "leakage_certificate",
    "write_json",
]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of the dataset of the fixture ``small``."""
    folder = tmp_path_factory.mktemp("expected")
    path = write_tsv(folder / "small.tsv", GOOD_PAIRS)
    prepare_corpus(describe({"path": path}), folder / "dataset", CONFIG)
    return tree(folder / "dataset")


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_after_a_full_disk_in_any_step_the_same_call_goes_on(
    tmp_path: Path,
    small: CorpusDescription,
    monkeypatch: pytest.MonkeyPatch,
    expected: dict[str, bytes],
    step: str,
    after: bool,
) -> None:
    output = tmp_path / "dataset"
    with monkeypatch.context() as patch:
        fail_at(patch, step, after=after)
        with pytest.raises(OSError, match="No space left"):
            prepare_corpus(small, output, CONFIG)
    # Nobody takes what is there for a dataset.
    assert [path.name for path in output.iterdir()] == [".staging"]
    prepare_corpus(small, output, CONFIG)
    assert tree(output) == expected


@pytest.mark.parametrize("step", STEPS[1:])
def test_steps_before_the_failure_are_not_done_again(
    tmp_path: Path, small: CorpusDescription, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Only quick steps are: the last ones, and writing the rejected rows in order."""
    with monkeypatch.context() as patch:
        fail_at(patch, step, after=False)
        with pytest.raises(OSError, match="No space left"):
            prepare_corpus(small, tmp_path / "dataset", CONFIG)
    for done in STEPS[: STEPS.index(step)]:
        if done not in ("write_rejected", "leakage_certificate"):
            fail_at(monkeypatch, done, after=False)
    prepare_corpus(small, tmp_path / "dataset", CONFIG)


@pytest.mark.parametrize(
    ("error", "stays"),
    [
        (InputError("an input cannot be used"), False),
        (RuntimeError("a bug"), False),  # files that were written may be wrong
        (pa.ArrowInvalid("a damaged file of the staging folder"), False),
        (FileNotFoundError(2, "No such file"), False),
        (RunError("a worker process was killed"), True),
        (MemoryError(), True),
        (KeyboardInterrupt(), True),
    ],
)
def test_what_is_done_stays_only_if_the_next_run_can_use_it(
    tmp_path: Path,
    small: CorpusDescription,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    stays: bool,
) -> None:
    with monkeypatch.context() as patch:
        fail_at(patch, "encode_file", after=False, error=error)
        with pytest.raises(type(error)):
            prepare_corpus(small, tmp_path / "new" / "dataset", CONFIG)
    assert (tmp_path / "new" / "dataset").exists() == stays
    assert prepare_corpus(small, tmp_path / "new" / "dataset", CONFIG).vocab_size > 0


def test_an_input_that_changes_while_it_is_read_leaves_nothing(
    tmp_path: Path, small: CorpusDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fingerprint would be the one of other text."""
    true_train = stage.train_subwords_in_child

    def meanwhile(*given: Any, **settings: Any) -> Any:
        (path, *_) = small.inputs[0].files
        path.write_bytes(path.read_bytes() + b"One more.\tNoch einer.\n")
        return true_train(*given, **settings)

    (tmp_path / "out").mkdir()
    monkeypatch.setattr(stage, "train_subwords_in_child", meanwhile)
    with pytest.raises(InputError, match="an input changed while it was read; prepare it again"):
        prepare_corpus(small, tmp_path / "out" / "dataset", CONFIG)
    assert list((tmp_path / "out").iterdir()) == []


def test_the_manifest_is_written_last(
    tmp_path: Path, small: CorpusDescription, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "dataset"
    seen: dict[str, bytes] = {}
    real = stage.write_json

    def spy(path: Path, value: Any) -> None:
        assert {path.name for path in output.iterdir()} == {LOCK, ".staging"}
        assert path.name == "manifest.json"
        assert not seen
        seen.update(tree(path.parent))
        real(path, value)

    monkeypatch.setattr(stage, "write_json", spy)
    prepare_corpus(small, output, CONFIG)
    final = tree(output)
    assert len(seen) > 5
    assert final.keys() - seen.keys() == {"manifest.json"}
    assert {name: final[name] for name in seen} == seen


def test_aligned_files_of_different_lengths_leave_nothing(tmp_path: Path) -> None:
    source, target = tmp_path / "a.en", tmp_path / "a.es"
    source.write_text("".join(f"sentence {n}\n" for n in range(300)))
    target.write_text("".join(f"frase {n}\n" for n in range(299)))
    with pytest.raises(InputError, match=r"a\.en has 300 lines and .*a\.es has 299"):
        prepare_corpus(describe({"source": source, "target": target}), tmp_path / "d", CONFIG)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.en", "a.es"]


def test_a_corpus_without_training_pairs_is_refused_with_the_reasons(tmp_path: Path) -> None:
    path = write_tsv(tmp_path / "x.tsv", [("", "a"), ("b", ""), ("hello", "b" * 26)])
    with pytest.raises(InputError) as error:
        prepare_corpus(describe({"path": path}), tmp_path / "d", CONFIG)
    assert str(error.value) == (
        "x.tsv: no training pair in 3 rows (rejected: 2 as empty, 1 as ratio); check the files "
        "and the limits in 'clean'; `lingo prepare CORPUS --advise` shows what each rule drops"
    )
    write_tsv(path, [])
    with pytest.raises(InputError, match=r"no training pair in 0 rows \(rejected: none\)"):
        prepare_corpus(describe({"path": path}), tmp_path / "d", CONFIG)
    assert [path.name for path in tmp_path.iterdir()] == ["x.tsv"]


def test_a_vocabulary_that_is_too_small_leaves_nothing(
    tmp_path: Path, small: CorpusDescription
) -> None:
    config = PrepareConfig(subwords=SubwordsConfig(vocab_size=32))
    with pytest.raises(InputError, match=r"subwords\.vocab_size"):
        prepare_corpus(small, tmp_path / "d", config)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]
