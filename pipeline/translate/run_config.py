"""The settings of a run, and the key that says whether two settings give the same rows."""

from __future__ import annotations

from lingo_model import BundleManifest
from pipeline.documents.segmentation import SEGMENTER_VERSION
from pipeline.storage.hashing import KEY_DIGITS, fingerprint_of
from pipeline.table.manifest import RunHeader
from pipeline.translate.config import TranslateConfig


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
    # At their defaults, later settings do not change the key of tables that were made without them.
    settings |= config.model_dump(
        mode="json", include={"spans", "join_lines"}, exclude_defaults=True
    )
    settings |= {
        "segmenter": SEGMENTER_VERSION,
        "decode": config.decode.fingerprint(),
        "source_lang": model.source_lang,
        "target_lang": model.target_lang,
    }
    return fingerprint_of(settings)[:KEY_DIGITS]
