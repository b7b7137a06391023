"""An evaluation scores the model's own translations and writes one report and one score file."""

from __future__ import annotations

import json
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lingo_model import InputError, Translator, load_bundle, save_bundle
from pipeline.dataset.dataset import open_dataset
from pipeline.dataset.manifest import MANIFEST
from pipeline.dataset.splits import SPLITS, checked_split
from pipeline.decoding import DecodeConfig
from pipeline.evaluate.metrics import corpus_scores
from pipeline.evaluate.scores import ScoreReport
from pipeline.evaluate.stage import evaluate_model
from pipeline.prepare.corpus import CorpusDescription
from pipeline.prepare.stage import prepare_corpus
from pipeline.schemas import SCORES, SEGMENTS


@pytest.fixture(scope="module")
def evaluated(
    tmp_path_factory: pytest.TempPathFactory, dataset: Path, bundle: Path
) -> tuple[Path, ScoreReport]:
    """A folder of reports, and the report of one evaluation in it."""
    reports = tmp_path_factory.mktemp("evaluated") / "reports"
    return reports, evaluate_model(dataset, bundle, reports)


def test_a_report_is_written_in_every_format(
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
        assert "The leakage certificate of the dataset states" in text


def test_the_segments_are_the_scored_translations(
    evaluated: tuple[Path, ScoreReport], dataset: Path, bundle: Path
) -> None:
    _, report = evaluated
    segments = pq.read_table(Path(report.folder) / "segments.parquet")
    pairs = open_dataset(dataset).pairs("test")
    pairs_by_id = {pair["pair_id"]: pair for pair in pairs.to_pylist()}

    assert segments.schema.equals(SEGMENTS)
    assert segments.num_rows == report.n_sentences == len(pairs_by_id) > 30
    for row in segments.to_pylist():
        pair = pairs_by_id.pop(row["pair_id"])
        assert (row["source"], row["reference"]) == (pair["source"], pair["target"])
    assert not pairs_by_id
    translator = Translator(load_bundle(bundle))
    one_by_one = [translator.translate([text])[0] for text in segments["source"].to_pylist()[:5]]
    assert segments["translation"].to_pylist()[:5] == [t.text for t in one_by_one]
    assert segments["score"].to_pylist()[:5] == pytest.approx(
        [t.score for t in one_by_one], abs=1e-5
    )
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
    assert {(row["precision"], row["beam_size"]) for row in rows} == {("float32", 1)}
    for name in set(SCORES.names) - {"metric", "score", "signature", "precision", "beam_size"}:
        assert {row[name] for row in rows} == {getattr(report, name)}


def files_below(folder: Path) -> list[str]:
    """Relative paths of all files below a folder, including hidden files."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_repeated_evaluation_overwrites_and_another_model_or_split_adds(
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


def test_a_report_warns_if_the_model_was_trained_on_another_dataset(
    dataset: Path, bundle: Path, tmp_path: Path
) -> None:
    model = changed_bundle(bundle, tmp_path / "foreign", dataset_fingerprint="another")
    report = evaluate_model(dataset, model, tmp_path / "reports")

    assert not report.same_dataset
    for name in ("report.md", "report.html"):
        text = (Path(report.folder) / name).read_text(encoding="utf-8")
        assert "The model was trained on another dataset." in text
        assert "leakage certificate" not in text


def changed_bundle(bundle: Path, path: Path, **changes: str) -> Path:
    """A copy of a model with another manifest."""
    original = load_bundle(bundle)
    facts = {
        "source_lang": "en",
        "target_lang": "es",
        "dataset_fingerprint": original.manifest.dataset_fingerprint,
        "recipe_fingerprint": "none",
    }
    save_bundle(
        path, original.model, original.subwords, training={"history": []}, **(facts | changes)
    )
    return path


def test_a_model_of_other_languages_is_refused(dataset: Path, bundle: Path, tmp_path: Path) -> None:
    model = changed_bundle(bundle, tmp_path / "backward", source_lang="es", target_lang="en")
    with pytest.raises(InputError) as error:
        evaluate_model(dataset, model, tmp_path / "reports")
    assert str(error.value) == (
        f"{model}: the model translates es-en, but {dataset} is en-es; choose a model for en-es"
    )
    assert not (tmp_path / "reports").exists()


@pytest.mark.parametrize(
    ("source_lang", "target_lang"), [("en-US", "es"), ("EN", "ES"), ("eng", "spa_Latn")]
)
def test_other_tags_of_the_same_languages_are_noted(
    dataset: Path, bundle: Path, tmp_path: Path, source_lang: str, target_lang: str
) -> None:
    model = changed_bundle(
        bundle, tmp_path / "tagged", source_lang=source_lang, target_lang=target_lang
    )
    report = evaluate_model(dataset, model, tmp_path / "reports")
    (note,) = report.notes
    assert f"translates {source_lang}-{target_lang}, and the dataset is en-es" in note
    for name in ("report.md", "report.html"):
        assert "regions or scripts may differ" in (Path(report.folder) / name).read_text("utf-8")


def rewritten_test_pairs(
    dataset: Path, path: Path, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> Path:
    """A copy of a dataset whose test pairs are changed in place, as an earlier release has them."""
    shutil.copytree(dataset, path)
    for file in (path / "pairs" / "split=test").iterdir():
        table = pq.ParquetFile(file).read()
        rows = [change(row) for row in table.to_pylist()]
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), file)
    return path


def test_references_in_another_normal_form_have_the_same_scores(
    dataset: Path, bundle: Path, evaluated: tuple[Path, ScoreReport], tmp_path: Path
) -> None:
    def decomposed(row: dict[str, Any]) -> dict[str, Any]:
        return row | {
            side: unicodedata.normalize("NFD", row[side]) for side in ("source", "target")
        }

    copy = rewritten_test_pairs(dataset, tmp_path / "nfd", decomposed)
    report = evaluate_model(copy, bundle, tmp_path / "reports")
    assert report.scores == evaluated[1].scores
    assert "compared in Unicode NFC" in (Path(report.folder) / "report.md").read_text("utf-8")


def test_a_given_test_file_is_scored_whole(dataset: Path, bundle: Path, tmp_path: Path) -> None:
    rows = [
        ("", "vacía"),
        ("word " * 3000, "palabra " * 3000),
        ("short", ""),
        ("a dog", "un perro"),
    ]
    lines = ["source\ttarget", *("\t".join(row) for row in rows)]
    (tmp_path / "test.tsv").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    inputs = [
        {"path": dataset.parent / "train.tsv", "split": "train"},
        {"path": tmp_path / "test.tsv", "split": "test"},
    ]
    corpus = CorpusDescription.model_validate(
        {"source_lang": "en", "target_lang": "es", "inputs": inputs}
    )
    prepare_corpus(corpus, tmp_path / "dataset")
    decode = DecodeConfig(max_source_tokens=100)
    report = evaluate_model(tmp_path / "dataset", bundle, tmp_path / "reports", decode=decode)
    assert (report.n_sentences, report.n_given_rows) == (4, 4)
    assert report.decode == decode
    text = (Path(report.folder) / "report.md").read_text("utf-8")
    assert "sentences: 4 (all rows of the given files)" in text


def test_a_report_says_how_many_rows_an_earlier_release_left_out(
    dataset: Path, bundle: Path, tmp_path: Path
) -> None:
    def three_lost(values: dict[str, Any]) -> None:
        (entry,) = (item for item in values["inputs"] if item["split"] == "test")
        entry["n_read"] += 3
        entry["n_rejected"] = {"empty": 3}

    copy = changed_dataset(dataset, tmp_path / "dataset", three_lost)
    report = evaluate_model(copy, bundle, tmp_path / "reports")
    for name in ("report.md", "report.html"):
        text = (Path(report.folder) / name).read_text("utf-8")
        assert "(of the 43 rows of the given files)" in text
        assert "40" in text


def test_references_that_the_model_cannot_spell_are_noted(
    dataset: Path, bundle: Path, tmp_path: Path
) -> None:
    def with_unknown(row: dict[str, Any]) -> dict[str, Any]:
        return row | {"target": row["target"].replace("a", "字")}

    copy = rewritten_test_pairs(dataset, tmp_path / "unknown", with_unknown)
    report = evaluate_model(copy, bundle, tmp_path / "reports")
    n_changed = sum("字" in text for text in open_dataset(copy).pairs("test")["target"].to_pylist())
    assert f"{n_changed} of 40 references do not survive the model's subwords, so no" in (
        "".join(report.notes)
    )


def test_lower_cased_references_are_noted(
    dataset: Path, other_bundle: Path, tmp_path: Path
) -> None:
    def lower_cased(row: dict[str, Any]) -> dict[str, Any]:
        return row | {"target": row["target"].lower()}

    copy = rewritten_test_pairs(dataset, tmp_path / "lower", lower_cased)
    report = evaluate_model(copy, other_bundle, tmp_path / "reports")
    assert [note for note in report.notes if "look lower-cased" in note]


def test_an_empty_split_is_refused(dataset: Path, bundle: Path, tmp_path: Path) -> None:
    def empty_test(values: dict[str, Any]) -> None:
        values["splits"]["test"] |= {"n_pairs": 0, "pairs_files": [], "encoded_files": []}

    copy = changed_dataset(dataset, tmp_path / "dataset", empty_test)
    with pytest.raises(InputError) as error:
        evaluate_model(copy, bundle, tmp_path / "reports")
    assert str(error.value) == f"{copy}: the test split is empty; choose another split"
    assert not (tmp_path / "reports").exists()


def changed_dataset(dataset: Path, path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy of a dataset with a changed manifest."""
    shutil.copytree(dataset, path)
    values = json.loads((path / MANIFEST).read_bytes())
    change(values)
    (path / MANIFEST).write_text(json.dumps(values))
    return path


def test_a_missing_dataset_or_model_is_refused(dataset: Path, bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none: not a dataset .*`lingo prepare`"):
        evaluate_model(tmp_path / "none", bundle, tmp_path)
    with pytest.raises(InputError, match=r"none: not a model bundle .*`lingo train`"):
        evaluate_model(dataset, tmp_path / "none", tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_damaged_training_history_is_refused(dataset: Path, bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(bundle, tmp_path / "model")
    (tmp_path / "model" / "training.json").write_text("{")
    with pytest.raises(InputError) as error:
        evaluate_model(dataset, tmp_path / "model", tmp_path / "reports")
    assert str(error.value).startswith(f"{tmp_path / 'model' / 'training.json'}: not valid JSON")


def test_unknown_split_names_are_refused() -> None:
    assert [checked_split(split) for split in SPLITS] == ["train", "valid", "test"]
    with pytest.raises(InputError) as error:
        checked_split("dev")
    assert str(error.value) == "split='dev': needs one of train, valid, test"


def test_an_unknown_metric_raises_key_error(evaluated: tuple[Path, ScoreReport]) -> None:
    _, report = evaluated
    assert report.score("BLEU") == report.scores[0].score
    with pytest.raises(KeyError, match="METEOR"):
        report.score("METEOR")
