"""The learning rate and the moving average of the weights."""

from __future__ import annotations

import pytest

from pipeline.train.optimizer import ema_weight, learning_rate
from pipeline.train.recipe import TrainConfig


def test_moving_average_by_hand() -> None:
    # Decay min(0.5, 1 / 10) after step 0, min(0.5, 2 / 11) after step 1, 0.5 after step 20; after
    # step 100 only every eighth counts, for eight.
    assert ema_weight(0.5, 0) == pytest.approx(0.9)
    assert ema_weight(0.5, 1) == pytest.approx(9 / 11)
    assert ema_weight(0.5, 20) == 0.5
    assert [step for step in range(100, 121) if ema_weight(0.5, step)] == [104, 112, 120]
    assert ema_weight(0.5, 104) == 1 - 0.5**8


def test_learning_rate_by_hand() -> None:
    config = TrainConfig(learning_rate=1.0, warmup_steps=3)

    # Warm-up over 3 steps reaches the peak at the 4th; the cosine is 1 at 0, 1/2 half way, 0 at
    # the end.
    assert learning_rate(config, 0, 1000) == pytest.approx(0.25)
    assert learning_rate(config, 1, 1000) == pytest.approx(0.5, rel=1e-4)
    assert learning_rate(config, 500, 1000) == pytest.approx(0.5)
    assert learning_rate(config, 1000, 1000) == pytest.approx(0.0, abs=1e-12)


def test_inverse_square_root_by_hand() -> None:
    config = TrainConfig(learning_rate=1.0, warmup_steps=3, schedule="inverse_sqrt")

    # The peak is at the 4th step, half of it at the 16th, which is four times as far. The number of
    # steps does not matter.
    assert learning_rate(config, 0, 1000) == pytest.approx(0.25)
    assert learning_rate(config, 3, 1000) == pytest.approx(1.0)
    assert learning_rate(config, 15, 1000) == learning_rate(config, 15, 20) == pytest.approx(0.5)
