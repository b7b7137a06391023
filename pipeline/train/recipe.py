"""The settings of a training run: the recipe and the resources."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from lingo_model import InputError, ModelConfig
from lingo_model.network.config import AttentionType
from pipeline.settings import Settings

Precision = Literal["float32", "bfloat16"]
Schedule = Literal["cosine", "inverse_sqrt"]


class TrainConfig(Settings):
    """The recipe: all settings that change the trained weights.

    The defaults are the preset ``medium``. Durations are in steps, so that the speed of a machine
    changes nothing. ``target_tokens_per_step`` is the sum over all data shards.

    Raises:
        pydantic.ValidationError: a value is out of range, or the model refuses the sizes together,
            such as an odd ``hidden_dim`` with ``bidirectional``.
    """

    seed: int = Field(default=1, ge=0, lt=2**63)
    emb_dim: int = Field(default=ModelConfig.lstm_emb_dim, ge=1)
    hidden_dim: int = Field(default=ModelConfig.lstm_hidden_dim, ge=1)
    num_layers: int = Field(default=ModelConfig.lstm_num_layers, ge=1)
    dropout: float = Field(
        default=ModelConfig.lstm_dropout, ge=0.0, lt=1.0, description="between LSTM layers"
    )
    embedding_dropout: float = Field(default=ModelConfig.lstm_embedding_dropout, ge=0.0, lt=1.0)
    output_dropout: float = Field(
        default=ModelConfig.lstm_output_dropout,
        ge=0.0,
        lt=1.0,
        description="before the output layer",
    )
    word_dropout: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="share of source tokens replaced by unk"
    )
    attention: bool = ModelConfig.lstm_attention
    attn_type: AttentionType = ModelConfig.lstm_attn_type
    bidirectional: bool = ModelConfig.lstm_bidirectional
    reverse_source: bool = Field(
        default=ModelConfig.lstm_reverse_source, description="helps models without attention"
    )
    n_data_shards: Literal[1, 2, 4, 8] = 4
    target_tokens_per_step: int = Field(default=2000, ge=8)
    max_epochs: int = Field(default=10, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0.0, description="peak, after the warm-up")
    schedule: Schedule = "cosine"
    warmup_steps: int = Field(default=200, ge=0)
    weight_decay: float = Field(default=0.01, ge=0.0)
    label_smoothing: float = Field(default=0.1, ge=0.0, lt=1.0)
    clip_norm: float = Field(default=1.0, gt=0.0)
    ema_decay: float = Field(
        default=0.0,
        ge=0.0,
        lt=1.0,
        description="decay of the moving average of the weights, which is then validated and kept; "
        "0 for no average",
    )
    patience: int | None = Field(
        default=None, ge=1, description="stop after this many evaluations without a higher BLEU"
    )
    eval_every_steps: int = Field(default=500, ge=1)
    max_valid_sentences: int = Field(default=1000, ge=1)
    precision: Precision = "float32"

    @model_validator(mode="after")
    def _fits_the_model(self) -> Self:
        self.for_model()
        return self

    def for_model(self) -> ModelConfig:
        """The configuration of the model."""
        return ModelConfig(
            lstm_emb_dim=self.emb_dim,
            lstm_hidden_dim=self.hidden_dim,
            lstm_num_layers=self.num_layers,
            lstm_dropout=self.dropout,
            lstm_attention=self.attention,
            lstm_attn_type=self.attn_type,
            lstm_bidirectional=self.bidirectional,
            lstm_embedding_dropout=self.embedding_dropout,
            lstm_output_dropout=self.output_dropout,
            lstm_reverse_source=self.reverse_source,
        )


class TrainResources(Settings):
    """The machines and the time that a run may use. They do not change what a step computes."""

    n_workers: int | None = Field(
        default=None,
        ge=1,
        description="default one for each GPU, or without GPUs for each CPU, at most n_data_shards",
    )
    max_minutes: float | None = Field(
        default=None, gt=0.0, description="stop the run after so many minutes of training"
    )
    ray_address: str | None = Field(
        default=None, description="a cluster, or 'local'; default RAY_ADDRESS, else local"
    )


# Chosen by validation BLEU on Multi30k (29,000 pairs), in about forty runs on a GPU and a few on
# two CPU cores. Small batches and a high learning rate learn fast, but overfit after 8 epochs. Word
# dropout helped most against that, then two layers of 512 instead of one of 768. These did not
# help: more dropout elsewhere, dropped recurrent weights, sampled subwords, 4,000 subwords, 1,024
# units, tied or larger embeddings, more weight decay.
_PRODUCTION = TrainConfig(
    hidden_dim=512,
    num_layers=2,
    dropout=0.3,
    embedding_dropout=0.3,
    output_dropout=0.4,
    word_dropout=0.1,
    attention=True,
    bidirectional=True,
    n_data_shards=2,
    target_tokens_per_step=1000,
    max_epochs=16,
    learning_rate=2.5e-3,
    warmup_steps=300,
    ema_decay=0.998,
    precision="bfloat16",
)


def _changed(recipe: TrainConfig, **changes: Any) -> TrainConfig:
    return TrainConfig.model_validate(recipe.model_dump() | changes)


# small, medium and large have no attention. With attention and a bidirectional encoder, as in
# production, a model learns several times faster and scores higher.
PRESETS: dict[str, TrainConfig] = {
    "demo": TrainConfig(
        emb_dim=128,
        hidden_dim=256,
        num_layers=1,
        attention=True,
        bidirectional=True,
        n_data_shards=2,
        target_tokens_per_step=1000,
        max_epochs=8,
        learning_rate=3e-3,
        label_smoothing=0.0,
        eval_every_steps=400,
        max_valid_sentences=300,
    ),
    "small": TrainConfig(emb_dim=128, hidden_dim=256, num_layers=1),
    "medium": TrainConfig(),
    "large": TrainConfig(emb_dim=512, hidden_dim=1024, num_layers=4),
    "plain": _changed(
        _PRODUCTION,
        attention=False,
        bidirectional=False,
        reverse_source=True,
        hidden_dim=768,
        num_layers=1,
        word_dropout=0.0,
        learning_rate=1e-3,
    ),
    "production": _PRODUCTION,
    "quick": _changed(_PRODUCTION, hidden_dim=768, num_layers=1, word_dropout=0.0, max_epochs=6),
}

DEFAULT_PRESET = "production"


def recipe_named(name: str = DEFAULT_PRESET) -> TrainConfig:
    """The preset of a name.

    Raises:
        InputError: there is no preset with that name.
    """
    if name not in PRESETS:
        raise InputError(f"preset={name!r}: known are {', '.join(PRESETS)}; or give a config file")
    return PRESETS[name]


def _preset_to_recipe(value: Any) -> Any:
    return recipe_named(value) if isinstance(value, str) else value


RecipeField = Annotated[
    TrainConfig,
    BeforeValidator(
        _preset_to_recipe,
        json_schema_input_type=TrainConfig
        | Annotated[str, Field(title="Preset", json_schema_extra={"enum": list(PRESETS)})],
    ),
]
"""The type of a parameter that holds a recipe, given as settings or as the name of a preset."""
