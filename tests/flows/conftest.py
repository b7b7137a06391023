"""A private Prefect, and a corpus that is small enough to train on in seconds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prefect.context import use_profile
from prefect.settings import Profile
from prefect.testing.utilities import prefect_test_harness

from pipeline.dataset.splits import Split
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.train.recipe import TrainConfig

_SIZES: dict[Split, int] = {"train": 600, "valid": 20, "test": 30}


@pytest.fixture(scope="session")
def prefect_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of a Prefect that writes to a temporary folder and sends nothing out."""
    home = tmp_path_factory.mktemp("prefect")
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")
    }
    return inherited | {
        "PREFECT_HOME": str(home),
        "PREFECT_RESULTS_LOCAL_STORAGE_PATH": str(home / "results"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


@pytest.fixture(scope="session")
def prefect_harness(prefect_environment: dict[str, str]) -> Iterator[None]:
    """A Prefect API for flows that run in this process."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ.keys() - prefect_environment.keys():
            patch.delenv(name)
        for name, value in prefect_environment.items():
            patch.setenv(name, value)
        with (
            # The user's own profile may point to a server.
            use_profile(Profile(name="tests", settings={}), include_current_context=False),
            prefect_test_harness(server_startup_timeout=120),
        ):
            yield


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The description of a corpus of 600 generated English-Spanish pairs."""
    folder = tmp_path_factory.mktemp("corpus")
    for split, size in _SIZES.items():
        pairs = generate_pairs(size, seed=1, split=split)
        lines = ["source\ttarget", *(f"{p.source}\t{p.target}" for p in pairs)]
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    inputs = [{"path": f"{split}.tsv", "split": split} for split in _SIZES]
    description = {"source_lang": "en", "target_lang": "es", "inputs": inputs}
    (folder / "corpus.yaml").write_text(yaml.safe_dump(description), encoding="utf-8")
    return folder / "corpus.yaml"


@pytest.fixture(scope="session")
def tiny_recipe() -> TrainConfig:
    """A recipe that one worker completes in a second. The model learns almost nothing."""
    return TrainConfig(
        emb_dim=8,
        hidden_dim=16,
        num_layers=1,
        n_data_shards=1,
        target_tokens_per_step=1000,
        max_epochs=1,
        eval_every_steps=5,
        max_valid_sentences=8,
    )
