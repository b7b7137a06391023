"""The temporary folder of a Ray: its logs and sockets.

Nothing is left behind. The folder is removed when Ray ends. If this process is killed, a watchdog
ends Ray's processes and removes the folder. Two of these processes, Ray's agents, would otherwise
stay for a minute or more. If the watchdog is killed too, the next Ray removes the folder.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lingo_model import InputError
from lingo_model.atomic_files import LOCK, locked

FOLDER_VARIABLE = "LINGO_RAY_FOLDER"
"""Environment variable with the folder of a Ray. The watchdog finds Ray's processes by it."""

_PREFIX = "lingo-ray-"
_SHORT_FOLDER = Path("/tmp")
# Ray's sockets are in the folder, and the system limits the length of their paths to 107 bytes.
_MAX_PATH_BYTES = 107 - len("/session_2026-11-22_01-02-03_123456_1234567/sockets/plasma_store.1")

# The watchdog: a process that reads from this one. The read ends without a byte if this process
# ends without having said that all is well. It needs nothing that is slow to import.
_WATCHDOG = """
import os, shutil, signal, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if sys.stdin.buffer.read(1):
    sys.exit()
mark = (sys.argv[1] + "=" + sys.argv[2]).encode()
def marked():
    for name in os.listdir("/proc"):
        try:
            with open("/proc/" + name + "/environ", "rb") as file:
                variables = file.read().split(b"\\0")
            if mark in variables and name != str(os.getpid()):
                yield int(name)
        except OSError:
            pass
for signal_number in (signal.SIGTERM, signal.SIGKILL):
    for process in marked():
        try:
            os.kill(process, signal_number)
        except OSError:
            pass
    time.sleep(1)
shutil.rmtree(sys.argv[2], ignore_errors=True)
"""


@contextlib.contextmanager
def ray_folder() -> Iterator[Path]:
    """Yield a new temporary folder, and remove it at the end.

    If the block raises an error that is not an InputError, the folder stays until the next call,
    so that people can read the logs. The error gets a note that names the folder.
    """
    _remove_old_folders()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_temporary_folder()))
    try:
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(InputError):  # a file system without locks
                stack.enter_context(locked(folder))
            yield folder
    except InputError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    except Exception as error:
        error.add_note(f"the logs of Ray are in {folder} until the next run")
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def watchdog(folder: Path) -> Iterator[None]:
    """Watch over the processes that start with ``FOLDER_VARIABLE`` set while the block runs.

    If this process is killed, they end within some seconds, and the folder is removed.
    """
    if not Path("/proc/self/environ").exists():  # not Linux
        yield
        return
    before = os.environ.get(FOLDER_VARIABLE)
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _WATCHDOG, FOLDER_VARIABLE, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a signal to this process group does not end it
        cwd="/",
    ) as process:
        os.environ[FOLDER_VARIABLE] = str(folder)
        try:
            yield
        finally:
            os.environ.pop(FOLDER_VARIABLE)
            if before is not None:
                os.environ[FOLDER_VARIABLE] = before
            assert process.stdin is not None
            with contextlib.suppress(OSError):  # someone ended the watchdog
                process.stdin.write(b".")
                process.stdin.flush()


def _temporary_folder() -> Path:
    """The system's folder for temporary files, or /tmp if its path is too long for sockets."""
    folder = Path(tempfile.gettempdir())
    is_short = len(os.fsencode(folder / f"{_PREFIX}12345678")) <= _MAX_PATH_BYTES
    return folder if is_short or not _SHORT_FOLDER.is_dir() else _SHORT_FOLDER


def _remove_old_folders() -> None:
    """Remove the folders of processes that have ended. A lock marks a folder as in use."""
    for folder in _temporary_folder().glob(f"{_PREFIX}*"):
        if (folder / LOCK).exists():
            with contextlib.suppress(OSError, InputError), locked(folder):
                shutil.rmtree(folder)
