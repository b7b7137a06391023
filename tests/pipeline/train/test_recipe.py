"""Recipes by name or from a file, and the values that they refuse."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from pydantic import ValidationError

from flows.nightly import nightly
from flows.train import train_lstm
from lingo_model import InputError, ModelConfig
from pipeline.settings import load_yaml
from pipeline.train.recipe import PRESETS, TrainConfig, TrainResources, recipe_named


def test_presets_by_name() -> None:
    assert recipe_named("medium") == TrainConfig()
    sizes = {
        name: (recipe.emb_dim, recipe.hidden_dim, recipe.num_layers, recipe.attention)
        for name, recipe in PRESETS.items()
    }
    assert sizes == {
        "demo": (128, 256, 1, True),
        "small": (128, 256, 1, False),
        "medium": (256, 512, 2, False),
        "large": (512, 1024, 4, False),
        "plain": (256, 768, 1, False),
        "production": (256, 512, 2, True),
        "quick": (256, 768, 1, True),
    }


def test_the_default_is_production_everywhere() -> None:
    expected = recipe_named("production")

    assert recipe_named() == expected
    for started in (train_lstm, nightly):
        assert inspect.signature(started).parameters["recipe"].default == expected


def test_an_unknown_preset_is_refused_and_the_known_are_listed() -> None:
    with pytest.raises(InputError) as error:
        recipe_named("huge")
    known = ", ".join(PRESETS)
    assert str(error.value) == f"preset='huge': known are {known}; or give a config file"
    assert "demo" in known


def test_every_size_reaches_the_model() -> None:
    recipe = TrainConfig(
        emb_dim=6,
        hidden_dim=8,
        num_layers=3,
        dropout=0.25,
        attention=True,
        attn_type="additive",
        bidirectional=True,
    )
    assert recipe.for_model() == ModelConfig(
        lstm_emb_dim=6,
        lstm_hidden_dim=8,
        lstm_num_layers=3,
        lstm_dropout=0.25,
        lstm_attention=True,
        lstm_attn_type="additive",
        lstm_bidirectional=True,
    )


def test_a_recipe_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("hidden_dim: 64\nlearning_rate: 1e-4\nprecision: bfloat16\n")
    expected = TrainConfig(hidden_dim=64, learning_rate=1e-4, precision="bfloat16")
    assert load_yaml(TrainConfig, file) == expected


def test_an_unknown_key_is_refused_and_the_known_are_listed(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text("hiden_dim: 64\n")
    with pytest.raises(InputError) as error:
        load_yaml(TrainConfig, file)
    known = ", ".join(sorted(TrainConfig.model_fields))
    assert str(error.value) == (
        f"{file}: unknown key 'hiden_dim'; did you mean 'hidden_dim'? known keys: {known}"
    )
    assert "hidden_dim" in known


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("hidden_dim: 0", "hidden_dim=0: Input should be greater than or equal to 1"),
        ("num_layers: two", "num_layers='two': Input should be a valid integer"),
        ("dropout: 1.0", "dropout=1.0: Input should be less than 1"),
        ("dropout: -0.1", "dropout=-0.1: Input should be greater than or equal to 0"),
        ("seed: -1", "seed=-1: Input should be greater than or equal to 0"),
        ("n_data_shards: 3", "n_data_shards=3: Input should be 1, 2, 4 or 8"),
        ("learning_rate: 0", "learning_rate=0: Input should be greater than 0"),
        ("learning_rate: .nan", "learning_rate=nan: Input should be greater than 0"),
        ("label_smoothing: 1", "label_smoothing=1: Input should be less than 1"),
        ("clip_norm: 0", "clip_norm=0: Input should be greater than 0"),
        ("target_tokens_per_step: 7", "target_tokens_per_step=7: Input should be greater than or"),
        ("max_epochs: 0", "max_epochs=0: Input should be greater than or equal to 1"),
        ("eval_every_steps: 0", "eval_every_steps=0: Input should be greater than or equal to 1"),
        ("attn_type: cosine", "attn_type='cosine': Input should be 'dot' or 'additive'"),
        ("precision: float16", "precision='float16': Input should be 'float32' or 'bfloat16'"),
        ("attention: maybe", "attention='maybe': Input should be a valid boolean"),
        ("bidirectional: true\nhidden_dim: 7", "hidden_dim=7: needs an even number"),
    ],
)
def test_a_bad_value_is_refused_by_name(tmp_path: Path, line: str, expected: str) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(f"{line}\n")
    with pytest.raises(InputError) as error:
        load_yaml(TrainConfig, file)
    message = str(error.value)
    assert message.startswith(f"{file}: ")
    assert expected in message
    assert "\n" not in message


@pytest.mark.parametrize("values", [{"n_workers": 0}, {"max_minutes": 0.0}, {"max_minutes": -1.0}])
def test_resources_of_zero_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(values))):
        TrainResources.model_validate(values)
