"""State dicts of TorchLingo: comparison with the real package, and refusals."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from lingo_model import (
    Engine,
    InputError,
    SearchConfig,
    SimpleSeq2SeqLSTM,
    Subwords,
    load_bundle,
)
from lingo_model.state_dict_import import import_state_dict, model_of_state_dict

TORCHLINGO = Path(__file__).parents[2] / ".peers" / "torchlingo"

# The package is AGPL and therefore runs in another process. It writes weights, sources, logits and
# the result of its own greedy search.
PEER = """
import sys, torch
from torchlingo.inference import greedy_decode
from torchlingo.models import SimpleSeq2SeqLSTM

options = eval(sys.argv[1])
torch.manual_seed(0)
model = SimpleSeq2SeqLSTM(50, 60, emb_dim=12, hidden_dim=20, num_layers=2, **options).eval()
with torch.no_grad():
    for parameter in model.parameters():
        parameter.mul_(3.0)
    model.output.bias[[0, 2]] -= 100.0  # no padding, no start of sentence in a translation
sources = torch.randint(4, 50, (6, 9))
sources[:, -1] = 3
sources[2, 5:] = torch.tensor([3, 0, 0, 0])
targets = torch.randint(4, 60, (6, 7))
greedy = greedy_decode(model, sources, max_len=12)
torch.save(
    {
        "state": model.state_dict(), "sources": sources, "targets": targets,
        "logits": model(sources, targets).detach(), "greedy": greedy
    },
    sys.argv[2],
)
"""


@pytest.mark.skipif(
    not TORCHLINGO.exists(), reason="torchlingo is not in .peers; `make bench-peers` installs it"
)
@pytest.mark.parametrize(
    "options",
    [{}, {"attention": True, "attn_type": "dot"}, {"attention": True, "attn_type": "additive"}],
    ids=["plain", "dot", "additive"],
)
def test_a_model_of_torchlingo_gives_the_same_results(
    options: dict[str, Any], tmp_path: Path
) -> None:
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PEER), repr(options), tmp_path / "peer.pt"],
        check=True,
        env=os.environ | {"PYTHONPATH": str(TORCHLINGO)},
    )
    peer = torch.load(tmp_path / "peer.pt", weights_only=True)

    model = model_of_state_dict(peer["state"], name="peer.pt")

    logits = model(peer["sources"], peer["targets"])
    assert float(peer["logits"].std()) > 0.1
    torch.testing.assert_close(logits, peer["logits"], rtol=0.0, atol=1e-5)
    sources = [row[row != 0].tolist() for row in peer["sources"]]
    unblocked = SearchConfig(max_length_ratio=0.0, max_length_offset=12, allow_unk=True)
    translations = [h.token_ids for h in Engine(model).translate(sources, unblocked)]
    assert len({tuple(ids) for ids in translations}) == len(sources)
    # TorchLingo's rows begin with sos, and continue after eos until all rows have ended.
    without_sos = [ids[1:] for ids in peer["greedy"]]
    expected = [ids[: ids.index(3) + 1] if 3 in ids else ids for ids in without_sos]
    assert translations == expected


def saved(tmp_path: Path, state: Any) -> Path:
    path = tmp_path / "weights.pt"
    torch.save(state, path)
    return path


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_layers": 3, "bidirectional": True},
        {"attention": True},
        {"attention": True, "attn_type": "additive"},
    ],
)
@pytest.mark.parametrize("wrapper", [None, "model_state_dict"])
def test_a_bundle_from_a_state_dict(
    tmp_path: Path, subwords: Subwords, options: dict[str, Any], wrapper: str | None
) -> None:
    size = subwords.vocab_size
    model = SimpleSeq2SeqLSTM(size, size, emb_dim=8, hidden_dim=12, **options)
    state = model.state_dict()
    weights = saved(tmp_path, state if wrapper is None else {wrapper: state, "epoch": 3})
    (tmp_path / "subwords.model").write_bytes(subwords.to_bytes())

    import_state_dict(
        weights,
        tmp_path / "subwords.model",
        tmp_path / "bundle",
        source_lang="en",
        target_lang="de",
    )

    loaded = load_bundle(tmp_path / "bundle").model
    assert loaded.config.lstm_num_layers == options.get("num_layers", 2)
    assert loaded.config.lstm_attention == options.get("attention", False)
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, state[name])


def small_state(**options: Any) -> dict[str, torch.Tensor]:
    return SimpleSeq2SeqLSTM(20, 20, emb_dim=8, hidden_dim=12, **options).state_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"decoder.bias_hh_l1": None}, "weight 'decoder.bias_hh_l1' is missing; needs shape (48,)"),
        ({"output.weight": None}, "weight 'output.weight' is missing or not a matrix"),
        ({"extra.weight": torch.zeros(2)}, "weight 'extra.weight' is unexpected"),
        (
            {"encoder.weight_hh_l0": torch.zeros(48, 13)},
            "weight 'encoder.weight_hh_l0' has shape (48, 13); the other weights need (48, 12)",
        ),
    ],
)
def test_a_weight_that_does_not_fit_is_named(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    state = {k: v for k, v in (small_state() | change).items() if v is not None}
    with pytest.raises(InputError) as caught:
        model_of_state_dict(state, name="w.pt")
    assert message in str(caught.value)


class Planted:
    """A pickle that writes a file if it is executed."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("n_bytes", [0, 20, 60])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_file_is_named(tmp_path: Path, n_bytes: int, zipped: bool) -> None:
    path = tmp_path / "cut.pt"
    torch.save(small_state(), path, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[:n_bytes])

    with pytest.raises(InputError, match=r"cut\.pt: not a file of weights only \(.+\); save"):
        import_state_dict(path, tmp_path / "s", tmp_path / "b", source_lang="en", target_lang="de")


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    weights = saved(tmp_path, {"output.weight": Planted(tmp_path / "executed")})
    with pytest.raises(InputError, match="not a file of weights only"):
        import_state_dict(
            weights, tmp_path / "s", tmp_path / "b", source_lang="en", target_lang="de"
        )
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [{}, {"epoch": 1}, [1, 2]])
def test_a_file_without_weights_is_refused(tmp_path: Path, content: Any) -> None:
    with pytest.raises(InputError, match="contains no state dict"):
        import_state_dict(
            saved(tmp_path, content),
            tmp_path / "s",
            tmp_path / "b",
            source_lang="a",
            target_lang="b",
        )


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.pt: cannot be read"):
        import_state_dict(
            tmp_path / "nowhere.pt",
            tmp_path / "s",
            tmp_path / "b",
            source_lang="a",
            target_lang="b",
        )
