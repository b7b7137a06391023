"""A bundle of format version 1 that every later release must translate in the same way.

The model writes the Spanish word for each English word. If this test fails, the release would
change the translations of existing models. Then raise ENGINE_VERSION and write it into the
changelog, or fix the release.
"""

import json
from pathlib import Path

import pytest

from lingo_model import SearchConfig, Translator, load_bundle
from lingo_model.decoding.precision import DECODE_PRECISIONS, DecodePrecision
from lingo_model.kernels.library import native_precisions

FIXTURES = Path(__file__).parents[1] / "fixtures"
EXPECTED = json.loads((FIXTURES / "bundle-v1-translations.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("precision", DECODE_PRECISIONS)
@pytest.mark.parametrize("beam_size", [1, 4])
def test_the_frozen_bundle_translates_as_before(precision: DecodePrecision, beam_size: int) -> None:
    if precision != "float32" and precision not in native_precisions():
        pytest.skip(f"this processor does not support {precision}")
    expected = [e for e in EXPECTED if e["beam_size"] == beam_size]
    bundle = load_bundle(FIXTURES / "bundle-v1")
    translator = Translator(bundle, SearchConfig(beam_size=beam_size), precision=precision)

    translations = translator.translate([e["text"] for e in expected])

    assert bundle.manifest.model_id == "87dada39b9fdcc17"
    assert len(expected) == 7
    known = [i for i, e in enumerate(expected) if e["text"] != "Ünknown wörds 123!"]
    rows = range(len(expected)) if precision == "float32" else known
    assert [translations[i].text for i in rows] == [expected[i]["translation"] for i in rows]
    if precision == "float32":
        assert [f.score for f in translations] == pytest.approx(
            [e["score"] for e in expected], abs=1e-3
        )
        assert [f.n_target_tokens for f in translations] == [e["n_target_tokens"] for e in expected]
