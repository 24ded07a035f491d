"""Ctrl-C, SIGTERM and SIGHUP: each stops what a command has started.

A program in the background of a script, in a CI runner or under nohup inherits ignored signals.
Ignored SIGHUP means that the program shall outlive its terminal, and it does; SIGINT is sent on
purpose, and stops it.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def own_signals() -> None:
    """Restore the default handling of SIGINT, SIGQUIT and SIGCHLD, whatever was inherited.

    Child processes then inherit no ignored signal but SIGHUP. Call it from the main thread.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    # While it is ignored, the exit codes of children are lost.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


@contextmanager
def stoppable() -> Iterator[list[int]]:
    """Let SIGTERM and SIGHUP interrupt as Ctrl-C does; yield the list of signals received.

    SIGHUP stays ignored where it was ignored.
    """
    received: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in _STOPS}
    if before[signal.SIGHUP] is signal.SIG_IGN:
        del before[signal.SIGHUP]
    for number in before:
        signal.signal(number, interrupt)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def ignore_signals() -> None:
    """Keep a second Ctrl-C from cutting a stop short, which ends by itself in 10 s."""
    for number in _STOPS:
        signal.signal(number, signal.SIG_IGN)
