"""The rule ``cross_entropy``: its score, the rows that it judges, and its models."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from pydantic import ValidationError

from lingo_model import InputError, Scorer, SimpleSeq2SeqLSTM, Subwords, load_bundle, save_bundle
from pipeline.dataset.manifest import DatasetManifest
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.prepare.advise import advice_lines, advise
from pipeline.prepare.config import CleanConfig, CrossEntropyConfig, PrepareConfig, SubwordsConfig
from pipeline.prepare.corpus import CorpusDescription, load_corpus
from pipeline.prepare.notes import notes_of
from pipeline.prepare.rules import cross_entropy
from pipeline.prepare.rules.cross_entropy import ScoringModels, describe, dual_score
from pipeline.prepare.rules.registry import check, details
from pipeline.prepare.stage import prepare_corpus
from pipeline.prepare.texts import PairTexts, TextColumn

PAIRS = [(pair.source, pair.target) for pair in generate_pairs(120, seed=4, split="train")]
SUBWORDS = SubwordsConfig(vocab_size=120)


def write_bundle(path: Path, languages: str = "en es", seed: int = 1) -> Path:
    """An untrained model, whose scores differ from pair to pair."""
    subwords = Subwords.train([text for pair in PAIRS for text in pair], vocab_size=100)
    torch.manual_seed(seed)
    size = subwords.vocab_size
    model = SimpleSeq2SeqLSTM(size, size, emb_dim=8, hidden_dim=8, num_layers=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-1.0, 1.0)
    source_lang, target_lang = languages.split()
    save_bundle(
        path,
        model,
        subwords,
        source_lang=source_lang,
        target_lang=target_lang,
        dataset_fingerprint="d" * 64,
        recipe_fingerprint="r" * 64,
        training={},
    )
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a corpus, and with the models ``models/en-es`` and ``models/es-en``."""
    write_bundle(tmp_path / "models" / "en-es", "en es")
    write_bundle(tmp_path / "models" / "es-en", "es en", seed=2)
    for number in range(2):
        lines = ["\t".join(pair) for pair in PAIRS[number * 60 : number * 60 + 60]]
        text = "\n".join(["source\ttarget", *lines, "a row of\t\n"])
        (tmp_path / f"{number}.tsv").write_text(text, encoding="utf-8")
    return tmp_path


def rule(**changed: Any) -> CrossEntropyConfig:
    return CrossEntropyConfig.model_validate(
        {"forward": "models/en-es", "backward": "models/es-en"} | changed
    )


def texts_of(pairs: Sequence[tuple[str, str]], languages: str = "en es") -> PairTexts:
    sources, targets = zip(*pairs, strict=True)
    return PairTexts(TextColumn.of(sources), TextColumn.of(targets), *languages.split())


def expected_scores(folder: Path) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The score of each pair, from the models alone."""
    sources, targets = [source for source, _ in PAIRS], [target for _, target in PAIRS]
    forward = Scorer(load_bundle(folder / "models" / "en-es")).cross_entropy(sources, targets)
    backward = Scorer(load_bundle(folder / "models" / "es-en")).cross_entropy(targets, sources)
    pairs = zip(forward, backward, strict=True)
    return np.array([abs(f - b) + (f + b) / 2 for f, b in pairs])


def test_the_score_by_hand() -> None:
    # |1 - 1| + 1 = 1; |3 - 1| + 2 = 4 in both directions; |0.5 - 4.5| + 2.5 = 6.5.
    forward, backward = np.array([1.0, 3.0, 1.0, 0.5]), np.array([1.0, 1.0, 3.0, 4.5])
    assert dual_score(forward, backward).tolist() == [1.0, 4.0, 4.0, 6.5]
    assert describe(3.1, 2.2) == "3.55 (forward 3.10, backward 2.20)"


def test_pairs_above_the_threshold_are_rejected_with_their_score(folder: Path) -> None:
    scores = expected_scores(folder)
    limit = float(np.median(scores))
    config = CleanConfig(cross_entropy=rule(max_score=limit + 1e-3))
    verdicts = check(texts_of(PAIRS), config, folder=folder)
    assert verdicts.reasons[-1] == "cross_entropy"
    np.testing.assert_array_equal(verdicts.kept, scores <= limit + 1e-3)
    [row, *_] = np.flatnonzero(~verdicts.kept).tolist()
    [detail] = details(texts_of(PAIRS), verdicts, [row], config, folder=folder)
    assert detail is not None
    assert detail.startswith(f"{scores[row]:.2f} (forward ")


def test_only_pairs_that_every_other_rule_keeps_are_scored(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "own_here.py").write_text(
        "import pyarrow.compute as pc\n\n\n"
        "def no_dogs(batch, settings):\n"
        "    return pc.match_substring(batch['target'], 'perro')\n",
        encoding="utf-8",
    )
    scored: list[str] = []
    entropies = ScoringModels.entropies

    def recorded(self: ScoringModels, texts: PairTexts) -> Any:
        scored.extend(texts.target.to_list())
        return entropies(self, texts)

    monkeypatch.setattr(ScoringModels, "entropies", recorded)
    pairs = [("the red house", "la casa"), ("the dog", "el perro"), ("a cat", ""), ("no", "gato")]
    config = CleanConfig(cross_entropy=rule(max_score=0.001), own_rules=("own_here:no_dogs",))
    verdicts = check(texts_of(pairs), config, folder=folder)
    assert [verdicts.reasons[number] for number in verdicts.first] == [
        "cross_entropy",
        "no_dogs",
        "empty",
        "cross_entropy",
    ]
    assert scored == ["la casa", "gato"]


def test_a_text_that_takes_too_much_memory_is_not_judged(folder: Path) -> None:
    pairs = [("a cat", "un gato"), ("cat " * 1100, "gato " * 1100)]
    config = CleanConfig(
        cross_entropy=rule(max_score=0.001),
        max_characters=None,
        max_repeated_words=None,
        language={"enabled": False},
    )
    assert check(texts_of(pairs), config, folder=folder).kept.tolist() == [False, True]


def corpus_in(folder: Path, **of_first: Any) -> CorpusDescription:
    """The corpus of the folder, with settings of the first input."""
    inputs = [{"path": "0.tsv"} | of_first, {"path": "1.tsv"}]
    values = {"source_lang": "en", "target_lang": "es", "inputs": inputs}
    (folder / "corpus.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return load_corpus(folder / "corpus.yaml")


def prepared(
    folder: Path, output: str, settings: CrossEntropyConfig, **options: Any
) -> tuple[DatasetManifest, list[dict[str, Any]]]:
    """Prepare the corpus. Returns the manifest and the rows that the rule rejects."""
    config = PrepareConfig(subwords=SUBWORDS, clean=CleanConfig(cross_entropy=settings))
    manifest = prepare_corpus(corpus_in(folder), folder / output, config, **options)
    files = sorted((folder / output / "rejected").glob("*.parquet"))
    rows = pa.concat_tables([pq.read_table(file) for file in files]).to_pylist()
    return manifest, [row for row in rows if row["reason"] == "cross_entropy"]


def test_prepare_rejects_and_counts_the_pairs(folder: Path) -> None:
    scores = expected_scores(folder)
    limit = float(np.sort(scores)[80] + np.sort(scores)[81]) / 2
    manifest, rows = prepared(folder, "one", rule(max_score=limit), n_workers=1)
    again, same = prepared(folder, "two", rule(max_score=limit), n_workers=2)
    assert again == manifest
    assert same == rows
    assert [row["source"] for row in rows] == [
        source for (source, _), score in zip(PAIRS, scores, strict=True) if score > limit
    ]
    assert sum(item.n_rejected["cross_entropy"] for item in manifest.inputs) == len(rows) == 39
    for item in manifest.inputs:
        assert item.n_kept + sum(item.n_rejected.values()) == item.n_read == 61
        assert item.n_rejected["empty"] == 1
    assert not [note for note in notes_of(manifest) if "cross_entropy" in note]


def test_one_input_can_have_the_rule_alone(folder: Path) -> None:
    corpus = corpus_in(
        folder, clean={"cross_entropy": rule(max_score=0.001).model_dump(mode="json")}
    )
    config = PrepareConfig(subwords=SUBWORDS)
    manifest = prepare_corpus(corpus, folder / "dataset", config)
    assert [item.n_rejected.get("cross_entropy") for item in manifest.inputs] == [60, None]
    [note] = [note for note in notes_of(manifest) if "cross_entropy" in note]
    assert note.startswith("0.tsv: cross_entropy drops 60 of 61 rows; models of another subject")


def test_the_models_and_not_their_places_are_in_the_fingerprint(folder: Path) -> None:
    manifest, _ = prepared(folder, "dataset", rule(max_score=100.0))
    shutil.move(folder / "models", folder / "moved")
    moved = rule(forward="moved/en-es", backward=folder / "moved/es-en", max_score=100.0)
    assert prepared(folder, "dataset", moved)[0] == manifest

    shutil.rmtree(folder / "moved" / "en-es")
    write_bundle(folder / "moved" / "en-es", seed=3)
    with pytest.raises(InputError, match=r"config\.clean\.cross_entropy\.forward was '\w{16}'"):
        prepared(folder, "dataset", moved)


def test_datasets_without_the_rule_do_not_name_it(folder: Path) -> None:
    manifest, _ = prepared(folder, "dataset", CrossEntropyConfig())
    assert "cross_entropy" not in yaml.safe_dump(manifest.made_from)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"forward": "models/es-en", "backward": "models/en-es"},
            r"^clean\.cross_entropy\.forward: .*models/es-en translates es-en; needs a model for "
            r"en-es; 'forward' and 'backward' may be swapped$",
        ),
        (
            {"backward": "models/fr-en"},
            r"^clean\.cross_entropy\.backward: .*models/fr-en translates fr-en; needs a model for "
            r"es-en$",
        ),
        (
            {"backward": "models/none"},
            r"^clean\.cross_entropy\.backward: .*models/none: not a model bundle",
        ),
    ],
)
def test_wrong_models_are_refused_before_anything_is_written(
    folder: Path, changed: dict[str, str], message: str
) -> None:
    write_bundle(folder / "models" / "fr-en", "fr en")
    with pytest.raises(InputError, match=message):
        prepared(folder, "dataset", rule(**changed))
    assert not (folder / "dataset").exists()


def test_regions_of_the_languages_may_differ(folder: Path) -> None:
    config = CleanConfig(cross_entropy=rule(max_score=100.0))
    assert check(texts_of(PAIRS, "en-GB es_MX"), config, folder=folder).kept.all()


def test_damaged_weights_are_named(folder: Path) -> None:
    (folder / "models" / "es-en" / "weights.safetensors").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"models/es-en/weights\.safetensors: its fingerprint is"):
        prepared(folder, "dataset", rule())


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"forward": "a"}, "'backward' is missing; the rule needs a model of each direction"),
        ({"backward": "a"}, "'forward' is missing"),
        ({"max_score": 0}, "greater than 0"),
        ({"max_score": "nan"}, "finite"),
        ({"maximum": 1}, "Extra inputs are not permitted"),
    ],
)
def test_wrong_settings_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CrossEntropyConfig.model_validate(values)


def test_the_number_of_threads_of_torch_is_restored(folder: Path) -> None:
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        models = cross_entropy.scoring_models(rule(), folder)
        models.entropies(texts_of(PAIRS[:3]))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(n_threads)


def test_advice_has_the_scores_of_the_rows_that_other_rules_keep(folder: Path) -> None:
    scores = expected_scores(folder)
    limit = float(np.sort(scores)[100] + np.sort(scores)[101]) / 2
    clean = {"cross_entropy": rule(max_score=limit).model_dump(mode="json")}
    advice = advise(corpus_in(folder, clean=clean))
    [scored] = advice.scores
    assert scored.name == "0.tsv"
    assert (scored.n_rows, scored.n_above) == (60, int(np.count_nonzero(scores[:60] > limit)))
    assert scored.percentiles[50] == pytest.approx(np.median(scores[:60]), abs=1e-4)
    assert [line for line in advice_lines(advice) if line.startswith("rule cross_entropy: drops")]
    assert "cross_entropy" not in {item.name for item in advice.rules}


def test_advice_refuses_wrong_models(folder: Path) -> None:
    clean = {"cross_entropy": rule(backward="models/en-es").model_dump(mode="json")}
    with pytest.raises(InputError, match=r"cross_entropy\.backward: .* needs a model for es-en"):
        advise(corpus_in(folder, clean=clean))
