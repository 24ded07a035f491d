"""The loads of a simulated hour, in this process or in another that can be killed."""

import itertools
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial
from multiprocessing.context import SpawnProcess
from multiprocessing.synchronize import Event
from types import FrameType
from typing import Literal

from songswap.errors import SongSwapError
from songswap.pipelines import heavy_listeners, hourly_load
from songswap.pipelines.batch import run_batch
from songswap.settings import Settings
from songswap.supervision.interrupt import INTERRUPTED, stoppable

log = logging.getLogger(__name__)

_POLL_S = 0.02
_TIMEOUT_S = 900.0
"""Of another process; long, because the machine can be busy."""

_SIGNAL_TIMEOUT_S = 60.0
"""From a signal to the end: three times the promised 20 s, because the machine can be busy."""

Ended = Literal["by itself", "killed", "by a signal", "late"]
_CODES: dict[int | None, Ended] = {
    0: "by itself",
    -signal.SIGKILL: "killed",
    INTERRUPTED: "by a signal",
}


def load(
    settings: Settings,
    run_id: str,
    now: datetime,
    at_call: int = 0,
    disruption: Callable[[], None] | None = None,
) -> bool:
    """Load an hour; return whether the run succeeded.

    Args:
        now: the simulated time, which stands still during the load.
        at_call: the call of the clock at which ``disruption`` starts; if the run makes fewer calls,
            it starts after the run.
        disruption: runs in a thread beside the load.
    """
    calls = itertools.count(1)
    started: Future[None] | None = None
    with ThreadPoolExecutor(1) as thread:

        def clock() -> datetime:
            nonlocal started
            if disruption is not None and started is None and next(calls) >= at_call:
                started = thread.submit(disruption)
            return now

        try:
            hourly_load.load_once(settings, run_id, lambda *_: None, clock)
        except SongSwapError as error:
            log.info("%s: %s", run_id, error)
            succeeded = False
        else:
            succeeded = True
        if disruption is not None and started is None:
            started = thread.submit(disruption)
        if started is not None:
            started.result()
    return succeeded


def load_heavy(settings: Settings, run_id: str, now: datetime) -> int:
    """Load the users who may lose plays before the next hour, as `follow_heavy_listeners` does.

    Returns:
        The number of users who were polled.
    """
    polled = 0

    def clock() -> datetime:
        return now

    try:
        for batch in heavy_listeners.plan(settings, run_id, clock):
            try:
                polled += run_batch(settings, run_id, batch, clock)["polled"]
            finally:
                hourly_load.summarise(settings, run_id, clock)
    except SongSwapError as error:
        log.info("%s: %s", run_id, error)
    return polled


class OtherProcess:
    """The same load in another process, which waits for `go`.

    Args:
        kill_at: the number of the function call at which it gets SIGKILL; 0 is never.
    """

    def __init__(self, settings: Settings, run_id: str, now: datetime, kill_at: int = 0) -> None:
        self._timeout_s = _TIMEOUT_S
        context = multiprocessing.get_context("spawn")
        self._ready, self._go = context.Event(), context.Event()
        self._process: SpawnProcess = context.Process(
            target=_load_here,
            args=(settings, run_id, now, kill_at, self._ready, self._go),
            daemon=True,
        )
        self._process.start()
        while self._process.is_alive() and not self._ready.wait(1):
            pass

    def go(self) -> None:
        """Start the load."""
        self._go.set()

    def interrupt(self, sign: signal.Signals, when: Callable[[], bool]) -> None:
        """Send a signal as soon as a condition holds, unless the load ends first."""
        while self._process.is_alive() and not when():
            self._process.join(_POLL_S)
        if self._process.is_alive() and self._process.pid is not None:
            os.kill(self._process.pid, sign)
            self._timeout_s = _SIGNAL_TIMEOUT_S

    def end(self) -> Ended:
        """Wait for its end; return how it ended.

        Raises:
            RuntimeError: it ended with an error, or did not end although it got no signal.
        """
        self._process.join(self._timeout_s)
        code = self._process.exitcode
        if code is None:
            self._process.kill()
        self._process.join()
        if code is None and self._timeout_s == _SIGNAL_TIMEOUT_S:
            return "late"
        if code not in _CODES:
            raise RuntimeError(f"A load in another process ended with {code}; see its log above.")
        return _CODES[code]


def _load_here(
    settings: Settings, run_id: str, now: datetime, kill_at: int, ready: Event, go: Event
) -> None:
    logging.disable()
    # As in a command, a signal is an interrupt.
    with stoppable() as received, suppress(KeyboardInterrupt):
        ready.set()
        go.wait(_TIMEOUT_S)
        if kill_at:
            count_down = partial(_count_down, itertools.count(1), kill_at)
            threading.setprofile(count_down)
            sys.setprofile(count_down)
        load(settings, run_id, now)
    if received:
        sys.exit(INTERRUPTED)


def _count_down(calls: "itertools.count[int]", kill_at: int, *_: FrameType | str | object) -> None:
    if next(calls) >= kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
