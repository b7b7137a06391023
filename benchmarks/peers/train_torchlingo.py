"""TorchLingo's trainer on Multi30k for some minutes: one contestant of benchmarks/train.py.

    python train_torchlingo.py JOB

JOB is JSON. Batches have 64 sentences, with TorchLingo's own bucketing, as in its documentation.
Prints one line of JSON. The package has the licence AGPL: it runs in this process only, and no part
of it belongs to this project.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torchlingo.config import Config
from torchlingo.data_processing.batching import create_dataloaders
from torchlingo.models import SimpleSeq2SeqLSTM
from torchlingo.training import train_model

N_WARMUP_STEPS = 10


class TimeIsUp(Exception):
    """Ends the training."""


class Counting:
    """A loader that counts target tokens after the warm-up, and stops after some minutes."""

    def __init__(self, loader: Any, minutes: float, pad: int) -> None:
        self.dataset = loader.dataset
        self._loader, self._seconds, self._pad = loader, 60 * minutes, pad
        self.n_tokens, self.n_steps = 0, 0
        self.started = self.ended = 0.0

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Any]:
        for source, target in self._loader:
            now = time.perf_counter()
            if self.n_steps == N_WARMUP_STEPS:
                self.started, self.n_tokens = now, 0
            self.ended = now
            if self.n_steps > N_WARMUP_STEPS and now - self.started > self._seconds:
                raise TimeIsUp
            yield source, target
            self.n_tokens += int((target[:, 1:] != self._pad).sum())
            self.n_steps += 1


def main() -> None:
    job = json.loads(sys.argv[1])
    torch.set_num_threads(2)
    config = Config(batch_size=64, learning_rate=1e-3, use_tensorboard=False, num_workers=0)
    loader, _, source, target = create_dataloaders(
        Path(job["tsv"]),
        batch_size=64,
        num_workers=0,
        use_sentencepiece=True,
        sp_model_path=job["subwords"],
        use_bucketing=True,
        config=config,
    )
    options = {"attention": True, "attn_type": "dot"} if job["attention"] else {}
    model = SimpleSeq2SeqLSTM(
        len(source), len(target), emb_dim=256, hidden_dim=512, num_layers=2, **options
    )
    counting = Counting(loader, job["minutes"], config.pad_idx)
    with contextlib.suppress(TimeIsUp):
        train_model(
            model, counting, num_epochs=100, gradient_clip=1.0, config=config, use_amp=job["amp"]
        )
    rate = counting.n_tokens / (counting.ended - counting.started)
    print(json.dumps({"tokens_per_second": rate, "n_steps": counting.n_steps}))


if __name__ == "__main__":
    main()
