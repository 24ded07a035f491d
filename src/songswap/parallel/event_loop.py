"""Run a coroutine on uvloop so that signals stop it in good order.

An exception that a signal handler raises inside uvloop is logged and dropped: Airflow's time limit
of a task, which is one, would never end it. Here the loop itself hears the signals and sets an
event; what waits for it brings to an end what must not be cut off. Then the signal takes effect.
"""

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

import uvloop

from songswap.errors import Interrupted, TimedOut

T = TypeVar("T")

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)


def run(main: Callable[[asyncio.Event], Coroutine[Any, Any, T]]) -> T:
    """Run ``main``, which is given the event that a signal sets.

    Signals that are ignored stay so, and SIGALRM is heard where somebody has set a handler for it.

    Raises:
        TimedOut: SIGALRM came, as Airflow sends it at the time limit of a task.
        Interrupted: another signal came, and its own handler raised nothing.
        KeyboardInterrupt: SIGINT came; or what else the signal's own handler raises.
    """
    came: list[signal.Signals] = []
    handlers = _handlers()

    def note(number: int, _: object) -> None:
        came.append(signal.Signals(number))

    async def hearing_signals() -> T:
        stop = asyncio.Event()

        def hear(number: signal.Signals) -> None:
            came.append(number)
            stop.set()

        loop = asyncio.get_running_loop()
        for number in handlers:
            loop.add_signal_handler(number, hear, number)
        if came:
            stop.set()
        try:
            return await main(stop)
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    try:
        # An error that a handler raises while uvloop starts would leave it running for ever.
        for number in handlers:
            signal.signal(number, note)
        return uvloop.run(hearing_signals())
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if came:
            _take_effect(came[0])


def run_cancellable(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run what a signal may cut off at any await, then raise as `run` does."""

    async def main(stop: asyncio.Event) -> T:
        result = await until(stop, coroutine)
        return cast(T, result)  # None only where `run` raises

    return run(main)


async def until(stop: asyncio.Event, coroutine: Coroutine[Any, Any, T]) -> T | None:
    """Await ``coroutine``, or cancel it once the event is set; None then."""
    work = asyncio.create_task(coroutine)
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((work, stopped), return_when=asyncio.FIRST_COMPLETED)
        return await work if work.done() else None
    finally:
        stopped.cancel()
        work.cancel()
        await asyncio.gather(work, stopped, return_exceptions=True)


def _handlers() -> dict[signal.Signals, Any]:
    """The handlers that the signals have, of those which can stop the work."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    found = {number: signal.getsignal(number) for number in _STOPS}
    if not callable(found[signal.SIGALRM]):
        del found[signal.SIGALRM]
    return {
        number: handler
        for number, handler in found.items()
        if handler not in (signal.SIG_IGN, None)
    }


def _take_effect(number: signal.Signals) -> None:
    if number == signal.SIGALRM:
        raise TimedOut(
            "The time limit of this task was over. What was under way is stored, the rest was not"
            " asked for; the next run asks again."
        )
    signal.raise_signal(number)
    # Airflow's own handler of SIGTERM raises nothing.
    raise Interrupted(
        f"{number.name} stopped this task. What was under way is stored, the rest was not asked"
        " for; the next run asks again."
    )
