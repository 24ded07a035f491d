"""Steps in a log: a line for each, with its start, its signs of life and its end.

    2026-11-26T21:05:03Z Installing what the demo needs … 8 s … compiling, 16 s … done (17.1 s)

Imports the standard library alone, because `make` runs it before anything is installed.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Event, Lock, Thread
from typing import IO

SILENCE_S = 8.0


def timestamp(moment: datetime) -> str:
    """A moment in UTC as `2026-11-27T08:00:00Z`."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


class StepLog:
    """Writes steps and other lines, each with its time (UTC, ISO 8601).

    Args:
        stream: the output; the line of a step grows while the step runs.
        silence_s: seconds between two signs of life of a step.
    """

    def __init__(self, stream: IO[str], silence_s: float = SILENCE_S) -> None:
        self._stream = stream
        self._silence_s = silence_s
        self._lock = Lock()
        self._is_open = False

    def line(self, text: str) -> None:
        """Write one line; a step under way then continues on a new line."""
        with self._lock:
            self._begin(f"{text}\n", is_whole=True)

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[[str], None]]:
        """Write a step around its block: "done", or "failed" when the block raises.

        The text passed to the yielded function appears in the next signs of life.
        """
        started = time.monotonic()
        over = Event()
        doing = ""

        def say(text: str) -> None:
            nonlocal doing
            doing = f"{text}, "

        def live() -> None:
            while not over.wait(self._silence_s):
                with self._lock:
                    if self._is_open:
                        self._write(f" {doing}{time.monotonic() - started:.0f} s …")

        signs = Thread(target=live, daemon=True)
        signs.start()
        how = "failed"
        try:
            with self._lock:
                self._begin(f"{title} …", is_whole=False)
            yield say
            how = "done"
        finally:
            over.set()
            signs.join()
            with self._lock:
                if not self._is_open:
                    self._begin(f"{title} …", is_whole=False)
                self._write(f" {how} ({time.monotonic() - started:.1f} s)\n")
                self._is_open = False

    def _begin(self, text: str, *, is_whole: bool) -> None:
        before = "\n" if self._is_open else ""
        self._is_open = not is_whole  # before the write, which Ctrl-C can interrupt
        self._write(f"{before}{timestamp(datetime.now(UTC))} {text}")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
