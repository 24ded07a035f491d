"""Ctrl-C, SIGTERM and SIGHUP, which all stop what a command has started.

What runs in the background of a script, in a CI runner or under nohup has inherited that some
signals are ignored. Who ignores SIGHUP wants the program to outlive its terminal, and it does;
SIGINT is sent on purpose, and stops it.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def own_signals() -> None:
    """Rely on no signal as it was inherited: SIGINT interrupts, SIGQUIT ends, SIGCHLD tells.

    Programs that are started then inherit nothing that is ignored, but SIGHUP where it is. Only for
    the main thread of a program of ours.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    # Where it is ignored, the exit codes of children are lost.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


@contextmanager
def stoppable() -> Iterator[list[int]]:
    """SIGTERM and SIGHUP interrupt as Ctrl-C does; gives the signals that came.

    SIGHUP does not where it is ignored.
    """
    came: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in _STOPS}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """A second Ctrl-C must not cut a stop short, which ends by itself in 10 s."""
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)
