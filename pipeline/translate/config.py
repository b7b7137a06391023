"""The settings of ``translate``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lingo_model import BundleManifest
from pipeline.decoding import DecodeConfig
from pipeline.documents.segmentation import SEGMENTER_VERSION
from pipeline.formats.rows import TEXT_COLUMN
from pipeline.settings import Settings
from pipeline.storage.hashing import KEY_DIGITS, fingerprint_of
from pipeline.table.manifest import RunHeader


class TranslateConfig(Settings):
    """Settings of ``translate``: columns, policies and decoding."""

    text_column: str = Field(default=TEXT_COLUMN, description="the column to translate")
    id_column: str | None = Field(
        default=None,
        description="a column that identifies a row; default: the file's path and the row's "
        "position",
    )
    rename: dict[str, str] = Field(
        default_factory=dict, description="new names of input columns, by old name"
    )
    lake: Literal["grows", "snapshot", "moved"] = Field(
        default="grows",
        description="grows: rows of a deleted file stay. snapshot: they leave `latest`. moved: like "
        "grows, but the lake has a new location",
    )
    rows_per_unit: int = Field(default=5000, ge=1, le=50_000)
    max_source_characters: int = Field(
        default=200_000, ge=1, description="a longer text is quarantined"
    )
    max_segment_tokens: int = Field(
        default=128, ge=32, description="a sentence with more subwords is cut"
    )
    reuse: bool = Field(default=True, description="reuse translations of equal segments")
    max_failed_share: float = Field(
        default=0.05,
        ge=0.0,
        le=1.0,
        description="if a larger share of the rows fails, nothing is published",
    )
    on_new_model: Literal["keep", "retranslate"] = Field(
        default="keep", description="what happens to rows that another model translated"
    )
    decode: DecodeConfig = DecodeConfig()
    limit: int | None = Field(
        default=None, ge=1, description="translate only the first rows of each file"
    )


class TranslateResources(Settings):
    """The machines that a run uses. They do not change its result."""

    n_actors: int | None = Field(
        default=None,
        ge=1,
        description="model replicas; default: one per GPU, or one per CPU if there is no GPU",
    )
    ray_address: str | None = Field(
        default=None,
        description="a Ray cluster, or 'local' to start one; default: RAY_ADDRESS, else local",
    )


def run_config(run: RunHeader) -> TranslateConfig:
    """The settings of a planned or published run."""
    return TranslateConfig.model_validate(run.settings)


def settings_key_of(config: TranslateConfig, model: BundleManifest) -> str:
    """Hash of the settings that can change a row or the cutting into units.

    The model itself is left out, so that a new model does not make every row new.
    """
    settings = config.model_dump(
        mode="json",
        include={
            "text_column",
            "id_column",
            "rename",
            "rows_per_unit",
            "limit",
            "max_source_characters",
            "max_segment_tokens",
        },
    )
    settings |= {
        "segmenter": SEGMENTER_VERSION,
        "decode": config.decode.fingerprint(),
        "source_lang": model.source_lang,
        "target_lang": model.target_lang,
    }
    return fingerprint_of(settings)[:KEY_DIGITS]
