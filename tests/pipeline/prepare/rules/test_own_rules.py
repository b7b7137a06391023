"""Own rules: where modules are found, what they get, and one line for each mistake."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lingo_model import InputError
from pipeline.prepare.config import CleanConfig, PrepareConfig, SplitConfig, SubwordsConfig
from pipeline.prepare.corpus import load_corpus
from pipeline.prepare.rules.own import own_rule_files
from pipeline.prepare.rules.registry import check
from pipeline.prepare.stage import prepare_corpus
from pipeline.prepare.texts import PairTexts, TextColumn

RULE = """
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

limit = 3


def arrow(batch, settings):
    return pc.match_substring(batch["source"], settings["word"])


def array(batch, settings):
    return np.array([len(text.as_py()) > limit for text in batch["target"]], bool)


def chunked(batch, settings):
    return pa.chunked_array([arrow(batch, settings)])


def listed(batch, settings):
    return [False] * batch.num_rows


def ones(batch, settings):
    return [1] * batch.num_rows


def short(batch, settings):
    return [True]


def broken(batch, settings):
    raise KeyError("word")


def copy(batch, settings):
    return listed(batch, settings)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the module ``rules_here``, and a broken one."""
    (tmp_path / "rules_here.py").write_text(RULE, encoding="utf-8")
    (tmp_path / "broken_here.py").write_text("import no_such_package\n", encoding="utf-8")
    (tmp_path / "syntax_here.py").write_text("def f(:\n", encoding="utf-8")
    (tmp_path / "package_here").mkdir()
    (tmp_path / "package_here" / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "package_here" / "inner.py").write_text(RULE, encoding="utf-8")
    return tmp_path


def reasons(folder: Path | None, *names: str) -> list[str | None]:
    """The reasons of three pairs."""
    config = CleanConfig(own_rules=names, own_rules_settings={"word": "dog"})
    texts = PairTexts(
        source=TextColumn.of(["a dog", "cats", "dogs"]),
        target=TextColumn.of(["ein", "Katzen", "Hunde"]),
        source_lang="en",
        target_lang="de",
    )
    verdicts = check(texts, config, folder=folder)
    return [None if n < 0 else verdicts.reasons[n] for n in verdicts.first.tolist()]


def test_the_name_of_the_function_is_the_reason(folder: Path) -> None:
    assert reasons(folder, "rules_here:arrow") == ["arrow", None, "arrow"]
    assert reasons(folder, "rules_here:chunked") == ["chunked", None, "chunked"]
    assert reasons(folder, "rules_here:array") == [None, "array", "array"]
    assert reasons(folder, "rules_here:listed") == [None, None, None]
    assert reasons(folder, "package_here.inner:array") == [None, "array", "array"]


def test_own_rules_come_in_the_order_of_the_settings(folder: Path) -> None:
    assert reasons(folder, "rules_here:array", "rules_here:arrow") == ["arrow", "array", "array"]
    assert reasons(folder, "rules_here:arrow", "rules_here:array") == ["arrow", "array", "arrow"]


def test_modules_of_other_folders_are_kept_apart(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "rules_here.py").write_text(RULE.replace("limit = 3", "limit = 5"), encoding="utf-8")
    assert reasons(folder, "rules_here:array") == [None, "array", "array"]
    assert reasons(other, "rules_here:array") == [None, "array", None]


def test_a_file_that_was_changed_is_imported_again(folder: Path) -> None:
    """One process may prepare several datasets, and the fingerprint covers the file."""
    assert reasons(folder, "rules_here:array") == [None, "array", "array"]
    file = folder / "rules_here.py"
    file.write_text(RULE.replace("limit = 3", "limit = 5"), encoding="utf-8")
    later = file.stat().st_mtime_ns + 2 * 10**9
    os.utime(file, ns=(later, later))
    assert reasons(folder, "rules_here:array") == [None, "array", None]


def test_a_module_of_the_folder_hides_no_installed_module(folder: Path) -> None:
    (folder / "json.py").write_text(RULE, encoding="utf-8")
    assert reasons(folder, "json:array") == [None, "array", "array"]
    import json

    assert json.loads("[1]") == [1]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_rules:f", "there is no module 'no_such_rules'.*put no_such_rules.py beside"),
        ("package_here.nothing:f", "there is no module 'package_here.nothing'"),
        ("rules_here:nothing", "has no function 'nothing'; it has array, arrow, broken"),
        ("rules_here:limit", "is int; needs a function"),
        ("broken_here:f", "cannot be imported .ModuleNotFoundError: No module named 'no_such_p"),
        ("syntax_here:f", "cannot be imported .SyntaxError"),
        ("rules_here:broken", "failed .KeyError: 'word'"),
        ("rules_here:short", r"returned bool of shape \(1,\); needs 3 truth values"),
        ("rules_here:ones", r"returned int64 of shape \(3,\); needs 3 truth values"),
        ("rules_here:copy", "another rule has the reason 'copy'; rename the function"),
    ],
)
def test_mistakes_are_named_in_one_line(folder: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        reasons(folder, name)
    assert str(error.value).startswith(f"own rule {name!r}: ")
    assert "\n" not in str(error.value)


def test_two_own_rules_of_one_name_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="another rule has the reason 'array'"):
        reasons(folder, "rules_here:array", "package_here.inner:array")


def test_the_files_of_own_rules(folder: Path) -> None:
    names = ("rules_here:arrow", "rules_here:array", "package_here.inner:arrow", "json:loads")
    files = own_rule_files(CleanConfig(own_rules=names), folder)
    assert files == (folder / "rules_here.py", folder / "package_here" / "inner.py")
    assert own_rule_files(CleanConfig(own_rules=names), None) == ()


def test_a_missing_own_rule_is_found_before_rows_are_read(folder: Path) -> None:
    (folder / "a.en").write_text("one\ntwo\n", encoding="utf-8")
    (folder / "a.de").write_text("eins\n", encoding="utf-8")  # reading would fail
    (folder / "corpus.yaml").write_text(
        "source_lang: en\ntarget_lang: de\n"
        "inputs: [{source: a.en, target: a.de, clean: {own_rules: ['nowhere:f']}}]\n",
        encoding="utf-8",
    )
    with pytest.raises(InputError, match="own rule 'nowhere:f': there is no module 'nowhere'"):
        prepare_corpus(load_corpus(folder / "corpus.yaml"), folder / "out")


def test_a_dataset_depends_on_the_code_of_its_own_rules(folder: Path) -> None:
    sides = [f"number {n} of many {'dogs' if n % 3 else 'cats'}" for n in range(60)]
    (folder / "a.en").write_text("".join(f"{text}\n" for text in sides), encoding="utf-8")
    (folder / "a.de").write_text(
        "".join(f"Nummer {n} von vielen\n" for n in range(60)), encoding="utf-8"
    )
    (folder / "corpus.yaml").write_text(
        "source_lang: en\ntarget_lang: de\ninputs: [{source: a.en, target: a.de}]\n",
        encoding="utf-8",
    )
    config = PrepareConfig(
        clean=CleanConfig(
            own_rules=("rules_here:arrow",),
            own_rules_settings={"word": "cats"},
        ),
        split=SplitConfig(valid_share=0, test_share=0),
        subwords=SubwordsConfig(vocab_size=64),
    )
    manifest = prepare_corpus(load_corpus(folder / "corpus.yaml"), folder / "out", config)
    assert manifest.n_rejected == {"arrow": 20}
    (folder / "rules_here.py").write_text(RULE + "\n# changed\n", encoding="utf-8")
    with pytest.raises(InputError, match="own_rules"):
        prepare_corpus(load_corpus(folder / "corpus.yaml"), folder / "out", config)
