"""Run a coroutine on uvloop so that signals stop it in an orderly way.

An exception that a signal handler raises inside uvloop is logged and dropped: Airflow's time limit
of a task, which is one, would never end it. Here the loop itself receives the signals and sets an
event; the coroutine finishes what must not be cut off. Then the signal takes effect.
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
    """Run ``main`` with the event that a signal sets.

    Ignored signals stay ignored, and SIGALRM is received only where a handler is set for it.

    Raises:
        TimedOut: SIGALRM, which Airflow sends at the time limit of a task.
        Interrupted: another signal whose own handler raised nothing.
        KeyboardInterrupt: SIGINT; or whatever the signal's own handler raises.
    """
    received: list[signal.Signals] = []
    handlers = _handlers()

    def record(number: int, _: object) -> None:
        received.append(signal.Signals(number))

    async def main_with_signals() -> T:
        stop = asyncio.Event()

        def on_signal(number: signal.Signals) -> None:
            received.append(number)
            stop.set()

        loop = asyncio.get_running_loop()
        for number in handlers:
            loop.add_signal_handler(number, on_signal, number)
        if received:
            stop.set()
        try:
            return await main(stop)
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    try:
        # An error that a handler raises while uvloop starts would leave it running for ever.
        for number in handlers:
            signal.signal(number, record)
        return uvloop.run(main_with_signals())
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if received:
            _take_effect(received[0])


def run_cancellable(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that a signal may cut off at any await, then raise as `run` does."""

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
    """The current handlers of the signals that stop the work."""
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
            "The time limit of this task was reached. Work in progress is stored, the rest was not"
            " done; the next run does it."
        )
    signal.raise_signal(number)
    # Airflow's own handler of SIGTERM raises nothing.
    raise Interrupted(
        f"{number.name} stopped this task. Work in progress is stored, the rest was not done; the"
        " next run does it."
    )
