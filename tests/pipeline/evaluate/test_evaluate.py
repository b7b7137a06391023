"""Scores are sacreBLEU's own, joined by id, and an evaluation leaves one record of itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError, Translation, Translator, load_bundle, save_bundle
from pipeline.dataset.dataset import open_dataset
from pipeline.dataset.manifest import MANIFEST
from pipeline.dataset.splits import SPLITS, checked_split
from pipeline.evaluate.scores import ScoreReport, corpus_scores
from pipeline.evaluate.stage import evaluate_model, join_by_id
from pipeline.schemas import PAIRS, SCORES, SEGMENTS

# Matches, misses, an empty translation, punctuation, case and letters beyond ASCII.
CORPUS = [
    ("The cat sat on the mat.", "The cat sat on the mat."),
    ("the dog runs quickly , away", "The dog quickly runs away."),
    ("", "Nothing was said."),
    ("El niño comió 3,5 manzanas rojas", "El niño se comió 3,5 manzanas rojas."),
    ("¿Dónde está la biblioteca?", "¿Dónde queda la biblioteca?"),
]


def test_scores_and_signatures_are_those_of_the_sacrebleu_command(tmp_path: Path) -> None:
    translations, references = map(list, zip(*CORPUS, strict=True))
    for name, lines in (("hyp", translations), ("ref", references)):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    command = [sys.executable, "-m", "sacrebleu", "ref", "-i", "hyp", "-m", "bleu", "chrf", "ter"]
    done = subprocess.run(
        [*command, "--width", "9"], cwd=tmp_path, capture_output=True, check=True, timeout=60
    )
    expected = json.loads(done.stdout)

    found = corpus_scores(translations, references, "es")

    assert [(s.metric, s.signature) for s in found] == [
        (e["name"], e["signature"]) for e in expected
    ]
    assert [s.score for s in found] == pytest.approx([e["score"] for e in expected], abs=1e-8)
    assert all(0 < s.score < 100 for s in found)  # neither end of the scale: it could differ


def test_a_perfect_translation() -> None:
    references = [reference for _, reference in CORPUS]
    assert {
        s.metric: s.score for s in corpus_scores(references, references, "es")
    } == pytest.approx({"BLEU": 100, "chrF2": 100, "TER": 0})


@pytest.mark.parametrize(
    ("language", "tokenizer", "translation", "reference"),
    [
        ("zh-Hans", "zh", "两只小狗正在花园里面玩耍。", "两只大狗正在花园里面玩耍。"),
        ("ja", "char", "二匹の小犬が庭で遊んでいます。", "二匹の大犬が庭で遊んでいます。"),
        ("th", "char", "สุนัขสองตัวเล่นในสวน", "สุนัขสามตัวเล่นในสวน"),
        ("de_AT", "13a", "Zwei kleine Hunde spielen im Garten.", "Zwei Hunde spielen im Garten."),
    ],
)
def test_words_are_told_apart_as_the_language_has_them(
    language: str, tokenizer: str, translation: str, reference: str
) -> None:
    """One character of a sentence is wrong; as one word, which 13a takes it for, all of it is."""
    found = {s.metric: s for s in corpus_scores([translation], [reference], language)}
    assert f"|tok:{tokenizer}|" in found["BLEU"].signature
    assert 40 < found["BLEU"].score < 95
    if language != "th":
        assert 0 < found["TER"].score < 40
    else:
        assert "TER" not in found


@pytest.mark.parametrize(("n_translations", "n_references"), [(2, 3), (3, 2), (0, 1)])
def test_lists_of_unequal_length_are_refused(n_translations: int, n_references: int) -> None:
    match = f"{n_translations} translations but {n_references} references"
    with pytest.raises(ValueError, match=match):
        corpus_scores(["a"] * n_translations, ["a"] * n_references, "es")


def pairs_table(ids: list[str]) -> pa.Table:
    """Pairs whose texts tell their id."""
    columns = {
        "pair_id": ids,
        "source": [f"source {i}" for i in ids],
        "target": [f"target {i}" for i in ids],
    }
    return pa.table(columns, schema=pa.schema([PAIRS.field(name) for name in columns]))


def translation_of(pair_id: str) -> Translation:
    """A translation that tells its pair's id."""
    return Translation(f"target {pair_id}", -float(ord(pair_id)), 1, 1, truncated=False)


def test_segments_are_joined_by_id_whatever_the_order() -> None:
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
    found = {"a": translation_of("a"), "b": Translation("wholly other", -1, 1, 1, truncated=False)}
    right, wrong = join_by_id(pairs_table(["a", "b"]), found)["chrf"].to_pylist()
    assert right == pytest.approx(100)
    assert 0 <= wrong < 50


@pytest.mark.parametrize(
    ("pair_ids", "translation_ids", "counts"),
    [
        ("abc", "ab", "1 references have no translation, 0 translations no reference, 0 ids"),
        ("a", "abc", "0 references have no translation, 2 translations no reference, 0 ids"),
        ("abc", "abd", "1 references have no translation, 1 translations no reference, 0 ids"),
        ("abab", "ab", "0 references have no translation, 0 translations no reference, 2 ids"),
    ],
)
def test_other_ids_are_refused(pair_ids: str, translation_ids: str, counts: str) -> None:
    with pytest.raises(ValueError, match=f"{counts} repeat"):
        join_by_id(pairs_table(list(pair_ids)), {i: translation_of(i) for i in translation_ids})


@pytest.fixture(scope="module")
def evaluated(
    tmp_path_factory: pytest.TempPathFactory, dataset: Path, bundle: Path
) -> tuple[Path, ScoreReport]:
    """A folder of reports, and what was reported."""
    reports = tmp_path_factory.mktemp("evaluated") / "reports"
    return reports, evaluate_model(dataset, bundle, reports)


def test_a_report_is_written_in_all_its_forms(
    evaluated: tuple[Path, ScoreReport], dataset: Path, bundle: Path
) -> None:
    reports, report = evaluated
    folder = Path(report.folder)

    assert folder == reports / f"tiny-test-{report.evaluation_id[:8]}"
    assert sorted(path.name for path in folder.iterdir()) == [
        "report.html",
        "report.json",
        "report.md",
        "segments.parquet",
    ]
    assert ScoreReport.model_validate_json((folder / "report.json").read_bytes()) == report
    assert report.model_id == load_bundle(bundle).manifest.model_id
    assert report.dataset_fingerprint == open_dataset(dataset).manifest.fingerprint
    assert (report.split, report.source_lang, report.target_lang) == ("test", "en", "es")
    assert report.same_dataset
    assert [score.metric for score in report.scores] == ["BLEU", "chrF2", "TER"]
    for name in ("report.md", "report.html"):
        text = (folder / name).read_text(encoding="utf-8")
        assert f"{report.score('TER'):.2f}" in text
        assert "its leakage certificate says" in text


def test_the_segments_are_what_was_scored(
    evaluated: tuple[Path, ScoreReport], dataset: Path, bundle: Path
) -> None:
    _, report = evaluated
    segments = pq.read_table(Path(report.folder) / "segments.parquet")
    pairs = open_dataset(dataset).pairs("test")
    wanted = {pair["pair_id"]: pair for pair in pairs.to_pylist()}

    assert segments.schema.equals(SEGMENTS)
    assert segments.num_rows == report.n_sentences == len(wanted) > 30
    for row in segments.to_pylist():
        pair = wanted.pop(row["pair_id"])
        assert (row["source"], row["reference"]) == (pair["source"], pair["target"])
    assert not wanted
    translator = Translator(load_bundle(bundle))
    alone = [translator.translate([text])[0] for text in segments["source"].to_pylist()[:5]]
    assert segments["translation"].to_pylist()[:5] == [t.text for t in alone]
    assert segments["score"].to_pylist()[:5] == pytest.approx([t.score for t in alone], abs=1e-5)
    assert report.scores == tuple(
        corpus_scores(segments["translation"].to_pylist(), segments["reference"].to_pylist(), "es")
    )


def test_the_scores_table_has_a_row_for_each_metric(evaluated: tuple[Path, ScoreReport]) -> None:
    reports, report = evaluated
    table = pq.read_table(reports / "scores")

    assert table.schema.equals(SCORES)
    rows = table.to_pylist()
    assert [(r["metric"], r["score"], r["signature"]) for r in rows] == [
        (s.metric, s.score, s.signature) for s in report.scores
    ]
    assert {(row["precision"], row["beam_size"]) for row in rows} == {("exact", 1)}
    for name in set(SCORES.names) - {"metric", "score", "signature", "precision", "beam_size"}:
        assert {row[name] for row in rows} == {getattr(report, name)}


def files_below(folder: Path) -> list[str]:
    """Paths of all files below a folder, hidden ones too."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_again_overwrites_and_another_model_or_split_adds(
    dataset: Path, bundle: Path, other_bundle: Path, tmp_path: Path
) -> None:
    first = evaluate_model(dataset, bundle, tmp_path)
    files = files_below(tmp_path)
    second = evaluate_model(dataset, bundle, tmp_path)

    assert files_below(tmp_path) == files
    volatile = {"evaluated_at", "seconds"}
    assert second.model_dump(exclude=volatile) == first.model_dump(exclude=volatile)
    table = pq.read_table(tmp_path / "scores")
    assert table.num_rows == 3
    assert set(table["evaluated_at"].to_pylist()) == {second.evaluated_at}

    other = evaluate_model(dataset, other_bundle, tmp_path)
    valid = evaluate_model(dataset, bundle, tmp_path, split="valid")
    table = pq.read_table(tmp_path / "scores")
    assert sorted(zip(table["model"].to_pylist(), table["split"].to_pylist(), strict=True)) == (
        [("other", "test")] * 3 + [("tiny", "test")] * 3 + [("tiny", "valid")] * 3
    )
    assert len({first.evaluation_id, other.evaluation_id, valid.evaluation_id}) == 3
    assert len(files_below(tmp_path)) == 3 * len(files)


def test_a_model_of_another_dataset_is_said_to_be_unchecked(
    dataset: Path, bundle: Path, tmp_path: Path
) -> None:
    model = changed_bundle(bundle, tmp_path / "stranger", dataset_fingerprint="another")
    report = evaluate_model(dataset, model, tmp_path / "reports")

    assert not report.same_dataset
    for name in ("report.md", "report.html"):
        text = (Path(report.folder) / name).read_text(encoding="utf-8")
        assert "nobody has checked that it never saw these sentences" in text
        assert "leakage certificate" not in text


def changed_bundle(bundle: Path, path: Path, **changes: str) -> Path:
    """The same model under another manifest."""
    found = load_bundle(bundle)
    facts = {
        "source_lang": "en",
        "target_lang": "es",
        "dataset_fingerprint": found.manifest.dataset_fingerprint,
        "recipe_fingerprint": "none",
    }
    save_bundle(path, found.model, found.subwords, training={"history": []}, **(facts | changes))
    return path


def test_a_model_of_other_languages_is_refused(dataset: Path, bundle: Path, tmp_path: Path) -> None:
    model = changed_bundle(bundle, tmp_path / "backward", source_lang="es", target_lang="en")
    with pytest.raises(InputError) as error:
        evaluate_model(dataset, model, tmp_path / "reports")
    assert str(error.value) == (
        f"{model}: translates es-en but {dataset} is en-es; give a model of its languages"
    )
    assert not (tmp_path / "reports").exists()


def test_an_empty_split_is_refused(dataset: Path, bundle: Path, tmp_path: Path) -> None:
    def empty_test(values: dict[str, Any]) -> None:
        values["splits"]["test"] |= {"n_pairs": 0, "pairs_files": [], "encoded_files": []}

    copy = changed_dataset(dataset, tmp_path / "dataset", empty_test)
    with pytest.raises(InputError) as error:
        evaluate_model(copy, bundle, tmp_path / "reports")
    assert str(error.value) == f"{copy}: its test split is empty; name another split"
    assert not (tmp_path / "reports").exists()


def changed_dataset(dataset: Path, path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of a dataset under a changed manifest."""
    shutil.copytree(dataset, path)
    values = json.loads((path / MANIFEST).read_bytes())
    change(values)
    (path / MANIFEST).write_text(json.dumps(values))
    return path


def test_no_dataset_and_no_model_are_refused(dataset: Path, bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none: not a dataset .*`lingo prepare`"):
        evaluate_model(tmp_path / "none", bundle, tmp_path)
    with pytest.raises(InputError, match=r"none: not a model bundle .*`lingo train`"):
        evaluate_model(dataset, tmp_path / "none", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_history_of_training_is_named(
    dataset: Path, bundle: Path, tmp_path: Path
) -> None:
    shutil.copytree(bundle, tmp_path / "model")
    (tmp_path / "model" / "training.json").write_text("{")
    with pytest.raises(InputError) as error:
        evaluate_model(dataset, tmp_path / "model", tmp_path / "reports")
    assert str(error.value).startswith(f"{tmp_path / 'model' / 'training.json'}: not valid JSON")


def test_split_names() -> None:
    assert [checked_split(split) for split in SPLITS] == ["train", "valid", "test"]
    with pytest.raises(InputError) as error:
        checked_split("dev")
    assert str(error.value) == "split='dev': needs one of train, valid, test"


def test_an_unknown_metric_is_an_error(evaluated: tuple[Path, ScoreReport]) -> None:
    _, report = evaluated
    assert report.score("BLEU") == report.scores[0].score
    with pytest.raises(KeyError, match="METEOR"):
        report.score("METEOR")
