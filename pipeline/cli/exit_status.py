"""Exit statuses, and errors as one line on standard error. Status 0 means success."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NoReturn

from lingo_model import InputError
from pipeline.errors import RunError, one_line

EXIT_FAILED = 1
"""The run failed. The same command may succeed later."""
EXIT_BAD_INPUT = 2
"""The input cannot be used. The message says what is wrong and what to do."""
EXIT_DEFERRED = 3
"""Some input is left for a later run: it changed while it was translated, or the file is bad."""
_EXIT_INTERRUPTED = 130  # typer's exit status for Ctrl-C


class Interrupted(Exception):
    """Ctrl-C ended a command that does not continue its work. The message says what to do."""


def run_command_line(command_line: Callable[[], object]) -> None:
    """Call the command line. Expected errors become one line and an exit status."""
    try:
        command_line()
    except SystemExit as exit_status:
        if exit_status.code == _EXIT_INTERRUPTED:
            print("lingo: interrupted; the same command continues the work", file=sys.stderr)
        raise
    except Interrupted as error:
        print(f"lingo: interrupted; {error}", file=sys.stderr)
        sys.exit(_EXIT_INTERRUPTED)
    except InputError as error:
        _fail(error, EXIT_BAD_INPUT)
    except (RunError, OSError) as error:
        _fail(error, EXIT_FAILED)


def _fail(error: Exception, status: int) -> NoReturn:
    print(f"lingo: error: {one_line(error)}", file=sys.stderr)
    sys.exit(status)
