"""The settings of ``translate``. Light to import: the command line shows their defaults."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from pipeline.decoding import DecodeConfig
from pipeline.documents.span_kinds import SPAN_KINDS, SpanKind
from pipeline.formats.text_column import TEXT_COLUMN
from pipeline.settings import Settings

MIN_RETRACTED_ROWS = 20
"""A run that takes no more rows than this out of ``latest`` is never stopped for it."""


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
    drop_columns: tuple[str, ...] = Field(
        default=(), description="input columns that the output does not have"
    )
    keep_columns: tuple[str, ...] | None = Field(
        default=None,
        description="the only input columns that the output has, beside the text and id column",
    )
    lake: Literal["grows", "snapshot", "moved"] = Field(
        default="grows",
        description="grows: rows of a deleted file stay. snapshot: they leave `latest`. moved: "
        "like grows, but the lake has a new location",
    )
    rows_per_unit: int = Field(default=5000, ge=1, le=50_000)
    max_source_characters: int = Field(
        default=200_000, ge=1, description="a longer text is quarantined"
    )
    max_segment_tokens: int = Field(
        default=128, ge=32, description="a sentence with more subwords is cut"
    )
    spans: tuple[SpanKind, ...] = Field(
        default=SPAN_KINDS,
        description="text that a translation has as its source has it; if the model loses it, the "
        "sentence is translated again with placeholders",
    )
    join_lines: bool = Field(
        default=False,
        description="whether a sentence may go on after a single line break within a paragraph",
    )
    reuse: bool = Field(default=True, description="reuse translations of equal segments")
    max_failed_share: float = Field(
        default=0.05,
        ge=0.0,
        le=1.0,
        description="if a larger share of the rows fails, nothing is published",
    )
    max_retracted_share: float = Field(
        default=0.4,
        ge=0.0,
        le=1.0,
        description="if a larger share of the table's rows, and more than "
        f"{MIN_RETRACTED_ROWS} rows, would leave `latest`, nothing is translated",
    )
    on_bad_file: Literal["set_aside", "stop"] = Field(
        default="set_aside",
        description="what happens if a file is damaged, of an unknown format, in another encoding, "
        "or names two columns alike. set_aside: the other files are translated. stop: none is",
    )
    on_new_model: Literal["keep", "retranslate"] = Field(
        default="keep", description="what happens to rows that another model translated"
    )
    decode: DecodeConfig = DecodeConfig()
    limit: int | None = Field(
        default=None, ge=1, description="translate only the first rows of each file"
    )

    @model_validator(mode="after")
    def _refuse_dropped_text_and_id(self) -> Self:
        for name, option in ((self.text_column, "text_column"), (self.id_column, "id_column")):
            if name in self.drop_columns:
                raise ValueError(f"drop_columns: {name!r} is the {option}, which cannot be dropped")
        return self


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
