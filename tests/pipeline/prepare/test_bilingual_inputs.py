"""Files that hold translations as inputs of a corpus: nothing is lost, and nothing half written."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

import pyarrow.dataset as pads
import pytest

from lingo_model import InputError
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.prepare.config import PrepareConfig, SubwordsConfig
from pipeline.prepare.corpus import CorpusDescription
from pipeline.prepare.stage import prepare_corpus

CONFIG = PrepareConfig(subwords=SubwordsConfig(vocab_size=120))
PAIRS = [(pair.source, pair.target) for pair in generate_pairs(90, seed=5, split="train")]
UNUSED = ("A sentence that nobody translated.", "")


def as_tmx(pairs: list[tuple[str, str]]) -> str:
    """A TMX file."""
    units = "".join(
        f'<tu><tuv xml:lang="en-GB"><seg>{escape(a)}</seg></tuv>'
        f'<tuv xml:lang="es"><seg>{escape(b)}</seg></tuv></tu>\n'
        for a, b in pairs
    )
    return f'<tmx version="1.4"><header srclang="en"/><body>{units}</body></tmx>'


def as_xliff(pairs: list[tuple[str, str]]) -> str:
    """An XLIFF 2 file."""
    units = "".join(
        f"<unit id='u{n}'><segment><source>{escape(a)}</source><target>{escape(b)}</target>"
        "</segment></unit>\n"
        for n, (a, b) in enumerate(pairs)
    )
    return f'<xliff version="2.0" srcLang="en" trgLang="es"><file id="f">{units}</file></xliff>'


def as_po(pairs: list[tuple[str, str]]) -> str:
    """A PO file."""
    quoted = [tuple(text.replace('"', '\\"') for text in pair) for pair in pairs]
    return "".join(f'msgid "{a}"\nmsgstr "{b}"\n\n' for a, b in quoted)


def corpus(*inputs: dict[str, object]) -> CorpusDescription:
    """A description of English to Spanish."""
    values = {"source_lang": "en", "target_lang": "es", "inputs": list(inputs)}
    return CorpusDescription.model_validate(values)


def prepared_pairs(output: Path) -> set[tuple[str, str]]:
    """The pairs of a dataset."""
    table = pads.dataset(output / "pairs").to_table(columns=["source", "target"])
    return set(zip(table["source"].to_pylist(), table["target"].to_pylist(), strict=True))


def test_every_format_gives_the_same_pairs(tmp_path: Path) -> None:
    for name, write in (("a.tmx", as_tmx), ("a.xlf", as_xliff), ("a.po", as_po)):
        (tmp_path / name).write_text(write([*PAIRS, UNUSED]), encoding="utf-8")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for number, language in enumerate(("en", "es")):
            lines = "".join(f"{pair[number]}\n" for pair in [*PAIRS, UNUSED])
            archive.writestr(f"demo.en-es.{language}", lines)
    reasons = {
        "a.tmx": "empty",
        "a.xlf": "untranslated",
        "a.po": "untranslated",
        "a.zip": "empty",
    }
    description = corpus(*[{"path": tmp_path / name} for name in reasons])
    manifest = prepare_corpus(description, tmp_path / "dataset", CONFIG)
    assert [item.name for item in manifest.inputs] == list(reasons)
    for item in manifest.inputs:
        assert item.n_read == len(PAIRS) + 1
        assert item.n_kept + sum(item.n_rejected.values()) == item.n_read
        assert item.n_rejected[reasons[item.name]] == 1
    # Every pair of the other files is one of the first file.
    assert [item.n_kept > 0 for item in manifest.inputs] == [True, False, False, False]
    assert prepared_pairs(tmp_path / "dataset") <= set(PAIRS)


def test_a_test_file_may_have_units_that_nobody_translated(tmp_path: Path) -> None:
    train, test = tmp_path / "train.tmx", tmp_path / "test.po"
    train.write_text(as_tmx(PAIRS[:80]), encoding="utf-8")
    test.write_text(as_po([*PAIRS[80:], UNUSED]), encoding="utf-8")
    description = corpus({"path": train}, {"path": test, "split": "test"})
    item = prepare_corpus(description, tmp_path / "dataset", CONFIG).inputs[1]
    assert (item.n_read, item.n_kept, item.n_rejected) == (11, 10, {"untranslated": 1})


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("</tuv>", "</tu>", 1),
        lambda text: (
            '<!DOCTYPE tmx [<!ENTITY x SYSTEM "x">]>' + text.replace("<seg>", "<seg>&x;", 1)
        ),
    ],
)
def test_a_damaged_file_leaves_no_dataset(tmp_path: Path, damage: Callable[[str], str]) -> None:
    path = tmp_path / "a.tmx"
    path.write_text(damage(as_tmx(PAIRS)), encoding="utf-8")
    with pytest.raises(InputError, match=r"a\.tmx: line \d+"):
        prepare_corpus(corpus({"path": path}), tmp_path / "dataset", CONFIG)
    assert not (tmp_path / "dataset" / "manifest.json").exists()
