"""Advice: what rules drop from a sample, and thresholds where the tail begins."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from pipeline.cli.app import app
from pipeline.prepare.advise import advice_lines, advise
from pipeline.prepare.config import CleanConfig, PrepareConfig
from pipeline.prepare.corpus import load_corpus

WORDS = ("red", "dog", "plays", "with", "some", "big", "ball", "our", "green", "garden", "near")


def write_corpus(folder: Path, rows: list[tuple[str, str]], **item: Any) -> Path:
    """A corpus with one input of aligned files, which is appended to the inputs that are there."""
    folder.mkdir(exist_ok=True)
    description = folder / "corpus.yaml"
    values = {"source_lang": "en", "target_lang": "de", "inputs": []}
    if description.exists():
        values = yaml.safe_load(description.read_text(encoding="utf-8"))
    name = f"part{len(values['inputs'])}"
    for side, texts in (("en", [r[0] for r in rows]), ("de", [r[1] for r in rows])):
        lines = "".join(f"{text}\n" for text in texts)
        (folder / f"{name}.{side}").write_text(lines, encoding="utf-8")
    values["inputs"].append({"source": f"{name}.en", "target": f"{name}.de"} | item)
    description.write_text(yaml.safe_dump(values), encoding="utf-8")
    return description


def good_rows(n: int) -> list[tuple[str, str]]:
    """Pairs of 6 to 12 words."""
    choose = random.Random(1)

    def text() -> str:
        return " ".join(choose.choice(WORDS) for _ in range(choose.randint(6, 12)))

    return [(text(), text().upper().title()) for _ in range(n)]


def test_thresholds_are_where_the_tail_begins(tmp_path: Path) -> None:
    rows = good_rows(3000)
    rows[100] = ("Long " + "x y z w v " * 60, "Lang " + "a b c d e " * 60)
    rows[200] = ("In 1987", "Im Jahr 1978")
    advice = advise(load_corpus(write_corpus(tmp_path, rows)))
    longest = sorted(max(len(a), len(b)) for a, b in rows)[-5]
    assert longest <= advice.proposed["max_characters"] <= 1.1 * longest + 10
    assert 1.5 <= advice.proposed["max_length_ratio"] < 4
    assert advice.proposed["max_word_characters"] == 30
    assert advice.proposed["match_quotes"] is advice.proposed["match_end_punctuation"] is True
    rules = {rule.name: rule for rule in advice.rules}
    assert (rules["numbers"].n_now, rules["numbers"].n_proposed) == (1, 1)
    assert [example.origin for example in rules["numbers"].examples] == ["part0.en:201"]
    assert rules["numbers"].examples[0].detail == "1987 and 1978"
    assert (rules["too_long"].n_now, rules["too_long"].n_proposed) == (0, 1)
    assert rules["quotes"].n_now is None and rules["quotes"].n_proposed == 0


def test_the_proposal_is_a_settings_file(tmp_path: Path) -> None:
    advice = advise(load_corpus(write_corpus(tmp_path, good_rows(1500))))
    lines = list(advice_lines(advice))
    text = "\n".join(lines[lines.index("# prepare.yaml") :])
    config = PrepareConfig.model_validate(yaml.safe_load(text))
    assert config.clean == CleanConfig(**advice.proposed)
    again = advise(load_corpus(tmp_path / "corpus.yaml"), config)
    assert again.proposed == {}
    assert sum(item.n_dropped_now for item in again.inputs) == sum(
        item.n_dropped_proposed for item in advice.inputs
    )


def test_a_sample_is_at_most_as_large_as_asked(tmp_path: Path) -> None:
    rows = [(f"number {n}", f"Nummer {n + 1}") for n in range(997)]
    corpus = load_corpus(write_corpus(tmp_path, rows))
    for n_rows in (1, 2, 10, 300, 996, 997, 5000):
        advice = advise(corpus, n_rows=n_rows)
        assert advice.n_rows == min(n_rows, 997)
        assert advice.inputs[0].n_dropped_now == advice.n_rows


def test_a_sample_does_not_follow_the_period_of_an_input(tmp_path: Path) -> None:
    kinds = [("12 dogs", "13 Hunde"), ("A dog runs.", "Ein Hund rennt."), ("", "leer")]
    corpus = load_corpus(write_corpus(tmp_path, kinds * 400))
    advice = advise(corpus, n_rows=300)
    n_dropped = {rule.name: rule.n_now for rule in advice.rules}
    for name in ("numbers", "empty"):
        assert abs(n_dropped[name] - 100) < 33  # four standard deviations


def test_few_rows_give_no_thresholds(tmp_path: Path) -> None:
    advice = advise(load_corpus(write_corpus(tmp_path, good_rows(30))))
    assert advice.proposed == {}
    assert list(advice_lines(advice))[-2:] == [
        "note: thresholds are proposed from 1,000 rows on",
        "no change of the settings is proposed",
    ]


def test_inputs_have_their_own_settings_and_given_files_are_left_out(tmp_path: Path) -> None:
    rows = [("12 dogs &amp; cats", "13 Hunde"), ("A dog", "Ein Hund")]
    write_corpus(tmp_path, rows, split="train")
    write_corpus(tmp_path, rows, split="train", clean={"match_numbers": False})
    write_corpus(tmp_path, rows, split="test")
    advice = advise(load_corpus(tmp_path / "corpus.yaml"))
    assert [(item.n_rows, item.n_dropped_now) for item in advice.inputs] == [(2, 1), (2, 0)]
    assert advice.n_repaired["entities"] == 2


def test_the_command_prints_the_advice_and_writes_nothing(tmp_path: Path) -> None:
    description = write_corpus(tmp_path, [("12 dogs", "13 Hunde"), ("A dog", "Ein Hund")])
    before = sorted(tmp_path.iterdir())
    result = CliRunner().invoke(app, ["prepare", str(description), "--advise", "--sample", "9"])
    assert result.exit_code == 0, result.output
    assert "part0.en+part0.de: 2 rows looked at; drops 1 now" in result.output
    assert "    part0.en:1 (12 and 13)" in result.output
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--advise", "--output", "x"], "--output cannot be combined with --advise"),
        (["--sample", "5", "--output", "x"], "--sample needs --advise"),
        (["--preview", "--advise"], "--advise cannot be combined with --preview"),
    ],
)
def test_options_that_do_not_go_together(tmp_path: Path, options: list[str], message: str) -> None:
    description = write_corpus(tmp_path, [("A dog", "Ein Hund")])
    result = CliRunner().invoke(app, ["prepare", str(description), *options])
    assert result.exit_code != 0
    assert message in str(result.exception)
