"""Streams and plays of exports arrive in their tables as they are, whatever their texts hold."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from examples import examples
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from songswap.errors import LoadIncomplete
from songswap.models import Play, Stream
from songswap.transform.exports.outcomes import ClassifiedStream, Outcome
from songswap.transform.values import clean
from songswap.warehouse.connection import connect
from songswap.warehouse.exports.rows import copy_plays, copy_streams

BEGIN = datetime(2012, 2, 29, 23, 59, tzinfo=UTC)
STREAM = Stream(BEGIN, 200_000, None, r"\N", "NULL", platform="phone")
TRACKS = ["t1", "0-_a", "a\\b\tc"]
USERS = """INSERT INTO "Users" VALUES (1, '1', '1', '1')"""
STORED = """
SELECT ended_at, ms_played, track_id, track_name, artist_name, reason_start, reason_end, shuffle,
  skipped, offline, incognito, platform, country, to_the_minute, reported_at, place, outcome,
  played_at AT TIME ZONE 'UTC'
FROM songswap.streams
"""
VANISHING = """
CREATE FUNCTION vanish() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER vanish BEFORE INSERT ON songswap.streams FOR EACH ROW EXECUTE FUNCTION vanish()
"""


@pytest.fixture
def users(warehouse_dsn: str) -> str:
    """A warehouse with a user and the tracks."""
    with connect(warehouse_dsn) as connection:
        connection.execute(USERS)
        connection.execute("""INSERT INTO "Tracks" SELECT unnest(%s::text[]), '', 0""", [TRACKS])
    return warehouse_dsn


texts = st.none() | st.text(st.characters() | st.sampled_from("\\\t\n\rN"), max_size=9).map(clean)
flags = st.none() | st.booleans()
times = st.integers(0, 3 * 10**11).map(lambda ms: BEGIN + timedelta(milliseconds=ms))


@st.composite
def rows(draw: st.DrawFn) -> ClassifiedStream:
    """A stream that is a play, whose time is its end or another, or that is none."""
    fields: dict[str, Any] = {
        **{name: draw(texts) for name in ("track_name", "artist_name", "reason_start")},
        **{name: draw(texts) for name in ("reason_end", "platform", "country")},
        **{name: draw(flags) for name in ("shuffle", "skipped", "offline", "incognito")},
    }
    stream = Stream(
        draw(times),
        draw(st.integers(0, 2**31 - 1)),
        draw(st.none() | st.sampled_from(TRACKS)),
        **fields,
        to_the_minute=draw(st.booleans()),
        reported_at=draw(st.none() | times),
    )
    played_at = draw(st.sampled_from([stream.ended_at, None]) | times)
    outcome = Outcome.LOADED if played_at else Outcome.SHORT
    return ClassifiedStream(stream, draw(st.integers(0, 32_767)), outcome, played_at)


def stored(row: ClassifiedStream) -> tuple[Any, ...]:
    """The row as it is to be stored: with names where it came without an id."""
    stream, place, outcome, played_at = row
    has_names = stream.track_id is None or stream.to_the_minute
    return (
        *(stream.ended_at, stream.ms_played, stream.track_id),
        *((stream.track_name, stream.artist_name) if has_names else (None, None)),
        *(stream.reason_start, stream.reason_end, stream.shuffle, stream.skipped),
        *(stream.offline, stream.incognito, stream.platform, stream.country),
        *(stream.to_the_minute, stream.reported_at, place, outcome, played_at),
    )


@settings(max_examples=examples(1), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows())
@example(ClassifiedStream(STREAM, 0, Outcome.UNIDENTIFIED, None))
def test_stream_arrives_as_it_is(users: str, row: ClassifiedStream) -> None:
    with connect(users) as connection, connection.transaction(force_rollback=True):
        copy_streams(connection, 1, [row])
        assert connection.execute(STORED).fetchall() == [stored(row)]


@settings(max_examples=examples(0.5), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(times, st.sampled_from(TRACKS), max_size=5))
def test_plays_arrive_as_they_are(users: str, plays: dict[datetime, str]) -> None:
    with connect(users) as connection, connection.transaction(force_rollback=True):
        copy_plays(connection, [Play(1, at, track_id) for at, track_id in plays.items()])
        found = connection.execute(
            """SELECT played_at AT TIME ZONE 'UTC', track_id FROM "History" """
        )
        assert dict(found.fetchall()) == plays


def test_streams_of_more_than_one_message(users: str) -> None:
    streams = [STREAM._replace(ms_played=ms) for ms in range(1_001)]
    with connect(users) as connection:
        copy_streams(
            connection, 1, [ClassifiedStream(row, 0, Outcome.UNIDENTIFIED, None) for row in streams]
        )
        found = connection.execute("SELECT ms_played FROM songswap.streams ORDER BY 1").fetchall()
    assert [ms for (ms,) in found] == list(range(1_001))


def test_stream_that_vanishes_is_noticed(users: str) -> None:
    with connect(users) as connection:
        connection.execute(VANISHING)
        with pytest.raises(LoadIncomplete, match=r"1 of 1 rows were not in songswap\.streams"):
            copy_streams(connection, 1, [ClassifiedStream(STREAM, 0, Outcome.SHORT, None)])
