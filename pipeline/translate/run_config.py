"""The settings of a run, and the key that says whether two settings give the same rows."""

from __future__ import annotations

from lingo_model import BundleManifest
from pipeline.documents.segmentation import SEGMENTER_VERSION
from pipeline.lake.column_selection import ColumnSelection
from pipeline.storage.hashing import KEY_DIGITS, fingerprint_of
from pipeline.table.manifest import RunHeader
from pipeline.translate.config import TranslateConfig


def run_config(run: RunHeader) -> TranslateConfig:
    """The settings of a planned or published run."""
    return TranslateConfig.model_validate(run.settings)


def selection_of(config: TranslateConfig) -> ColumnSelection:
    """The columns that the output takes from the input. The text and id column are always kept."""
    keep = None
    if config.keep_columns is not None:
        always = {name for name in (config.text_column, config.id_column) if name is not None}
        keep = frozenset(config.keep_columns) | always
    return ColumnSelection(config.rename, frozenset(config.drop_columns), keep)


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
    # A setting that came later is in the key only if it is set, so earlier keys stay valid.
    if config.drop_columns:
        settings["drop_columns"] = sorted(config.drop_columns)
    if config.keep_columns is not None:
        settings["keep_columns"] = sorted(config.keep_columns)
    if set(config.spans) != set(TranslateConfig().spans):
        settings["spans"] = sorted(config.spans)
    if config.join_lines:
        settings["join_lines"] = True
    settings |= {
        "segmenter": SEGMENTER_VERSION,
        "decode": config.decode.fingerprint(),
        "source_lang": model.source_lang,
        "target_lang": model.target_lang,
    }
    return fingerprint_of(settings)[:KEY_DIGITS]
