"""The package: names import lazily, and settings need neither torch nor sentencepiece."""

import subprocess
import sys
from pathlib import Path

import pytest

import lingo_model

ROOT = Path(__file__).parents[2]
LIGHT_NAMES = [
    "DECODE_PRECISIONS",
    "ENGINE_VERSION",
    "BundleManifest",
    "DecodePrecision",
    "InputError",
    "ModelConfig",
    "SearchConfig",
    "check_precision",
    "read_bundle_manifest",
    "read_training",
]


def modules_after(statement: str) -> set[str]:
    """The top-level modules that a fresh process has after a statement."""
    script = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    finished = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(finished.stdout.split())


def test_settings_and_manifests_import_no_heavy_package() -> None:
    heavy = {"torch", "sentencepiece", "safetensors", "numpy"}
    statement = f"from lingo_model import {', '.join(LIGHT_NAMES)}\nimport lingo_model.special_ids"
    assert not heavy & modules_after(statement)
    # The check can fail: a model does need torch.
    assert "torch" in modules_after("from lingo_model import SimpleSeq2SeqLSTM")


@pytest.mark.parametrize("name", lingo_model.__all__)
def test_every_public_name_exists(name: str) -> None:
    assert getattr(lingo_model, name) is not None
    assert name in dir(lingo_model)


def test_the_two_lists_of_names_agree() -> None:
    assert sorted(lingo_model._MODULE_OF_NAME) == sorted(lingo_model.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'lingo_model' has no attribute 'Config'"):
        _ = lingo_model.Config
