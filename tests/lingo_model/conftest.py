"""A tiny corpus with subwords and a bundle, a model with set probabilities, and the oracle."""

import importlib.util
import math
import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch

from lingo_model import Bundle, Hypothesis, SimpleSeq2SeqLSTM, Subwords, load_bundle, save_bundle

WORDS = [
    "the",
    "a",
    "house",
    "cat",
    "dog",
    "bread",
    "is",
    "red",
    "big",
    "small",
    "sees",
    "eats",
    "and",
    "we",
    "you",
    "now",
    "la",
    "el",
    "un",
    "casa",
    "gato",
    "perro",
    "pan",
    "es",
    "roja",
    "grande",
    "ve",
    "come",
    "y",
    "ahora",
    ",",
    ".",
]


@pytest.fixture(scope="session")
def sentences() -> list[str]:
    """Four hundred sentences of both languages, the same in every run."""
    draw = random.Random(0)
    return [" ".join(draw.choices(WORDS, k=draw.randint(2, 9))) for _ in range(400)]


@pytest.fixture(scope="session")
def subwords(sentences: list[str]) -> Subwords:
    return Subwords.train(sentences, vocab_size=64)


@pytest.fixture
def model(subwords: Subwords) -> SimpleSeq2SeqLSTM:
    """A tiny model with weights so large that different sources have different translations."""
    torch.manual_seed(3)
    size = subwords.vocab_size
    model = SimpleSeq2SeqLSTM(size, size, emb_dim=8, hidden_dim=8, num_layers=1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.uniform_(-2.0, 2.0)
    return model.eval()


@pytest.fixture
def bundle_folder(tmp_path: Path, model: SimpleSeq2SeqLSTM, subwords: Subwords) -> Path:
    """A saved bundle of ``model`` and ``subwords``."""
    folder = tmp_path / "bundle"
    save_bundle(
        folder,
        model,
        subwords,
        source_lang="en",
        target_lang="es",
        dataset_fingerprint="d" * 64,
        recipe_fingerprint="r" * 64,
        training={"steps": 7},
    )
    return folder


@pytest.fixture
def bundle(bundle_folder: Path) -> Bundle:
    return load_bundle(bundle_folder)


@pytest.fixture
def bigram_model() -> Callable[[Mapping[int, Mapping[int, float]], int], SimpleSeq2SeqLSTM]:
    """Makes a model whose next token depends only on the last one, not on the source.

    The first argument maps a token to the probabilities of its followers. A token without an entry
    is followed by eos. The decoder's gates are driven to 0 or 1. It therefore forgets its state,
    and its output is ``tanh(1)`` at the index of the last token and 0 elsewhere.
    """

    def make(followers: Mapping[int, Mapping[int, float]], vocab_size: int) -> SimpleSeq2SeqLSTM:
        size = vocab_size
        model = SimpleSeq2SeqLSTM(size, size, emb_dim=size, hidden_dim=size, num_layers=1)
        eos = model.config.eos_idx
        log_p = torch.full((size, size), -100.0)  # [follower, last token]
        for last in range(size):
            row = followers.get(last, {eos: 1.0})
            assert math.isclose(sum(row.values()), 1.0), f"probabilities after {last}: {row}"
            for follower, p in row.items():
                log_p[follower, last] = math.log(p)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
            model.tgt_embed.weight.copy_(torch.eye(size))
            # Torch orders the gates: input, forget, cell, output.
            into, forget, cell, out = range(4)
            model.decoder.weight_ih_l0.view(4, size, size)[cell] = 100 * torch.eye(size)
            gates = model.decoder.bias_ih_l0.view(4, size)
            gates[into], gates[forget], gates[out] = 100.0, -100.0, 100.0
            model.output.weight.copy_(log_p / math.tanh(1.0))
        return model.eval()

    return make


@pytest.fixture(scope="session")
def greedy_search() -> Callable[..., list[Hypothesis]]:
    """The oracle for the decoding engine, from greedy_reference.py."""
    file = Path(__file__).with_name("greedy_reference.py")
    spec = importlib.util.spec_from_file_location("greedy_reference", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    search: Callable[..., list[Hypothesis]] = module.greedy_search
    return search
