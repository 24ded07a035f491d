"""A simulator in the test's own event loop."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from integration.simulator.caller import Caller, Starter

from songswap.dev.simulator.clock import parse_iso
from songswap.dev.simulator.server import start
from songswap.dev.simulator.simulation import Options


@pytest.fixture
async def spotify() -> AsyncIterator[Starter]:
    """Start simulators with a frozen clock: `await spotify(users=3)` returns a client of one."""
    started: list[Caller] = []

    async def begin(**options: Any) -> Caller:
        now = parse_iso("2026-11-22T12:00:00Z")
        defaults = {"port": 0, "clock": "frozen", "now": now, "users": 8}
        running = await start(Options(**{**defaults, **options}))
        started.append(Caller(running, aiohttp.ClientSession()))
        return started[-1]

    yield begin
    for caller in started:
        await caller.session.close()
        await caller.running.stop()
