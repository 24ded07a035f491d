"""Signals stop a coroutine on uvloop in good order, and take effect when it has ended."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop

from songswap.errors import Interrupted, TimedOut
from songswap.parallel.event_loop import run, until

ended: list[str] = []


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    """Each test leaves the signals as it found them."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    ended.clear()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def raising(number: signal.Signals) -> Callable[[asyncio.Event], Any]:
    """Work that gets a signal, and takes a moment to come to its end."""

    async def main(stop: asyncio.Event) -> str:
        signal.raise_signal(number)
        await stop.wait()
        await asyncio.sleep(0)
        ended.append("in good order")
        return "done"

    return main


class Limit(BaseException):
    """As Airflow's time limit, which is no Exception."""


def limit(*_: object) -> None:
    raise Limit


def nothing(*_: object) -> None:
    """As Airflow's own handler of SIGTERM."""


@pytest.mark.parametrize(
    ("number", "handler", "error"),
    [
        (signal.SIGINT, signal.default_int_handler, KeyboardInterrupt),
        (signal.SIGTERM, limit, Limit),
        (signal.SIGTERM, nothing, Interrupted),
        (signal.SIGALRM, limit, TimedOut),
    ],
)
def test_takes_effect_after_the_end(
    number: signal.Signals, handler: Any, error: type[BaseException]
) -> None:
    """The work ends by itself, then the signal does what it does without the loop."""
    signal.signal(number, handler)
    with pytest.raises(error):
        run(raising(number))
    assert ended == ["in good order"]
    assert signal.getsignal(number) is handler


def test_signal_while_the_loop_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The work hears it as soon as it begins, and the signal takes effect when it has ended."""
    start = uvloop.run

    def interrupted(coroutine: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return start(coroutine)

    async def main(stop: asyncio.Event) -> None:
        await stop.wait()
        ended.append("in good order")

    monkeypatch.setattr(uvloop, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(main)
    assert ended == ["in good order"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ignored_signal_stays_ignored() -> None:
    """What is started with nohup, or in the background of a script, is not stopped by it."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    async def main(stop: asyncio.Event) -> bool:
        signal.raise_signal(signal.SIGHUP)
        await asyncio.sleep(0)
        return stop.is_set()

    assert run(main) is False


def test_result_and_error_of_a_coroutine_come_through() -> None:
    async def main(stop: asyncio.Event) -> str:
        return f"stopped: {stop.is_set()}"

    async def fails(_: asyncio.Event) -> None:
        raise LookupError

    assert run(main) == "stopped: False"
    with pytest.raises(LookupError):
        run(fails)


async def test_until_cancels_once_the_event_is_set() -> None:
    """What it cancels has time to clean up."""
    stop = asyncio.Event()

    async def work() -> str:
        try:
            await asyncio.Event().wait()
            return "never"
        finally:
            ended.append("cleaned up")

    async def short() -> str:
        return "done"

    assert await until(stop, short()) == "done"
    asyncio.get_running_loop().call_soon(stop.set)
    assert await until(stop, work()) is None
    assert ended == ["cleaned up"]
