"""The settings of ``prepare``."""

from __future__ import annotations

from pydantic import Field

from pipeline.prepare.cleaning import CleanConfig
from pipeline.prepare.encoding import SubwordsConfig
from pipeline.prepare.splitting import SplitConfig
from pipeline.settings import Settings


class PrepareConfig(Settings):
    """The settings of ``prepare``. Each of them can change the dataset and its fingerprint."""

    seed: int = Field(
        default=1, ge=0, lt=2**63, description="of the subword model and of the row order"
    )
    clean: CleanConfig = CleanConfig()
    split: SplitConfig = SplitConfig()
    subwords: SubwordsConfig = SubwordsConfig()
