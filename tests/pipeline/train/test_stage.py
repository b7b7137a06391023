"""What the training stage checks before any worker starts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from lingo_model import InputError
from lingo_model.atomic_files import LOCK, locked
from pipeline.train.checkpoint import Checkpoint, RunState, save_checkpoint
from pipeline.train.recipe import TrainConfig, TrainResources
from pipeline.train.stage import train_model

CONFIG = TrainConfig(
    emb_dim=8,
    hidden_dim=16,
    num_layers=1,
    n_data_shards=8,
    target_tokens_per_step=600,
    max_epochs=1,
)


OTHER_SUBWORDS = Path(__file__).parents[2] / "fixtures/bundle-v1/subwords.model"


def test_a_second_process_cannot_train_the_same_model(dataset: Path, tmp_path: Path) -> None:
    training_dir = tmp_path / "_runs" / "model"
    training_dir.mkdir(parents=True)

    message = r"another process is using it \(process \d+\)"
    with locked(training_dir), pytest.raises(InputError, match=message):
        train_model(dataset, tmp_path / "model", CONFIG)

    assert [file.name for file in training_dir.iterdir()] == [LOCK]


def test_a_model_of_the_opposite_direction_is_not_replaced(
    dataset: Path, bundle: Path, tmp_path: Path
) -> None:
    model = tmp_path / "en-es"
    shutil.copytree(bundle, model)
    with pytest.raises(InputError, match=r"en-es: holds a model of the opposite direction; name"):
        train_model(dataset, model, CONFIG, reverse=True)


def test_more_workers_than_data_shards_are_refused_before_anything_is_written(
    dataset: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as error:
        train_model(
            dataset, tmp_path / "model", TrainConfig(n_data_shards=2), TrainResources(n_workers=3)
        )
    assert str(error.value) == (
        "n_workers=3: at most n_data_shards=2; set fewer workers or more data shards"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("subwords.model", None, "subwords.model: fingerprint .* differs from the manifest's"),
        ("encoded/split=train/part-00000.parquet", b"PAR1", "named in the manifest but not read"),
        ("encoded/split=valid/part-00000.parquet", b"PAR1", "named in the manifest but not read"),
        ("pairs/split=valid/part-00000.parquet", b"", "named in the manifest but not readable"),
    ],
)
def test_a_damaged_dataset_is_refused_before_any_work(
    dataset: Path,
    tmp_path: Path,
    name: str,
    content: bytes | None,
    message: str,
) -> None:
    copy = tmp_path / "dataset"
    shutil.copytree(dataset, copy)
    (copy / name).write_bytes(content if content is not None else OTHER_SUBWORDS.read_bytes())

    with pytest.raises(InputError, match=message):
        train_model(copy, tmp_path / "models" / "model", CONFIG)

    assert not (tmp_path / "models").exists()


def test_the_stage_reads_no_columns_of_the_training_split(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a column was read")

    monkeypatch.setattr(pq.ParquetFile, "read_row_group", refuse)
    with pytest.raises(InputError, match="cannot be divided among n_data_shards=5"):
        train_model(dataset, tmp_path / "model", CONFIG.model_copy(update={"n_data_shards": 5}))


def write_checkpoint(training_dir: Path) -> None:
    save_checkpoint(training_dir, Checkpoint({}, {}, {}, {}, RunState(step=5)))


@pytest.mark.ray
def test_a_refused_run_can_be_repeated_with_another_recipe(
    running_ray: None, dataset: Path, tmp_path: Path
) -> None:
    output, too_many = tmp_path / "model", TrainResources(n_workers=8)
    for config in (CONFIG, CONFIG.model_copy(update={"seed": 2})):
        with pytest.raises(InputError, match="n_workers=8: the cluster has 2 CPUs"):
            train_model(dataset, output, config, too_many)

    training_dir = tmp_path / "_runs" / "model"
    assert json.loads((training_dir / "run.json").read_bytes())["recipe"]["seed"] == 2
    write_checkpoint(training_dir)
    with pytest.raises(InputError, match="an unfinished run with another recipe"):
        train_model(dataset, output, CONFIG)


def test_a_damaged_description_of_a_run_is_named(dataset: Path, tmp_path: Path) -> None:
    training_dir = tmp_path / "_runs" / "model"
    write_checkpoint(training_dir)
    (training_dir / "run.json").write_text('{"recipe": {')

    with pytest.raises(
        InputError, match=r"run\.json: not the description of a training run; restore the file"
    ):
        train_model(dataset, tmp_path / "model", CONFIG)
