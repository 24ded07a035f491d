"""Ctrl-C, SIGTERM and SIGHUP, which all stop what a command has started."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stoppable() -> Iterator[list[int]]:
    """SIGTERM and SIGHUP interrupt as Ctrl-C does; gives the signals that came."""
    came: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in _STOPS}
    for number in _STOPS:
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
