"""Loads: whatever comes, in whichever order and however often, the tables come out the same."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import psycopg
import pytest
from all_tables import AllTables, Rows, difference
from examples import examples
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from songswap.errors import LoadIncomplete
from songswap.models import Catalogue, Metadata, Play
from songswap.pipelines.load import load_catalogue
from songswap.transform import metadata as read
from songswap.transform import recent_plays as transform
from songswap.warehouse import enrichment, enrichment_queue, polls
from songswap.warehouse import plays as history
from songswap.warehouse.connection import connect
from songswap.warehouse.plays import ParsedResponse, PollBatch

BEGIN = datetime(2026, 11, 22, tzinfo=UTC)
NOW, STALE_AFTER = BEGIN + timedelta(days=2), timedelta(days=1)
USERS = 3
QUEUED = {"songswap.enrichment_queue": {"queued_at"}}


@pytest.fixture
def users(warehouse_dsn: str) -> str:
    """A warehouse with three users."""
    with connect(warehouse_dsn) as connection:
        connection.execute(
            'INSERT INTO "Users" SELECT n, n, n, n FROM generate_series(1, %s) n', [USERS]
        )
    return warehouse_dsn


@pytest.fixture
def tables(users: str) -> Iterator[AllTables]:
    """All tables of that warehouse, but for when something was queued: in which transaction."""
    with psycopg.connect(users, autocommit=True) as connection:
        yield AllTables(connection, QUEUED)


@pytest.fixture
def in_any_order(users: str) -> Iterator[AllTables]:
    """The same without the times of notes: of whatever came first."""
    with psycopg.connect(users, autocommit=True) as connection:
        yield AllTables(connection, QUEUED | {"songswap.data_fixes": {"found_at"}})


def page(minutes_and_tracks: list[tuple[int, int]], limit: int = 50) -> bytes:
    """An answer with plays at these minutes of these tracks."""
    return json.dumps(
        {
            "limit": limit,
            "items": [
                {
                    "played_at": (BEGIN + timedelta(minutes=minute)).isoformat(),
                    "track": {
                        "id": f"track{track}",
                        "name": f"Track {track}",
                        "duration_ms": track,
                        "popularity": track,
                        "preview_url": "p",
                        "artists": [{"id": f"artist{track % 3}", "name": "A"}],
                        "album": {"images": [{"height": 9, "width": 9, "url": "u"}]},
                    },
                }
                for minute, track in minutes_and_tracks
            ],
        }
    ).encode()


def load(
    connection: psycopg.Connection,
    user_id: int,
    at: datetime,
    body: bytes,
    run: str = "run",
    now: datetime = NOW,
) -> Counter[str]:
    return load_batches(connection, [alone(user_id, at, body, now)], run, STALE_AFTER)


def load_batches(
    connection: psycopg.Connection, batches: list[PollBatch], run: str, stale_after: timedelta
) -> Counter[str]:
    """Load tracks and artists, and then plays."""
    counts: Counter[str] = Counter()
    batches = load_catalogue(connection, batches, stale_after, counts)
    counts.update(history.load(connection, batches, run, stale_after))
    return counts


def alone(user_id: int, at: datetime, body: bytes, now: datetime) -> PollBatch:
    """A round of one answer."""
    catalogue = Catalogue()
    parsed = transform.transform(body, user_id, at, catalogue)
    answer = ParsedResponse(user_id, at, f"key {at}", transform.fingerprint(body), parsed)
    return PollBatch([answer], catalogue, now)


def load_at_once(
    connection: psycopg.Connection, responses: list[tuple[int, datetime, bytes]]
) -> None:
    """Load answers one after the other, in one transaction."""
    rounds = [alone(user_id, at, body, at) for user_id, at, body in responses]
    load_batches(connection, rounds, "run", STALE_AFTER)


def contents(connection: psycopg.Connection) -> dict[str, list[Any]]:
    """All that the loads wrote, but for when and in which run something was noted."""
    queries = {
        "History": 'SELECT * FROM "History"',
        "Tracks": 'SELECT * FROM "Tracks"',
        "Artists": 'SELECT * FROM "Artists"',
        "ArtistTracks": 'SELECT * FROM "ArtistTracks"',
        "TrackImages": 'SELECT * FROM "TrackImages"',
        "wanted": "SELECT kind, id FROM songswap.enrichment_queue",
        "rejected_items": "SELECT user_id, fingerprint, reason FROM songswap.rejected_items",
    }
    return {
        name: sorted(connection.execute(query.encode()).fetchall())
        for name, query in queries.items()
    }


def empty(connection: psycopg.Connection) -> None:
    connection.execute(
        'TRUNCATE "Tracks", "Artists", songswap.enrichment_queue, songswap.rejected_items,'
        " songswap.gaps, songswap.polls, songswap.data_fixes, songswap.track_forms CASCADE"
    )


PLAYS = st.lists(
    st.tuples(st.integers(0, 100), st.integers(0, 20)),
    max_size=12,
    unique_by=lambda play: play[0],
)


@settings(
    max_examples=examples(0.25),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    answers=st.lists(st.tuples(st.integers(1, USERS), PLAYS), min_size=1, max_size=6),
    data=st.data(),
)
def test_order_and_repetition(
    users: str, answers: list[tuple[int, list[tuple[int, int]]]], data: st.DataObject
) -> None:
    """Answers loaded in another order, and some of them again, give the same tables.

    Where two tracks claim one moment of a user the first loaded stands, so moments are made to
    belong to one track here; the clash has a test of its own.
    """
    owned = [
        (user, [(minute * 21 + track, track) for minute, track in plays]) for user, plays in answers
    ]
    with connect(users) as connection:
        empty(connection)
        for user, plays in owned:
            load(connection, user, NOW, page(plays))
        once = contents(connection)
        again = data.draw(st.permutations(owned + data.draw(st.lists(st.sampled_from(owned)))))
        empty(connection)
        for user, plays in again:
            load(connection, user, NOW, page(plays))
        assert contents(connection) == once
        assert {row[2] for row in once["History"]} <= {row[0] for row in once["Tracks"]}
        expected = {(user, minute) for user, plays in owned for minute, _ in plays}
        assert len(once["History"]) == len(expected)


def test_all_or_nothing(users: str) -> None:
    """When the server refuses one row in the middle of a load, no play of it is there, nor that its
    user was polled; its tracks are, and wait to be fetched as far as they are new."""
    polled = "SELECT user_id FROM songswap.polls"
    with connect(users) as connection:
        connection.execute("ALTER TABLE songswap.polls ADD CONSTRAINT refuse CHECK (user_id <> 2)")
        load(connection, 1, BEGIN, page([(1, 1)]))
        before = contents(connection)
        with pytest.raises(psycopg.errors.CheckViolation):
            load(connection, 2, BEGIN, page([(2, 2)]))
        after = contents(connection)
        for name in ("History", "rejected_items"):
            assert after[name] == before[name]
        assert connection.execute(polled).fetchall() == [(1,)]
        assert after["Tracks"] == [("track1", "Track 1", 1), ("track2", "Track 2", 2)]
        assert set(after["wanted"]) - set(before["wanted"]) == {
            ("artist", "artist2"),
            ("features", "track2"),
            ("track", "track2"),
        }


def test_times_are_utc_in_any_zone_of_the_server(users: str) -> None:
    with connect(users) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET timezone = 'America/Los_Angeles'".encode())
    with connect(users) as connection:
        load(connection, 1, BEGIN, page([(90, 1)]))
        rows = connection.execute('SELECT played_at::text FROM "History"').fetchone()
        assert rows == ("2026-11-22 01:30:00",)
        artist = json.dumps({"artists": [{"id": "artist1", "popularity": 5}]}).encode()
        told_of = read.artists(artist, ["artist1"], BEGIN)
        enrichment.load(connection, "artist", ["artist1"], told_of, BEGIN, timedelta(hours=1))
        observed = connection.execute(
            'SELECT date::text FROM "TrackPopularity"'
            ' UNION ALL SELECT date::text FROM "ArtistPopularity"'
        ).fetchall()
        assert observed == [("2026-11-22 00:00:00",)] * 2


def test_gap_needs_a_full_response_without_overlap(users: str) -> None:
    """A user's first response is none."""
    with connect(users) as connection:

        def gaps(first_minute: int, number: int) -> int:
            plays = [(first_minute + n, n % 20) for n in range(number)]
            return load(connection, 1, BEGIN + timedelta(days=1), page(plays))["gaps"]

        assert gaps(0, 50) == 0, "nothing was known of the user"
        assert gaps(30, 50) == 0, "it overlaps"
        assert gaps(500, 49) == 0, "it is not full: nothing can be missing"
        assert gaps(1000, 50) == 1
        assert gaps(1000, 50) == 0, "it is known by now"
        found = connection.execute("SELECT after, before FROM songswap.gaps").fetchall()
        assert found == [(BEGIN + timedelta(minutes=548), BEGIN + timedelta(minutes=1000))]


def test_later_response_across_a_gap_closes_it(users: str) -> None:
    with connect(users) as connection:

        def counts(minutes: range) -> dict[str, int]:
            return load(connection, 1, BEGIN + timedelta(days=1), page([(n, 1) for n in minutes]))

        counts(range(10))
        assert counts(range(20, 70))["gaps"] == 1
        assert counts(range(15, 65))["gaps_closed"] == 0, "it does not reach back to before it"
        assert counts(range(5, 55))["gaps_closed"] == 1
        assert counts(range(5, 55))["gaps_closed"] == 0, "it is closed"


def test_rejected_item_joins_two_responses(users: str) -> None:
    """No gap lies between them."""
    broken = {"played_at": "2026-11-22T00:30:00.000Z", "track": None}
    nameless = {"track": None}
    with connect(users) as connection:

        def gaps(first_minute: int, number: int, item: dict[str, Any]) -> int:
            data = json.loads(page([(first_minute + n, 1) for n in range(number)]))
            data["items"].append(item)
            answer = json.dumps(data).encode()
            return load(connection, 1, BEGIN + timedelta(days=1), answer)["gaps"]

        assert gaps(0, 10, broken) == 0
        assert gaps(31, 49, broken) == 0
        assert gaps(200, 49, nameless) == 1
        assert gaps(300, 49, nameless) == 1, "an item without a time may be any"
        timeless = {"played_at": "yesterday", "track": None}
        assert gaps(400, 49, timeless) == 1
        assert gaps(500, 49, timeless) == 1, "so may one whose time is none"


def test_item_rejected_for_its_time_joins_nothing(users: str) -> None:
    """It is not loaded, so a gap lies behind it."""
    with connect(users) as connection:

        def told(at: int, minutes: range) -> Counter[str]:
            body = page([(minute, 1) for minute in minutes])
            return load(connection, 1, BEGIN + timedelta(minutes=at), body)

        a_day = 1440
        assert told(9, range(10))["plays"] == 10
        assert told(9, range(3000, 3050))["rejected_items"] == 50
        counts = told(3039 - a_day, range(3020, 3070))
        assert (counts["plays"], counts["gaps"]) == (20, 1)
        found = connection.execute("SELECT after, before FROM songswap.gaps").fetchall()
        assert found == [(BEGIN + timedelta(minutes=9), BEGIN + timedelta(minutes=3020))]
        assert told(3070, range(2990, 3040))["gaps"] == 0
        assert told(3070, range(3021, 3071))["plays"] == 31
        left = connection.execute("SELECT count(*) FROM songswap.rejected_items").fetchone()
        assert left == (0,), "what is loaded after all is not set aside any more"


def test_full_response_after_an_empty_one_is_a_gap(users: str) -> None:
    with connect(users) as connection:
        load(connection, 1, BEGIN, page([]))
        full = page([(600 + n, n % 20) for n in range(50)])
        assert load(connection, 1, BEGIN + timedelta(days=1), full)["gaps"] == 1
        found = connection.execute("SELECT after, before FROM songswap.gaps").fetchall()
        assert found == [(BEGIN, BEGIN + timedelta(minutes=600))]


def test_gap_after_a_feed_that_stood_still(users: str) -> None:
    """Where Spotify told of nothing although there was something, only its first answer bounds the
    gap; a feed that did so from the beginning, or none at all, leaves nothing to miss."""
    full = page([(600 + n, n % 20) for n in range(50)])
    late = BEGIN + timedelta(minutes=620)
    found = "SELECT user_id, after, before FROM songswap.gaps"
    with connect(users) as connection:
        for user, polled_at in ((1, BEGIN), (1, late), (2, late)):
            load(connection, user, polled_at, page([]))
        for user, gaps in ((1, 1), (2, 0), (3, 0)):
            assert load(connection, user, BEGIN + timedelta(days=1), full)["gaps"] == gaps
        rows = connection.execute(found).fetchall()
    assert rows == [(1, BEGIN, BEGIN + timedelta(minutes=600))]


def test_row_that_vanishes_rolls_the_load_back(users: str) -> None:
    """Something in the database swallows it."""
    with connect(users) as connection:
        connection.execute(
            "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RETURN NULL; END $$"
        )
        connection.execute(
            'CREATE TRIGGER swallow BEFORE INSERT ON "History" FOR EACH ROW EXECUTE FUNCTION'
            " swallow()"
        )
        with pytest.raises(LoadIncomplete, match="History after"):
            load(connection, 1, BEGIN, page([(1, 1)]))
        assert connection.execute("SELECT count(*) FROM songswap.polls").fetchone() == (0,)


def test_metadata_is_read_by_key_however_tables_grow(users: str) -> None:
    """A session's plans date from when the tables were small."""

    def artists(number: int) -> bytes:
        result = {"name": "A", "popularity": 1, "followers": {"total": 1}, "genres": ["g"]}
        images = [{"height": 9, "width": 9, "url": "u"}]
        ids = [f"a{number}-{n}" for n in range(50)]
        return json.dumps(
            {"artists": [{"id": i, "images": images, **result} for i in ids]}
        ).encode()

    with connect(users) as connection:
        connection.execute("SET stats_fetch_consistency = none")
        # A session makes a plan to keep when it has run a statement ten times.
        for number in range(12):
            ids = [f"a{number}-{n}" for n in range(50)]
            result = read.artists(artists(number), ids, BEGIN)
            enrichment.load(connection, "artist", ids, result, BEGIN, timedelta(hours=1))
        scans = "SELECT sum(seq_scan) FROM pg_stat_user_tables WHERE relname LIKE 'Artist%'"
        connection.execute("SELECT pg_stat_force_next_flush()")
        before = connection.execute(scans).fetchone()
        result = read.artists(artists(99), [f"a99-{n}" for n in range(50)], BEGIN)
        enrichment.load(
            connection, "artist", sorted(result.received), result, BEGIN, timedelta(hours=1)
        )
        connection.execute("SELECT pg_stat_force_next_flush()")
        assert connection.execute(scans).fetchone() == before
        assert connection.execute('SELECT count(*) FROM "ArtistGenres"').fetchone() == (13 * 50,)


def test_metadata_completes_a_track(users: str) -> None:
    """What ``/tracks`` tells replaces what a play had left out, and adds no second track."""
    with connect(users) as connection:
        body = json.dumps({"items": [{"played_at": BEGIN.isoformat(), "track": {"id": "t"}}]})
        load(connection, 1, BEGIN, body.encode())
        assert connection.execute('SELECT * FROM "Tracks"').fetchall() == [("t", "", 0)]
        assert enrichment_queue.queued_ids(connection, "track", 9, NOW) == ["t"]

        whole = json.dumps(
            {
                "tracks": [
                    {
                        "id": "t",
                        "name": "T",
                        "duration_ms": 5,
                        "artists": [{"id": "a", "name": "A"}],
                    }
                ]
            }
        )
        parsed = read.tracks(whole.encode(), ["t"], BEGIN)
        enrichment.load(connection, "track", ["t"], parsed, BEGIN, timedelta(hours=1))
        assert connection.execute('SELECT * FROM "Tracks"').fetchall() == [("t", "T", 5)]
        assert connection.execute('SELECT * FROM "ArtistTracks"').fetchall() == [("t", "a", True)]
        assert enrichment_queue.queued_ids(connection, "track", 9, NOW) == []
        assert enrichment_queue.queued_ids(connection, "artist", 9, NOW) == ["a"]


def test_unanswered_id_is_requested_later(users: str) -> None:
    """Neither at once nor never."""
    with connect(users) as connection:
        load(connection, 1, BEGIN, page([(1, 1)]))
        result = enrichment_queue.queued_ids(connection, "features", 9, NOW)
        assert result == ["track1"]
        later = timedelta(hours=6)
        enrichment.load(connection, "features", result, Metadata(), NOW, later)
        assert enrichment_queue.queued_ids(connection, "features", 9, NOW) == []
        assert enrichment_queue.queued_ids(connection, "features", 9, NOW + later) == result


@pytest.mark.parametrize(
    ("kind", "parsed"),
    [
        ("artist", read.artists(b'{"artists": [{"id": "artist1"}]}', ["artist1"], BEGIN)),
        ("track", read.tracks(b'{"tracks": [{"id": "track1"}]}', ["track1"], BEGIN)),
    ],
)
def test_metadata_without_popularity_is_requested_once_a_day(
    users: str, kind: str, parsed: Metadata
) -> None:
    """Not at each play."""

    def hear(minute: int, now: datetime) -> list[str]:
        body = page([(minute, 1)]).replace(b'"popularity"', b'"left_out"')
        load(connection, 1, now, body, now=now)
        return enrichment_queue.queued_ids(connection, kind, 9, now)

    with connect(users) as connection:
        ids = hear(1, BEGIN)
        assert ids == [f"{kind}1"]
        enrichment.load(connection, kind, ids, parsed, BEGIN, timedelta(hours=1))
        assert hear(2, BEGIN + timedelta(hours=23)) == []
        assert hear(3, BEGIN + timedelta(hours=25)) == ids


def test_artist_named_by_a_later_response_is_queued(users: str) -> None:
    """Although it holds no new play."""
    whole = page([(1, 1)])
    without = whole.replace(*BROKEN["artists"])
    with connect(users) as connection:
        load(connection, 1, BEGIN, without)
        assert enrichment_queue.queued_ids(connection, "artist", 9, NOW) == []
        assert load(connection, 1, BEGIN + timedelta(hours=1), whole)["artists"] == 1
        assert enrichment_queue.queued_ids(connection, "artist", 9, NOW) == ["artist1"]


def test_known_track_is_compared_once_a_day(users: str) -> None:
    """Or when its popularity changed. A value in another form than before is stored at once."""
    image = b'{"height": 9, "width": 9, "url": "u"}'

    def hear(connection: psycopg.Connection, hours: int, *tracks: int, popular: int) -> set[str]:
        plays = page([(60 * hours + n, track) for n, track in enumerate(tracks)])
        result = plays.replace(b'"popularity": 1,', b'"popularity": %d,' % popular)
        more = image.replace(b"9", b"%d" % (hours + 10))
        at = BEGIN + timedelta(hours=hours)
        result = result.replace(image, image + b", " + more)
        load(connection, 1, at, result, now=at)
        rows = connection.execute('SELECT id, height FROM "TrackImages" WHERE height > 9')
        return {f"{id_} {height - 10}" for id_, height in rows}

    with connect(users) as connection:
        assert hear(connection, 0, 1, popular=1) == {"track1 0"}
        assert hear(connection, 1, 1, 2, popular=1) == {"track1 0", "track1 1", "track2 1"}
        connection.execute('DELETE FROM "TrackImages"')
        assert hear(connection, 1, 1, popular=1) == set()
        assert hear(connection, 1, 1, popular=5) == {"track1 1"}
        connection.execute('DELETE FROM "TrackImages"')
        assert hear(connection, 1, 1, popular=5) == set()
        assert hear(connection, 2, 1, popular=5) == {"track1 2"}
        assert hear(connection, 26, 1, popular=5) == {"track1 2", "track1 26"}
        rows = connection.execute(
            'SELECT date, popularity FROM "TrackPopularity" WHERE id = %s ORDER BY date', ["track1"]
        )
        hours = {round((at.replace(tzinfo=UTC) - BEGIN) / timedelta(hours=1)): n for at, n in rows}
        assert hours == {0: 1, 1: 5, 26: 5}


HEARD = st.tuples(st.integers(0, 60), st.integers(1, 4))
BROKEN = {
    "name": (b'"Track 1"', b"null"),
    "artist's name": (b'"A"', b"null"),
    "artists": (b'"artists": [{"id": "artist1", "name": "A"}]', b'"artists": null'),
    "popularity": (b'"popularity": 1,', b'"popularity": -1,'),
    "images": (b'"height": 9,', b'"height": "high",'),
    "track": (b'"id": "track2"', b'"id": "?"'),
    "more popular": (b'"popularity": 2,', b'"popularity": 3,'),
    "preview": (b'"preview_url": "p"', b'"preview_url": ""'),
    "another name": (b'"Track 1"', b'"T"'),
    "another artist's name": (b'"A"', b'"B"'),
    "other artists": (b'"artists": [', b'"artists": [{"id": "artist9", "name": "Z"}, '),
    "another first artist": (b'"id": "artist1"', b'"id": "artist8"'),
    "another duration": (b'"duration_ms": 1,', b'"duration_ms": 9,'),
    "another image": (b'"url": "u"', b'"url": "v"'),
    "more images": (b'"images": [', b'"images": [{"height": 8, "width": 8, "url": "x"}, '),
    "another preview": (b'"preview_url": "p"', b'"preview_url": "q"'),
    "": (b"", b""),
}
ANSWERS = st.lists(
    st.tuples(
        st.integers(1, USERS),
        st.integers(0, 60),
        st.lists(HEARD, max_size=4, unique_by=lambda play: play[0]),
        st.sampled_from(sorted(BROKEN)),
    ),
    max_size=8,
)
Told = tuple[int, datetime, bytes]


@settings(
    max_examples=examples(0.4),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(answers=ANSWERS)
@example(answers=[(1, 0, [(0, 2)], ""), (1, 0, [(0, 2)], "more popular")])
@example(answers=[(1, 0, [(0, 2)], "more popular"), (1, 0, [(0, 2)], "")])
def test_at_once_as_one_by_one(
    users: str,
    tables: AllTables,
    in_any_order: AllTables,
    answers: list[tuple[int, int, list[tuple[int, int]], str]],
) -> None:
    """Answers of hours that are loaded in one transaction leave each row that they leave when each
    has its own: gaps, states and notes included, whatever is broken in some of them. So do those of
    one user after the other, as a replay loads them."""
    result = []
    for user, hour, plays, broken in sorted(answers, key=lambda one: one[1]):
        # An answer of two plays counts as a full one, so that there are gaps.
        whole = page([(60 * at, track) for at, track in sorted(plays)], limit=2)
        body = whole.replace(*BROKEN[broken])
        result.append((user, BEGIN + timedelta(hours=hour, minutes=user), body))

    def rows(parts: list[list[Told]], tables: AllTables) -> Rows:
        with connect(users) as connection:
            empty(connection)
            for part in parts:
                load_at_once(connection, part)
        return tables.read()

    one_by_one = rows([[one] for one in result], tables)
    in_order = in_any_order.read()
    assert not difference(rows([result], tables), one_by_one)
    middle = len(result) // 2
    assert not difference(rows([result[:middle], result[middle:]], tables), one_by_one)
    for order in (range(1, USERS + 1), range(USERS, 0, -1)):
        by_user = [[one for one in result if one[0] == user] for user in order]
        assert not difference(rows(by_user, in_any_order), in_order)


def test_batches_of_users_in_any_order(users: str, in_any_order: AllTables) -> None:
    """What several users are told of one track at one moment gives the same rows, whoever is in the
    same batch and whichever batch is loaded first."""
    different = [*BROKEN]

    def load_all(*batches: list[int]) -> Rows:
        with connect(users) as connection:
            empty(connection)
            for batch in batches:
                catalogue, answers = Catalogue(), []
                for number in batch:
                    body = page([(number, 1), (99, 2)]).replace(*BROKEN[different[number]])
                    parsed = transform.transform(body, number + 1, BEGIN, catalogue)
                    answers.append(ParsedResponse(number + 1, BEGIN, "key", None, parsed))
                load_batches(connection, [PollBatch(answers, catalogue, NOW)], "run", STALE_AFTER)
        return in_any_order.read()

    numbers = [*range(len(different))]
    with connect(users) as connection:
        connection.execute(
            'INSERT INTO "Users" SELECT n, n, n, n FROM generate_series(%s::int, %s) n',
            [USERS + 1, len(numbers)],
        )
    expected = load_all(numbers)
    assert not difference(load_all(numbers[::-1]), expected)
    assert not difference(load_all(*([number] for number in numbers)), expected)
    assert not difference(load_all(*([number] for number in reversed(numbers))), expected)
    assert not difference(load_all(numbers[::2], numbers[1::2]), expected)


def test_metadata_of_plays_only_fills_what_endpoints_left_out(
    users: str, in_any_order: AllTables
) -> None:
    """Before or after the endpoints' own."""
    track = {
        "id": "track1",
        "name": "A",
        "duration_ms": 1,
        "popularity": 1,
        "preview_url": "a",
        "artists": [{"id": "artist1", "name": "A"}, {"id": "artist0", "name": "A"}],
        "album": {"images": [{"height": 9, "width": 9, "url": "a"}]},
    }
    artist = {"id": "artist0", "name": "A"}
    other = {**track, "name": "Z", "duration_ms": 9, "preview_url": "z"}
    other["artists"] = [{"id": "artist9", "name": "Z"}, {"id": "artist0", "name": "Z"}]
    other["album"] = {"images": [{"height": n, "width": n, "url": "z"} for n in (8, 9)]}
    at = BEGIN + timedelta(hours=9)

    def hear(user: int, hour: int, result: dict[str, Any]) -> None:
        play = {"played_at": (BEGIN + timedelta(hours=hour)).isoformat(), "track": result}
        body = json.dumps({"items": [play]}).encode()
        load(connection, user, BEGIN + timedelta(hours=hour), body, now=BEGIN)

    def enrich() -> None:
        result = read.tracks(json.dumps({"tracks": [track]}).encode(), ["track1"], at)
        enrichment.load(connection, "track", ["track1"], result, at, timedelta(hours=1))
        result = read.artists(json.dumps({"artists": [artist]}).encode(), ["artist0"], at)
        enrichment.load(connection, "artist", ["artist0"], result, at, timedelta(hours=1))

    def first() -> None:
        hear(1, 1, track)

    def second() -> None:
        hear(2, 10, other)

    with connect(users) as connection:
        found = []
        for deeds in ([first, enrich, second], [first, second, enrich], [second, enrich, first]):
            empty(connection)
            for deed in deeds:
                deed()
            found.append(in_any_order.read())
    assert not difference(found[1], found[0])
    assert not difference(found[2], found[0])
    tables = {name.removeprefix("public."): set(rows) for name, rows in found[0].items()}
    assert tables["Tracks"] == {"(track1,A,1)"}
    assert tables["ArtistTracks"] == {
        *("(track1,artist1,t)", "(track1,artist0,f)", "(track1,artist9,f)")
    }
    assert tables["Artists"] == {"(artist0,A)", "(artist1,A)", "(artist9,Z)"}
    assert tables["TrackImages"] == {"(track1,9,9,a)", "(track1,8,8,z)"}
    assert all(row.endswith(",1)") for row in tables["TrackPopularity"])


def test_two_tracks_at_one_moment(users: str) -> None:
    """In one answer too, one of two tracks at one moment stands and the other is set aside."""
    with connect(users) as connection:
        catalogue = Catalogue()
        parsed = transform.transform(page([(1, 1), (1, 2)]), 1, BEGIN, catalogue)
        assert parsed.plays == [
            Play(1, BEGIN + timedelta(minutes=1), "track1"),
            Play(1, BEGIN + timedelta(minutes=1), "track2"),
        ]
        answer = ParsedResponse(1, BEGIN, "key", None, parsed)
        told_at_once = PollBatch([answer], catalogue, NOW)
        counts = load_batches(connection, [told_at_once], "run", STALE_AFTER)
        assert (counts["plays"], counts["rejected_items"]) == (1, 1)
        again = load_batches(connection, [told_at_once], "run", STALE_AFTER)
        assert (again["plays"], again["rejected_items"]) == (0, 0)


def test_missing_name_or_duration_is_filled_by_another_play(users: str) -> None:
    """In any order, although the popularity may be known already."""
    whole = page([(1, 1)])
    broken = (
        page([(2, 1)])
        .replace(b'"name": "Track 1", "duration_ms": 1', b'"name": null, "duration_ms": -1')
        .replace(b'"name": "A"', b'"name": null')
    )
    renamed = page([(3, 1)]).replace(b"Track 1", b"Another").replace(b'"A"', b'"B"')
    at = BEGIN + timedelta(hours=1)
    with connect(users) as connection:
        for order in permutations((whole, broken, renamed)):
            empty(connection)
            for number, body in enumerate(order, 1):
                load(connection, number, at + number * timedelta(minutes=1), body, "", at)
            assert connection.execute('SELECT * FROM "Tracks"').fetchall() == [
                ("track1", "Track 1", 1)
            ]
            assert connection.execute('SELECT * FROM "Artists"').fetchall() == [("artist1", "B")]


def test_popularity_by_batches(users: str) -> None:
    """Observations of several users give the same rows together, alone, and in any order."""
    result = [(1, 10, 5), (2, 11, 5), (3, 12, 6), (1, 13, 5), (2, 14, 7), (3, 35, 5)]
    expected = {(10, 5), (12, 6), (14, 7), (35, 5)}

    def load_all(connection: psycopg.Connection, batch: list[tuple[int, int, int]]) -> None:
        catalogue, answers = Catalogue(), []
        for user, hour, value in batch:
            body = page([(hour, 1)]).replace(b'"popularity": 1', b'"popularity": %d' % value)
            at = BEGIN + timedelta(hours=hour)
            answers.append(
                ParsedResponse(
                    user, at, "key", None, transform.transform(body, user, at, catalogue)
                )
            )
        load_batches(connection, [PollBatch(answers, catalogue, NOW)], "run", STALE_AFTER)

    with connect(users) as connection:
        orders = (
            [result[:3], result[3:]],
            [result[3:], result[:3]],
            [[one] for one in reversed(result)],
        )
        for batches in orders:
            empty(connection)
            for batch in batches:
                load_all(connection, batch)
            rows = connection.execute('SELECT date, popularity FROM "TrackPopularity"').fetchall()
            hours = {
                ((at.replace(tzinfo=UTC) - BEGIN) // timedelta(hours=1), value)
                for at, value in rows
            }
            assert (hours, len(rows)) == (expected, len(expected))


def test_rejected_item_names_the_earliest_response(users: str) -> None:
    """Whichever is loaded first."""
    body = json.dumps({"items": [{"played_at": "2026-11-22T00:30:00Z", "track": None}]}).encode()
    early, late = BEGIN + timedelta(hours=1), BEGIN + timedelta(hours=2)
    with connect(users) as connection:
        for order in ((early, late), (late, early)):
            empty(connection)
            counts = [load(connection, 1, at, body, f"run of {at.hour}") for at in order]
            assert [count["rejected_items"] for count in counts] == [1, 0]
            found = connection.execute(
                "SELECT found_at, run_id FROM songswap.rejected_items"
            ).fetchall()
            assert found == [(early, "run of 1")]


def test_gap_after_an_empty_feed_begins_at_its_first_response(users: str) -> None:
    """Later empty responses are not archived and do not move it."""
    full = page([(600 + n, n % 20) for n in range(50)])
    with connect(users) as connection:
        load(connection, 1, BEGIN, page([]))
        polls.record_polls(connection, {1: None}, BEGIN + timedelta(hours=5))
        assert load(connection, 1, BEGIN + timedelta(days=1), full)["gaps"] == 1
        found = connection.execute("SELECT after FROM songswap.gaps").fetchall()
    assert found == [(BEGIN,)]


def test_same_response_again_changes_nothing(users: str) -> None:
    """Not even the user's pace."""
    with connect(users) as connection:
        for at in (BEGIN + timedelta(minutes=9), BEGIN + timedelta(hours=9)):
            load(connection, 1, at, page([(1, 1), (2, 2)]))
        polls = connection.execute("SELECT * FROM songswap.polls").fetchall()
        load(connection, 1, at, page([(1, 1), (2, 2)]))
        assert connection.execute("SELECT * FROM songswap.polls").fetchall() == polls
