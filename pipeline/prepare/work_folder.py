"""Where ``prepare`` keeps files of this machine that are in no folder of the user's.

These are copies of inputs on S3, and a dataset for S3 before it is uploaded. A run removes its own.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from pipeline.storage.hashing import hex_digest
from pipeline.storage.location import Location

_DIGITS = 16


def default_work_folder() -> Path:
    """``lingo/prepare`` in the user's cache: ``$XDG_CACHE_HOME``, or else ``~/.cache``.

    For a user without a home folder, it is in the folder for temporary files.
    """
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")  # noqa: PTH111 - no error
    if cache.startswith("~"):
        cache = tempfile.gettempdir()
    return Path(cache) / "lingo" / "prepare"


def folder_of_inputs(work_folder: Path, corpus: Path, output: Location) -> Path:
    """The folder of the copies of a corpus's inputs. The same command finds it again.

    Args:
        work_folder: the folder of all such folders.
        corpus: the corpus description.
        output: the place of the dataset.
    """
    return work_folder / f"inputs-{_key(str(corpus.resolve()), output)}"


def folder_of_output(work_folder: Path, output: Location) -> Path:
    """The folder where a dataset for S3 is written before it is uploaded."""
    return work_folder / f"dataset-{_key('', output)}"


def _key(corpus: str, output: Location) -> str:
    place = str(output.absolute()) if isinstance(output, Path) else str(output)
    return hex_digest(corpus, place)[:_DIGITS]
