"""The command, the input and the memory figures that several benchmarks share."""

from __future__ import annotations

import contextlib
import gzip
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

LINGO = [sys.executable, "-c", "from pipeline.cli.app import main; main()"]
"""The ``lingo`` command of this interpreter."""

_POLL_SECONDS = 0.5


def read_lines(path: Path, limit: int | None = None) -> list[str]:
    """Read the first ``limit`` lines of a gzipped text file; all lines if it is None."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return file.read().splitlines()[:limit]


def own_peak_mb() -> float:
    """The peak resident memory (MB) of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def wait_for(process: subprocess.Popen[Any]) -> dict[int, tuple[float, str]]:
    """Wait for a process, and follow its memory and that of its descendants (Linux).

    Returns:
        for each process id the peak resident memory (MB), and the command line at that time, which
        Ray's workers change.
    """
    peaks: dict[int, tuple[float, str]] = {}
    while True:
        for pid in _process_tree(process.pid):
            with contextlib.suppress(OSError):  # the process has ended
                command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    if line.startswith("VmHWM"):  # the kernel's peak, in kB
                        peak = (int(line.split()[1]) / 1024, command.strip())
                        peaks[pid] = max(peak, peaks.get(pid, peak), key=lambda p: p[0])
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_SECONDS)
            return peaks


def _process_tree(pid: int) -> list[int]:
    import psutil  # a GPU machine may lack it, and GPU benchmarks do not need it

    with contextlib.suppress(psutil.NoSuchProcess):
        return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    return []
