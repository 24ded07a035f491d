"""What an hour costs of Spotify's patience: calls a user, when a day's tracks are known."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import services
from benchmarks.figure import Figure, cost
from benchmarks.pages import NOW
from benchmarks.size import size
from songswap import settings
from songswap.dev.stack.plan import simulated_spotify
from songswap.dev.stack.sign_up import sign_up
from songswap.dev.stack.simulator import Simulator
from songswap.pipelines.hourly_load import load_once

_USERS = size(2_000, 5)
_HOURS = (0, 4, 8, 12, 16, 20, 23)[-size(7, 1) :]
"""The hours of the day that are loaded before the one that is measured."""
_TOKEN_AND_PAGE = 2


def run(folder: Path, told: Callable[[str], None]) -> Iterator[Figure]:
    """The calls of an hour against the page and the token that each user needs."""
    frozen = ("--clock", "frozen", "--now", NOW.isoformat(), "--rate-limit", "0")
    with (
        services.postgres(folder) as server,
        services.object_store(folder) as store,
        services.warehouse(server) as dsn,
        services.simulator(folder, "--users", str(_USERS), *frozen) as spotify,
    ):
        told(f"{_USERS:,} users sign up")
        sign_up(dsn, spotify.url, spotify.get("/admin/listeners"), lambda _: None)
        there = settings.Settings(
            dsn, simulated_spotify(spotify.url), services.archive_of(store), folder / "spool"
        )
        there = replace(there, batch_size=_USERS)
        passed = 0
        for hour in (*_HOURS, _HOURS[-1] + 1):
            told(f"hour {hour}")
            spotify.post("/admin/clock", {"advance_s": 3600 * (hour - passed)})
            passed = hour
            counts = _load(there, spotify, hour)
        calls = counts["calls"] / _USERS
    ratio = 2.05 / _TOKEN_AND_PAGE
    yield cost("calls a user and hour, after a day", calls, _TOKEN_AND_PAGE, "calls", most=ratio)


def _load(there: settings.Settings, spotify: Simulator, hour: int) -> dict[str, int]:
    now = datetime.fromisoformat(spotify.get("/admin/clock")["now"]).astimezone(UTC)
    return load_once(there, f"hour {hour}", lambda *_: None, lambda: now)
