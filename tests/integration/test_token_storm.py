"""The warehouse fails at every point around token exchanges: each time the next run asks everybody,
no grant is lost, and each token that Spotify rotated is there."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cutting import CUT, DOWN, Cutting

from songswap import ingest
from songswap.errors import SongSwapError
from songswap.fetch import fetch
from songswap.warehouse import run
from songswap.warehouse.connection import connect

Make = Callable[..., Any]
USERS = 4
ROTATED = ("--rotate-refresh-tokens", "1")

POOLERS = ("08P01", "26000", "42P05", "XX000", "57P01", "25P03", "53300", "0A000", "22000")
"""Errors that poolers and servers end a session with, of as many classes as psycopg has."""


class Hours:
    """A platform hour by hour: one in which the warehouse fails, then one in which all is well."""

    def __init__(self, here: Any) -> None:
        self.here = here
        self.numbers = 0
        self.broken: Counter[str] = Counter()

    def ask(self, dsn: str, *, whole: bool) -> str:
        """Ask for everybody, an hour later: all of the hourly load, or just its first half."""
        self.here.advance(hours=1)
        self.numbers += 1
        name = f"hour {self.numbers}"
        settings = replace(self.here.settings, warehouse_dsn=dsn)
        if whole:
            ingest.load_once(settings, name, lambda *_: None, self.here.clock)
        else:
            ingest.plan(settings, name, self.here.clock)
            fetch(settings, name, 0, self.here.clock)
        return name

    def trouble(self, dsn: str, *, whole: bool = False) -> None:
        """An hour in which the warehouse fails: whatever is raised is a sentence of ours."""
        try:
            self.ask(dsn, whole=whole)
        except SongSwapError as error:
            self.broken[type(error).__name__] += 1

    def assert_all_well(self, what: object) -> None:
        """The next hour answers everybody; the tokens of the hour before work no more by then."""
        name = self.ask(self.here.settings.warehouse_dsn, whole=False)
        with connect(self.here.settings.warehouse_dsn) as connection:
            found = run.outcomes(connection, name)
        assert found["answered"] + found["unchanged"] == USERS, (what, found)
        states = self.here.rows("SELECT state, count(*) FROM songswap.grants GROUP BY 1")
        assert states == [("active", USERS)], what

    def end(self) -> None:
        """All that was answered is loaded."""
        self.ask(self.here.settings.warehouse_dsn, whole=True)
        assert self.here.history() == self.here.reachable()
        assert self.here.rows("SELECT state FROM songswap.grants") == [("active",)] * USERS


@pytest.fixture
def hours(platform: Make) -> Hours:
    """A platform of a few users whose refresh tokens are rotated each time."""
    made = Hours(platform(*ROTATED, users=USERS))
    made.ask(made.here.settings.warehouse_dsn, whole=True)
    return made


def test_cut_anywhere(hours: Hours) -> None:
    """Cut at sixty points of an hour, one connection or all, or by a pooler's errors."""
    with Cutting(hours.here.settings.warehouse_dsn) as way:
        for whole, cuts in ((False, 45), (True, 15)):
            way.strike(None)
            hours.ask(way.dsn, whole=whole)
            points = way.seen
            for number in range(cuts):
                at = 1 + number * points // cuts
                how = (CUT, DOWN, POOLERS[number // 3 % len(POOLERS)])[number % 3]
                way.strike(at, how)
                hours.trouble(way.dsn, whole=whole)
                way.strike(None)
                hours.assert_all_well((at, points, how))
    hours.end()
    assert hours.broken["WarehouseUnavailable"] > 20, "nearly none was hit"
