"""Training through Ray Train: one worker equals two, and existing models and runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from lingo_model import InputError, Translator, load_bundle, read_bundle_manifest
from pipeline.errors import RunError
from pipeline.storage.files import write_json
from pipeline.train.export import HISTORY
from pipeline.train.recipe import TrainConfig, TrainResources
from pipeline.train.run_files import PROGRESS, TrainingProgress
from pipeline.train.stage import train_model
from pipeline.training_record import TrainingRecord

pytestmark = pytest.mark.ray

CONFIG = TrainConfig(
    emb_dim=8,
    hidden_dim=16,
    num_layers=2,
    dropout=0.3,
    n_data_shards=2,
    target_tokens_per_step=600,
    max_epochs=1,
    warmup_steps=2,
    eval_every_steps=5,
    max_valid_sentences=10,
)


@pytest.fixture(scope="module")
def trained(
    running_ray: None, dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[int, Path]:
    """Models of the same recipe, trained with one worker and with two."""
    models = tmp_path_factory.mktemp("models")
    for n_workers in (1, 2):
        resources = TrainResources(n_workers=n_workers)
        reported: list[TrainingProgress] = []
        stale = models / "_runs" / str(n_workers) / PROGRESS  # of a process that was killed
        stale.parent.mkdir(parents=True)
        write_json(stale, {"step": 999_999})
        train_model(
            dataset,
            models / str(n_workers),
            CONFIG,
            resources,
            on_progress=reported.append,
        )
        assert 0 < max(progress.step for progress in reported) < 999_999
    return {n: models / str(n) for n in (1, 2)}


def test_one_worker_equals_two(trained: dict[int, Path]) -> None:
    one, two = (TrainingRecord.load(trained[n]).history for n in (1, 2))

    assert [point.step for point in one] == [point.step for point in two]
    for key in ("train_loss", "valid_loss"):
        losses = [getattr(point, key) for point in one]
        assert losses == pytest.approx([getattr(point, key) for point in two], rel=1e-4)


def test_the_bundle_translates_and_the_training_dir_is_removed(trained: dict[int, Path]) -> None:
    bundle = load_bundle(trained[2])

    assert Translator(bundle).translate(["I like cats."])[0].n_target_tokens > 0
    assert (bundle.manifest.source_lang, bundle.manifest.target_lang) == ("en", "es")
    assert TrainingRecord.load(trained[2]).stopped_by == "max_epochs"
    assert not any((trained[2].parent / "_runs").iterdir())


def test_history_parquet_has_a_row_for_each_step_and_the_scores_of_evaluations(
    trained: dict[int, Path],
) -> None:
    one, two = (pq.read_table(trained[n] / HISTORY) for n in (1, 2))
    record = TrainingRecord.load(trained[1])

    assert one["step"].to_pylist() == list(range(1, record.n_steps + 1))
    assert one.schema == two.schema
    assert one["train_loss"].to_pylist() == pytest.approx(two["train_loss"].to_pylist(), rel=1e-4)
    assert one["n_target_tokens"].equals(two["n_target_tokens"])
    measured = [row for row in one.to_pylist() if row["valid_bleu"] is not None]
    assert [row["step"] for row in measured] == [point.step for point in record.history]
    assert [row["valid_loss"] for row in measured] == pytest.approx(
        [point.valid_loss for point in record.history]
    )


def test_a_run_that_diverges_reports_it_and_writes_no_model(
    dataset: Path, tmp_path: Path, running_ray: None
) -> None:
    # With this learning rate, the first step makes the weights overflow.
    config = CONFIG.model_copy(
        update={"learning_rate": 1e30, "warmup_steps": 0, "clip_norm": 1e30, "max_epochs": 3}
    )
    with pytest.raises(
        RunError, match=r"gradients were not finite at step \d+ .*no checkpoint yet"
    ):
        train_model(dataset, tmp_path / "model", config, TrainResources(n_workers=1))
    assert not (tmp_path / "model").exists()


def test_a_damaged_checkpoint_is_reported_before_any_worker_starts(
    dataset: Path, tmp_path: Path
) -> None:
    checkpoints = tmp_path / "_runs" / "model" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "step-00000005.pt").write_bytes(b"no checkpoint")

    with pytest.raises(InputError, match=r"step-00000005\.pt: damaged checkpoint; remove it"):
        train_model(dataset, tmp_path / "model", CONFIG, TrainResources(n_workers=1))


def test_a_finished_model_is_returned_and_another_recipe_is_refused(
    trained: dict[int, Path], dataset: Path
) -> None:
    before = read_bundle_manifest(trained[1])

    assert train_model(dataset, trained[1], CONFIG) == before
    with pytest.raises(InputError, match="holds a model of another recipe"):
        train_model(dataset, trained[1], CONFIG.model_copy(update={"seed": 2}))


def changed_manifest(dataset: Path, folder: Path, **changed: Any) -> Path:
    shutil.copytree(dataset, folder)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    for key, value in changed.items():
        manifest[key] = manifest[key] | value if isinstance(value, dict) else value
    write_json(folder / "manifest.json", manifest)
    return folder


def test_a_dataset_without_certificate_or_validation_split_is_refused(
    dataset: Path, tmp_path: Path
) -> None:
    uncertified = changed_manifest(dataset, tmp_path / "uncertified", leakage=None)
    empty = {
        "n_pairs": 0,
        "n_source_tokens": 0,
        "n_target_tokens": 0,
        "pairs_files": [],
        "encoded_files": [],
    }
    no_valid = changed_manifest(dataset, tmp_path / "no_valid", splits={"valid": empty})

    with pytest.raises(InputError, match="no leakage certificate"):
        train_model(uncertified, tmp_path / "model", CONFIG)
    with pytest.raises(InputError, match="validation split is empty"):
        train_model(no_valid, tmp_path / "model", CONFIG)
    with pytest.raises(InputError, match="n_workers=4: at most n_data_shards=2"):
        train_model(dataset, tmp_path / "model", CONFIG, TrainResources(n_workers=4))
    assert not (tmp_path / "model").exists()
    assert not (tmp_path / "_runs").exists()


def test_a_failure_of_the_workers_is_reported_with_its_reason(
    dataset: Path, tmp_path: Path, running_ray: None
) -> None:
    copy = tmp_path / "dataset"
    shutil.copytree(dataset, copy)
    (file,) = copy.glob("encoded/split=train/*.parquet")
    content = bytearray(file.read_bytes())
    content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)  # the metadata is at the end
    file.write_bytes(content)

    with pytest.raises(RunError) as error:
        train_model(copy, tmp_path / "model", CONFIG, TrainResources(n_workers=1))
    message = str(error.value)
    training_dir = tmp_path / "_runs" / "model"
    assert message.startswith(f"{training_dir}: training failed (InputError: {file}: ")
    assert message.endswith(
        "; fix the cause and run the same command again, which continues from the beginning, "
        "because there is no checkpoint yet"
    )
    assert "\n" not in message
