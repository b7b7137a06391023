"""Lines of progress on standard error for commands whose progress bar is not shown."""

from __future__ import annotations

import sys

from pipeline.observability.progress import OnProgress, ProgressLines, ignore_progress


def lines_without_terminal(stage: str) -> OnProgress:
    """Print lines of progress if standard error is no terminal. A terminal shows a bar instead.

    Args:
        stage: the name of the stage, which each line begins with.
    """
    if sys.stderr.isatty():
        return ignore_progress
    return ProgressLines(lambda line: print(f"{stage}: {line}", file=sys.stderr, flush=True))
