"""Keeps Ray's own messages off the terminal of a command.

Ray's core writes to file descriptor 2, and its Python code writes to loggers. A command calls
:func:`keep_off_stderr` once. Its own messages then go to a copy of the descriptor, and Ray's
messages go to a file while Ray runs. In other programs nothing changes.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

MESSAGES = "messages.log"
"""The file of Ray's messages, in the folder of a Ray."""

_STDERR = 2
_is_kept_off_stderr = False


def keep_off_stderr() -> None:
    """Give ``sys.stderr`` a descriptor of its own, so that descriptor 2 is only for Ray.

    Does nothing if ``sys.stderr`` is not the process's standard error.
    """
    global _is_kept_off_stderr
    try:
        if _is_kept_off_stderr or sys.stderr.fileno() != _STDERR:
            return
    except (AttributeError, OSError, ValueError, io.UnsupportedOperation):
        return  # it is closed, or it is an object in memory
    sys.stderr = os.fdopen(
        os.dup(_STDERR), "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace"
    )
    _is_kept_off_stderr = True


@contextlib.contextmanager
def messages_in(folder: Path) -> Iterator[None]:
    """Write what Ray's core prints to ``MESSAGES`` in a folder while the block runs."""
    if not _is_kept_off_stderr:
        yield
        return
    with (folder / MESSAGES).open("ab") as file:
        terminal = os.dup(_STDERR)
        os.dup2(file.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(terminal, _STDERR)
            os.close(terminal)


@contextlib.contextmanager
def log_records_in(folder: Path) -> Iterator[None]:
    """Write the records of Ray's loggers to ``MESSAGES`` in a folder while the block runs.

    Ray must have been started, because it sets its loggers up when it starts.
    """
    if not _is_kept_off_stderr:
        yield
        return
    to_file = logging.FileHandler(folder / MESSAGES, delay=True, encoding="utf-8")
    replaced = [
        (logger, handler)
        for logger in _ray_loggers()
        for handler in logger.handlers
        if isinstance(handler, logging.StreamHandler)
        and not isinstance(handler, logging.FileHandler)
    ]
    for logger, handler in replaced:
        logger.removeHandler(handler)
        logger.addHandler(to_file)
    try:
        yield
    finally:
        for logger, handler in replaced:
            logger.removeHandler(to_file)
            logger.addHandler(handler)
        to_file.close()


def _ray_loggers() -> list[logging.Logger]:
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "ray"]
    return [logging.getLogger(name) for name in names]
