"""Everything that writes tracks and plays, at once: no deadlock, and nothing lost or doubled."""

import os
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import chain, permutations
from typing import Any

import psycopg
import pytest
from all_tables import AllTables, Rows, difference, unexplained
from at_once import Crowd, deadlocks
from contradictions import ARTISTS, song
from spotify_json import OBSERVED_AT as AT
from stepping import Work
from warehouse_work import (
    Tracks,
    enrich_artists,
    enrich_tracks,
    import_export,
    load,
    moment,
    move_raw,
    record_polls,
)

LONGER = 10 if os.environ.get("SONGSWAP_EVERY_ORDER") else 1
WRITERS, WORKS = 6, 20 * LONGER
ROUNDS, REPEATS = 2 * LONGER, 5
USERS, SONGS = 6, range(1, 31)


@pytest.fixture
def observer(warehouse_dsn: str) -> Iterator[psycopg.Connection]:
    """A session of its own, in a warehouse with users."""
    with psycopg.connect(warehouse_dsn, autocommit=True) as connection:
        insert = 'INSERT INTO "Users" SELECT n, n, n, n FROM generate_series(1, %s::integer) n'
        connection.execute(insert, [USERS])
        yield connection


@pytest.fixture
def crowd(warehouse_dsn: str) -> Iterator[Crowd]:
    crowd = Crowd(warehouse_dsn, WRITERS)
    yield crowd
    crowd.close()


def seen(drawn: random.Random, number: int) -> dict[str, Any]:
    """A track as somebody sees it."""
    artists = drawn.sample(ARTISTS, 2)
    return song(
        number,
        *(artist | {"name": drawn.choice("MN")} for artist in artists),
        name=drawn.choice([None, "M", "N"]),
        popularity=drawn.choice([None, 5, 6, 7]),
        preview_url=drawn.choice([None, "m", "n"]),
        album=drawn.choice([None, {"images": [{"height": 9, "width": 9, "url": "u"}]}]),
    )


def heard(drawn: random.Random, user: int, since: int, number: int) -> Tracks:
    """Plays of a user: each minute of a user has its one track."""
    minutes = drawn.sample(range(since, since + 60), number)
    return {n: seen(drawn, SONGS[(n * 7 + user) % len(SONGS)]) if n % 9 else None for n in minutes}


class Ledger:
    """Draws works, and knows the plays that they load: the user, the time and the track."""

    def __init__(self, seed: int) -> None:
        self.drawn = random.Random(seed)  # noqa: S311 - no secret
        self.plays: set[tuple[int, datetime, str]] = set()

    def expect(self, user: int, tracks: Tracks) -> None:
        self.plays |= {(user, moment(n), track["id"]) for n, track in tracks.items() if track}

    def works(self, number: int) -> list[Work]:
        kinds = [self.load, self.enrich, self.enrich, self.imported, self.polls, self.moves]
        chosen = self.drawn.choices(kinds, [8, 2, 2, 2, 2, 1], k=number)
        return [work() for work in chosen]

    def load(self) -> Work:
        batches = []
        for _ in range(self.drawn.choice([1, 2, 3])):
            users = self.drawn.sample(range(1, USERS + 1), 3)
            batches.append({user: heard(self.drawn, user, 1, 8) for user in users})
        for batch in batches:
            for user, tracks in batch.items():
                self.expect(user, tracks)
        return load(*batches, at=AT + timedelta(minutes=self.drawn.choice([0, 1])))

    def enrich(self) -> Work:
        if self.drawn.random() < 0.5:
            return enrich_artists(*self.drawn.sample(ARTISTS, 3))
        numbers = self.drawn.sample(SONGS, 8)
        return enrich_tracks(*(seen(self.drawn, number) for number in numbers))

    def imported(self) -> Work:
        user = self.drawn.randint(1, USERS)
        # Far from the plays of responses, for a stream near one of them is that play.
        tracks: Tracks = {n: song(SONGS[n % len(SONGS)], ARTISTS[0]) for n in range(5000, 5200, 20)}
        self.expect(user, tracks)
        return import_export(user, tracks)

    def polls(self) -> Work:
        return record_polls(*self.drawn.sample(range(1, USERS + 1), 4))

    def moves(self) -> Work:
        return move_raw(self.drawn.randint(1, USERS))


def history(connection: psycopg.Connection) -> list[tuple[int, datetime, str]]:
    rows = connection.execute(
        """SELECT user_id, played_at AT TIME ZONE 'UTC', track_id FROM "History" """
    )
    return [*rows]


def test_no_deadlock_and_every_play_once(observer: psycopg.Connection, crowd: Crowd) -> None:
    """Loads, imports, enrichments and records of polls take what they share in other orders."""
    ledger = Ledger(19)
    crowd.work([ledger.works(WORKS) for _ in range(WRITERS)])
    assert not crowd.errors
    assert deadlocks(observer) == 0
    assert sorted(history(observer)) == sorted(ledger.plays)


def test_users_at_once_as_one_by_one(observer: psycopg.Connection, crowd: Crowd) -> None:
    """Hours of users, each loaded by another process, as a replay does: the same tables, row for
    row, whatever they say of the same tracks."""
    tables = AllTables(observer)
    tables.keep()
    drawn = random.Random(19)  # noqa: S311 - no secret
    works = [
        [
            load({user: heard(drawn, user, 1, 12)}, at=AT + timedelta(hours=hour))
            for hour in range(4 * LONGER)
        ]
        for user in range(1, USERS + 1)
    ]
    crowd.work([[*chain(*works)]])
    expected = tables.read()
    for _ in range(REPEATS):
        tables.restore()
        crowd.work(works)
        assert not difference(tables.read(), expected)
    assert not crowd.errors


def test_one_user_by_all_at_once(observer: psycopg.Connection, crowd: Crowd) -> None:
    """Hourly load, replay, import and enrichment of one user, in rounds: each row is as after one
    of the 24 serial orders, and every play is there once."""
    tables = AllTables(observer)
    tables.keep()
    for seed in range(ROUNDS):
        drawn = random.Random(seed)  # noqa: S311 - no secret
        hours = [heard(drawn, 1, since, 10) for since in (100, 40, 1)]
        played = {**hours[0], **hours[1]}
        older = {minute + 5000: track for minute, track in hours[2].items()}
        works = [
            load({1: hours[2]}, at=AT + timedelta(minutes=5)),
            load({1: hours[0]}, {1: hours[1]}, {1: hours[2]}),
            import_export(1, whole({**played, **older})),
            enrich_tracks(*(seen(drawn, number) for number in SONGS[::3])),
        ]
        serial: list[Rows] = []
        for order in permutations(works):
            tables.restore()
            crowd.work([order])
            serial.append(tables.read())
        assert len({frozenset(each["public.History"].items()) for each in serial}) == 1
        for _ in range(REPEATS):
            tables.restore()
            crowd.work([[work] for work in works])
            if wrong := unexplained(tables.read(), serial):
                pytest.fail(wrong)
        expected = Ledger(seed)
        for tracks in (*hours, whole(older)):
            expected.expect(1, tracks)
        assert sorted(history(observer)) == sorted(expected.plays)
    assert not crowd.errors
    assert deadlocks(observer) == 0


def whole(tracks: Tracks) -> Tracks:
    """These tracks, with the names that an export has."""
    return {minute: song(int(track["id"]), ARTISTS[0]) for minute, track in tracks.items() if track}
