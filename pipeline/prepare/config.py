"""The settings of ``prepare``."""

from __future__ import annotations

from pydantic import Field

from pipeline.prepare.cleaning import CleanConfig
from pipeline.prepare.encoding import SubwordsConfig
from pipeline.prepare.splitting import SplitConfig
from pipeline.settings import Settings


class PrepareConfig(Settings):
    """Settings of ``prepare``."""

    seed: int = Field(default=1, ge=0, lt=2**63)
    clean: CleanConfig = Field(default_factory=CleanConfig)
    split: SplitConfig = Field(default_factory=SplitConfig)
    subwords: SubwordsConfig = Field(default_factory=SubwordsConfig)
