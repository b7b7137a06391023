"""What several tests need: a small dataset, a tiny model, one Ray for the whole session."""

from __future__ import annotations

import itertools
import logging
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray
import torch
from moto.server import ThreadedMotoServer

from lingo_model import SimpleSeq2SeqLSTM, save_bundle
from pipeline.cluster.ray_session import start_local
from pipeline.dataset.dataset import open_dataset
from pipeline.dataset.splits import Split
from pipeline.demo.sentence_pairs import generate_pairs
from pipeline.prepare.config import PrepareConfig, SubwordsConfig
from pipeline.prepare.corpus import CorpusDescription
from pipeline.prepare.stage import prepare_corpus
from pipeline.storage.s3 import S3Path

_SIZES: dict[Split, int] = {"train": 600, "valid": 40, "test": 40}


# Tiny models gain nothing from a second thread, and lose much where cores are shared.
torch.set_num_threads(1)

# A background job inherits an ignored SIGINT and hands it on: no process that a test starts could
# be interrupted, Prefect's worker among them. With a handler here, they have the default again.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of 600 generated English-Spanish pairs."""
    root = tmp_path_factory.mktemp("dataset")
    inputs = []
    for split, size in _SIZES.items():
        pairs = generate_pairs(size, seed=1, split=split)
        lines = ["source\ttarget", *(f"{p.source}\t{p.target}" for p in pairs)]
        (root / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        inputs.append({"path": root / f"{split}.tsv", "split": split})
    corpus = CorpusDescription.model_validate(
        {"source_lang": "en", "target_lang": "es", "inputs": inputs}
    )
    config = PrepareConfig(subwords=SubwordsConfig(vocab_size=400))
    prepare_corpus(corpus, root / "dataset", config)
    return root / "dataset"


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory, dataset: Path) -> Path:
    """A tiny untrained model: what it says is nonsense, but always the same nonsense."""
    return _untrained_bundle(tmp_path_factory.mktemp("models") / "tiny", dataset, seed=1)


@pytest.fixture(scope="session")
def other_bundle(tmp_path_factory: pytest.TempPathFactory, dataset: Path) -> Path:
    """Another tiny model of the same languages."""
    return _untrained_bundle(tmp_path_factory.mktemp("models") / "other", dataset, seed=2)


def _untrained_bundle(path: Path, dataset: Path, *, seed: int) -> Path:
    opened = open_dataset(dataset)
    subwords = opened.subwords()
    torch.manual_seed(seed)
    model = SimpleSeq2SeqLSTM(
        subwords.vocab_size, subwords.vocab_size, emb_dim=8, hidden_dim=16, num_layers=1
    )
    save_bundle(
        path,
        model,
        subwords,
        source_lang="en",
        target_lang="es",
        dataset_fingerprint=opened.manifest.fingerprint,
        recipe_fingerprint="none",
        training={"history": []},
    )
    return path


@pytest.fixture(scope="session")
def running_ray() -> Iterator[None]:
    """A local Ray for the session; the stages use a Ray that runs in their process."""
    start_local(n_cpus=2)
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The endpoint of an S3 of our own, on loopback and in memory."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


_bucket_numbers = itertools.count()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> S3Path:
    """An empty bucket, and the environment that finds it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    bucket = S3Path(f"bucket-{next(_bucket_numbers)}", "")
    request = urllib.request.Request(f"{s3_server}/{bucket.bucket}", method="PUT")
    urllib.request.urlopen(request).close()
    return bucket
