"""The loads of one simulated hour, in this process or in one that may be killed."""

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
from songswap.pipelines.fetch import fetch
from songswap.settings import Settings
from songswap.supervision.interrupt import INTERRUPTED, stoppable

log = logging.getLogger(__name__)

_POLL_S = 0.02
_PATIENCE_S = 900.0
"""How long another process may take: its end is all that matters, and a machine can be busy."""

_ENDS_WITHIN_S = 60.0
"""How long a signal may take: three times the 20 s that are promised, for a busy machine."""

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
    trouble: Callable[[], None] | None = None,
) -> bool:
    """Load an hour; tell whether the run was a good one.

    Args:
        now: the simulated time, which stands still meanwhile.
        at_call: the look at the clock at which ``trouble`` comes, or after the run.
        trouble: runs beside the load, which goes on.
    """
    calls = itertools.count(1)
    coming: Future[None] | None = None
    with ThreadPoolExecutor(1) as beside:

        def clock() -> datetime:
            nonlocal coming
            if trouble is not None and coming is None and next(calls) >= at_call:
                coming = beside.submit(trouble)
            return now

        try:
            hourly_load.load_once(settings, run_id, lambda *_: None, clock)
        except SongSwapError as error:
            log.info("%s: %s", run_id, error)
            good = False
        else:
            good = True
        if trouble is not None and coming is None:
            coming = beside.submit(trouble)
        if coming is not None:
            coming.result()
    return good


def load_heavy(settings: Settings, run_id: str, now: datetime) -> int:
    """Load those who may lose plays before the next hour, as `follow_heavy_listeners` does.

    Returns:
        How many users answered.
    """
    asked = 0

    def clock() -> datetime:
        return now

    try:
        for batch in heavy_listeners.plan(settings, run_id, clock):
            try:
                asked += fetch(settings, run_id, batch, clock)["polled"]
            finally:
                hourly_load.load(settings, run_id, batch, clock)
                hourly_load.summarise(settings, run_id, clock)
    except SongSwapError as error:
        log.info("%s: %s", run_id, error)
    return asked


class OtherProcess:
    """The same load in another process, which is ready and waits for `go`.

    Args:
        kill_at: the number of the call of any function at which it gets SIGKILL; 0 is never.
    """

    def __init__(self, settings: Settings, run_id: str, now: datetime, kill_at: int = 0) -> None:
        self._patience_s = _PATIENCE_S
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
        """Let it begin."""
        self._go.set()

    def interrupt(self, sign: signal.Signals, when: Callable[[], bool]) -> None:
        """Send a signal as soon as a condition holds, unless it ends before."""
        while self._process.is_alive() and not when():
            self._process.join(_POLL_S)
        if self._process.is_alive() and self._process.pid is not None:
            os.kill(self._process.pid, sign)
            self._patience_s = _ENDS_WITHIN_S

    def end(self) -> Ended:
        """Wait until it has ended; tell how.

        Raises:
            RuntimeError: it ended with an error, or did not end although nobody sent a signal.
        """
        self._process.join(self._patience_s)
        code = self._process.exitcode
        if code is None:
            self._process.kill()
        self._process.join()
        if code is None and self._patience_s == _ENDS_WITHIN_S:
            return "late"
        if code not in _CODES:
            raise RuntimeError(f"A load in another process ended with {code}; see its log above.")
        return _CODES[code]


def _load_here(
    settings: Settings, run_id: str, now: datetime, kill_at: int, ready: Event, go: Event
) -> None:
    logging.disable()
    # As a command does it: a signal is an interrupt.
    with stoppable() as came, suppress(KeyboardInterrupt):
        ready.set()
        go.wait(_PATIENCE_S)
        if kill_at:
            count_down = partial(_count_down, itertools.count(1), kill_at)
            threading.setprofile(count_down)
            sys.setprofile(count_down)
        load(settings, run_id, now)
    if came:
        sys.exit(INTERRUPTED)


def _count_down(calls: "itertools.count[int]", kill_at: int, *_: FrameType | str | object) -> None:
    if next(calls) >= kill_at:
        os.kill(os.getpid(), signal.SIGKILL)
