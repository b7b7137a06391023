"""Exit statuses, and errors as one line on standard error. Status 0 means success."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from lingo_model import InputError
from pipeline.cli.interruption import (
    handle_signals,
    interruption_message,
    interruption_status,
    received_signal,
)
from pipeline.cluster.ray_messages import keep_off_stderr
from pipeline.errors import RunError, one_line

EXIT_FAILED = 1
"""The run failed. The same command may succeed later."""
EXIT_BAD_INPUT = 2
"""The input cannot be used. The message says what is wrong and what to do."""
EXIT_DEFERRED = 3
"""Some input is left for a later run: it changed while it was translated, or the file is bad."""
EXIT_LEAKS = 4
"""``lingo dataset check`` found leaks: pairs that are equal or near to held-out pairs."""
_EXIT_INTERRUPTED = 130  # typer's exit status for KeyboardInterrupt
_EXIT_CLOSED_PIPE = 128 + signal.SIGPIPE


def run_command_line(command_line: Callable[[], object]) -> None:
    """Call the command line. Expected errors become one line and an exit status.

    An interruption becomes one line, too. If the reader of standard output ends early, as ``head``
    does, the command ends without a message.
    """
    handle_signals()
    keep_off_stderr()
    try:
        try:
            command_line()
        except SystemExit as ended:
            if ended.code == _EXIT_INTERRUPTED and received_signal() is not None:
                raise KeyboardInterrupt from ended
            if ended.code == EXIT_FAILED and _output_is_closed():  # typer's status for that
                sys.exit(_EXIT_CLOSED_PIPE)
            _flush_output()
            raise
    except KeyboardInterrupt:
        _interrupted(received_signal() or signal.SIGINT)
    except InputError as error:
        _fail(error, EXIT_BAD_INPUT)
    except (RunError, OSError) as error:
        _fail(error, EXIT_FAILED)
    except Exception:
        if (number := received_signal()) is not None:
            _interrupted(number)
        raise


def _flush_output() -> None:
    """Write what is left of standard output. Python would do it too late to handle errors."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OSError(error.errno, os.strerror(error.errno or 0), "standard output") from error


def _interrupted(number: signal.Signals) -> NoReturn:
    print(interruption_message(), file=sys.stderr)
    _discard_output()
    sys.exit(interruption_status(number))


def _fail(error: Exception, status: int) -> NoReturn:
    if (number := received_signal()) is not None:
        _interrupted(number)  # the error follows from the interruption
    if isinstance(error, BrokenPipeError) and _output_is_closed():
        _discard_output()
        sys.exit(_EXIT_CLOSED_PIPE)
    notes = "; ".join(["", *getattr(error, "__notes__", ())])
    print(f"lingo: error: {one_line(error)}{notes}", file=sys.stderr)
    _discard_output()
    sys.exit(status)


def _output_is_closed() -> bool:
    """Whether standard output is a pipe that no process reads."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        return any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError):
        return False


def _discard_output() -> None:
    """Flush standard output. If that fails, discard it, so that Python does not try again."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
