"""Requests to Spotify: what an hour costs per user once a day's tracks are known."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import services
from benchmarks.measurement import Measurement, OnProgress, cost
from benchmarks.pages import NOW
from benchmarks.size import size
from songswap.dev.stack.plan import simulated_spotify
from songswap.dev.stack.sign_up import sign_up
from songswap.dev.stack.simulator import Simulator
from songswap.pipelines.hourly_load import load_once
from songswap.settings import Settings

_USERS = size(2_000, 5)
_HOURS = (0, 4, 8, 12, 16, 20, 23)[-size(7, 1) :]
"""The hours of the day that are loaded before the measured one."""
_TOKEN_AND_PAGE = 2


def run(folder: Path, on_progress: OnProgress) -> Iterator[Measurement]:
    """Compare the calls of an hour with the page and the token that each user needs."""
    frozen = ("--clock", "frozen", "--now", NOW.isoformat(), "--rate-limit", "0")
    with (
        services.postgres(folder) as server,
        services.object_store(folder) as store,
        services.warehouse(server) as dsn,
        services.simulator(folder, "--users", str(_USERS), *frozen) as spotify,
    ):
        on_progress(f"{_USERS:,} users sign up")
        sign_up(dsn, spotify.url, spotify.get("/admin/listeners"), lambda _: None)
        settings = Settings(
            dsn,
            simulated_spotify(spotify.url),
            services.archive_of(store),
            folder / "spool",
            batch_size=_USERS,
        )
        passed = 0
        for hour in (*_HOURS, _HOURS[-1] + 1):
            on_progress(f"hour {hour}")
            spotify.post("/admin/clock", {"advance_s": 3600 * (hour - passed)})
            passed = hour
            counts = _load(settings, spotify, hour)
        calls = counts["calls"] / _USERS
    ratio = 2.05 / _TOKEN_AND_PAGE
    yield cost(
        "calls per user and hour, after a day", calls, _TOKEN_AND_PAGE, "calls", at_most=ratio
    )


def _load(settings: Settings, spotify: Simulator, hour: int) -> dict[str, int]:
    now = datetime.fromisoformat(spotify.get("/admin/clock")["now"]).astimezone(UTC)
    return load_once(settings, f"hour {hour}", lambda *_: None, lambda: now)
