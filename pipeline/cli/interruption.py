"""Interruptions of a command: Ctrl-C, SIGTERM (systemd, Kubernetes, ``timeout``) and SIGHUP.

Each ends the command in the same way: the command cleans up and prints one line. A second signal
ends the process at once.
"""

from __future__ import annotations

import signal
from types import FrameType

CONTINUES = "the same command continues the work"
STARTS_OVER = "nothing was written; start the command again"

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_advice = ""
_received: signal.Signals | None = None


def advise_on_interruption(advice: str) -> None:
    """Set what the running command tells its user after an interruption.

    Args:
        advice: what happens to the work and what to do, such as :data:`CONTINUES`.
    """
    global _advice
    _advice = advice


def handle_signals() -> None:
    """Make the signals raise KeyboardInterrupt. Signals that the caller ignores stay ignored."""
    global _advice, _received
    _advice, _received = "", None
    for number in _SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def received_signal() -> signal.Signals | None:
    """The signal that interrupted the command, if one did."""
    return _received


def interruption_message() -> str:
    """The line to print after an interruption."""
    return f"lingo: interrupted; {_advice}" if _advice else "lingo: interrupted"


def interruption_status(number: signal.Signals) -> int:
    """The exit status of a command that a signal interrupted: 130 for Ctrl-C, 143 for SIGTERM."""
    return 128 + number


def _interrupt(number: int, _frame: FrameType | None) -> None:
    global _received
    _received = signal.Signals(number)
    for each in _SIGNALS:
        if signal.getsignal(each) is _interrupt:
            signal.signal(each, signal.SIG_DFL)
    raise KeyboardInterrupt
