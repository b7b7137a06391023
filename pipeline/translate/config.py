"""The settings of ``translate``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lingo_model import BundleManifest
from pipeline.decoding import DecodeConfig
from pipeline.documents.segmentation import SEGMENTER_VERSION
from pipeline.formats.rows import TEXT_COLUMN
from pipeline.settings import Settings
from pipeline.storage.hashing import fingerprint_of


class TranslateResources(Settings):
    """What a run may use. ``n_actors`` None: one for each GPU, without GPUs one for each CPU."""

    n_actors: int | None = Field(default=None, ge=1)
    ray_address: str | None = Field(
        default=None, description="a cluster, or 'local'; default RAY_ADDRESS, else local"
    )


_KEY_DIGITS = 24


class TranslateConfig(Settings):
    """Settings of ``translate``.

    ``limit`` takes the first rows of each file only, into a table of its own. ``rename`` gives
    input columns other names. ``on_new_model`` says whether rows that another model translated
    are translated again. ``lake``: in one that ``grows``, rows of a file that is deleted stay; of a
    ``snapshot``, they are no more among the latest. ``moved`` is a lake that grows and lies
    elsewhere than it did.
    """

    text_column: str = TEXT_COLUMN
    id_column: str | None = None
    rename: dict[str, str] = Field(default_factory=dict)
    lake: Literal["grows", "snapshot", "moved"] = "grows"
    rows_per_unit: int = Field(default=5000, ge=1, le=50_000)
    max_source_characters: int = Field(
        default=200_000, ge=1, description="a longer text goes to the quarantine"
    )
    max_segment_tokens: int = Field(default=128, ge=32, description="longer sentences are cut")
    reuse: bool = Field(default=True, description="take equal text from the translation memory")
    max_failed_share: float = Field(
        default=0.05, ge=0.0, le=1.0, description="of rows; with more, nothing is published"
    )
    on_new_model: Literal["keep", "retranslate"] = "keep"
    decode: DecodeConfig = DecodeConfig()
    limit: int | None = Field(default=None, ge=1)


def settings_key_of(config: TranslateConfig, model: BundleManifest) -> str:
    """Of the settings that can change a row, and of how rows are cut into units; not the model."""
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
    return fingerprint_of(settings)[:_KEY_DIGITS]
