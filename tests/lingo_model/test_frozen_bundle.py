"""A bundle of format version 1, and the translations that every later release must give of it.

The model writes the Spanish word for each English one. If this test fails, a release would change
what existing models say: raise ENGINE_VERSION and say so in the changelog, or mend the release.
"""

import json
from pathlib import Path

import pytest

from lingo_model import SearchConfig, Translator, load_bundle
from lingo_model.decoding.engine import TIERS, DecodeTier
from lingo_model.kernels.decoding import native_tiers

FIXTURES = Path(__file__).parents[1] / "fixtures"
EXPECTED = json.loads((FIXTURES / "bundle-v1-translations.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("beam_size", [1, 4])
def test_the_frozen_bundle_translates_as_ever(tier: DecodeTier, beam_size: int) -> None:
    if tier != "exact" and tier not in native_tiers():
        pytest.skip(f"this processor does not run the {tier} tier")
    expected = [e for e in EXPECTED if e["beam_size"] == beam_size]
    bundle = load_bundle(FIXTURES / "bundle-v1")
    translator = Translator(bundle, SearchConfig(beam_size=beam_size), tier=tier)

    found = translator.translate([e["text"] for e in expected])

    assert bundle.manifest.model_id == "87dada39b9fdcc17"
    assert len(expected) == 7
    known = [i for i, e in enumerate(expected) if e["text"] != "Ünknown wörds 123!"]
    rows = range(len(expected)) if tier == "exact" else known
    assert [found[i].text for i in rows] == [expected[i]["translation"] for i in rows]
    if tier == "exact":
        assert [f.score for f in found] == pytest.approx([e["score"] for e in expected], abs=1e-3)
        assert [f.n_target_tokens for f in found] == [e["n_target_tokens"] for e in expected]
