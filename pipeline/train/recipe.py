"""The settings of a training run: what is learnt (the recipe) and what with (the resources)."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from lingo_model import InputError, ModelConfig
from lingo_model.network.config import AttentionType
from pipeline.settings import Settings

Precision = Literal["float32", "bfloat16"]
Schedule = Literal["cosine", "inverse_sqrt"]


class TrainConfig(Settings):
    """The recipe: everything that changes the weights. Durations are in steps, never in seconds.

    A step's batch has ``target_tokens_per_step`` target tokens, summed over all lanes.
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
        default=0.0, ge=0.0, lt=1.0, description="share of source tokens that read as unknown"
    )
    attention: bool = ModelConfig.lstm_attention
    attn_type: AttentionType = ModelConfig.lstm_attn_type
    bidirectional: bool = ModelConfig.lstm_bidirectional
    reverse_source: bool = Field(
        default=ModelConfig.lstm_reverse_source, description="for models without attention"
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
        description="of the moving average of the weights that is validated and kept; 0 for none",
    )
    patience: int | None = Field(
        default=None, ge=1, description="end after this many evaluations without a better BLEU"
    )
    eval_every_steps: int = Field(default=500, ge=1)
    max_valid_sentences: int = Field(default=1000, ge=1)
    precision: Precision = "float32"

    @model_validator(mode="after")
    def _fits_the_model(self) -> Self:
        self.for_model()
        return self

    def for_model(self) -> ModelConfig:
        """The model's own configuration."""
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
    """What a run may use; changing it changes how long a run takes, not what it learns.

    ``n_workers`` None: one for each GPU, without GPUs one for each CPU, never more than lanes.
    ``max_minutes`` ends a run early, and the run says so.
    """

    n_workers: int | None = Field(default=None, ge=1)
    max_minutes: float | None = Field(default=None, gt=0.0)
    ray_address: str | None = Field(
        default=None, description="a cluster, or 'local'; default RAY_ADDRESS, else local"
    )


# Found on Multi30k, 29,000 pairs, with some forty runs on a GPU and a few on two cores, by BLEU on
# validation. Small batches and a high learning rate learn fast; then a model overfits after 8
# epochs, and what helped most was dropping words of the source, then two narrower layers for one.
# No better: more dropout elsewhere, dropped recurrent weights, sampled subwords, 4,000 pieces,
# 1,024 units, tied or larger embeddings, more weight decay.
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


def _but(recipe: TrainConfig, **changes: Any) -> TrainConfig:
    return TrainConfig.model_validate(recipe.model_dump() | changes)


# Small, medium and large are the seed's sizes, without attention. With it and a bidirectional
# encoder a model learns several times faster and better: that is the one for production.
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
    "plain": _but(
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
    "quick": _but(_PRODUCTION, hidden_dim=768, num_layers=1, word_dropout=0.0, max_epochs=6),
}

DEFAULT_PRESET = "production"


def recipe_named(name: str = DEFAULT_PRESET) -> TrainConfig:
    """A recipe by name.

    Raises:
        InputError: no preset of that name.
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
