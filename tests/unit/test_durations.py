"""How durations are added up, and whose they are."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import count

import pytest

from songswap.durations import Durations, timed


@pytest.fixture
def clock() -> Callable[[], float]:
    """A clock that goes on by a second each time that it is read."""
    seconds: Iterator[int] = count()
    return lambda: float(next(seconds))


def test_parts_of_one_name_add_up(clock: Callable[[], float]) -> None:
    """Also one that raises, which is often the longest."""
    durations = Durations()
    with durations.measured():
        with timed("s3", clock):
            pass
        with pytest.raises(TimeoutError), timed("s3", clock):
            raise TimeoutError
        with timed("load", clock), timed("lock_wait", clock):
            pass
    assert durations.in_ms() == {"s3_ms": 2000, "load_ms": 3000, "lock_wait_ms": 1000}


def test_nobody_receives_what_nobody_measures(clock: Callable[[], float]) -> None:
    """Replays and imports use the same code; of two measurements the inner one receives."""
    outer, inner = Durations(), Durations()
    with timed("s3", clock):
        pass
    with outer.measured():
        with inner.measured(), timed("s3", clock):
            pass
        assert outer.in_ms() == {}
        with timed("load", clock):
            pass
    with timed("load", clock):
        pass
    assert (inner.in_ms(), outer.in_ms()) == ({"s3_ms": 1000}, {"load_ms": 1000})


def test_tasks_side_by_side_add_up() -> None:
    """Three that wait together for a second have waited for three."""
    durations, now_s = Durations(), [0.0]

    async def wait(begun: asyncio.Barrier) -> None:
        with timed("spotify", lambda: now_s[0]):
            await begun.wait()

    async def main() -> None:
        begun = asyncio.Barrier(4)
        with durations.measured():
            tasks = [asyncio.create_task(wait(begun)) for _ in range(3)]
        while begun.n_waiting < 3:
            await asyncio.sleep(0)
        now_s[0] = 1.0
        await begun.wait()
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert durations.in_ms() == {"spotify_ms": 3000}
