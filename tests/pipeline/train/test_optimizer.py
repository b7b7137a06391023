"""The moving average of the weights."""

from __future__ import annotations

import pytest

from pipeline.train.optimizer import ema_weight


def test_moving_average_by_hand() -> None:
    # Decay min(0.5, 1 / 10) after step 0, min(0.5, 2 / 11) after step 1, 0.5 after step 20; after
    # step 100 only every eighth counts, for eight.
    assert ema_weight(0.5, 0) == pytest.approx(0.9)
    assert ema_weight(0.5, 1) == pytest.approx(9 / 11)
    assert ema_weight(0.5, 20) == 0.5
    assert [step for step in range(100, 121) if ema_weight(0.5, step)] == [104, 112, 120]
    assert ema_weight(0.5, 104) == 1 - 0.5**8
