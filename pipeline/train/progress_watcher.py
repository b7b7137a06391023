"""Shows in the driver how far the training workers are.

Reads: ``progress.json`` in the folder of a run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.observability.progress import Bar
from pipeline.train.run_files import PROGRESS, TrainingProgress


class ProgressWatcher:
    """Reads ``progress.json`` at each call; if it changed, updates the bar and reports it.

    Args:
        training_dir: the folder of the run.
        bar: the bar that shows the steps.
        on_progress: called with each new content of the file.
    """

    def __init__(
        self, training_dir: Path, bar: Bar, on_progress: Callable[[TrainingProgress], None]
    ) -> None:
        self._file = training_dir / PROGRESS
        self._bar = bar
        self._on_progress = on_progress
        self._last_content = b""

    def __call__(self) -> None:
        """Look once. Does nothing if the file is absent, unreadable or unchanged."""
        try:
            content = self._file.read_bytes()
        except OSError:  # absent, or being replaced on a network file system
            return
        if content == self._last_content or not content:
            return
        self._last_content = content
        progress = TrainingProgress.model_validate_json(content)
        scores = ""
        if progress.train_loss is not None and progress.valid_bleu is not None:
            scores = f"loss {progress.train_loss:.3f}  BLEU {progress.valid_bleu:.1f}  "
        self._bar.total(progress.n_steps)
        rate = progress.target_tokens_per_second
        self._bar.show(progress.step, f"{scores}{rate:,.0f} tokens/s")
        self._on_progress(progress)
