"""Replay of the archive of the system before: plain JSON, without metadata, an hour earlier."""

import gzip
import json
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import obstore
import psycopg
import pytest
from factories import MakePlatform, Platform

from songswap.dev.stack.object_store import ObjectStore
from songswap.pipelines import replay, run_counts
from songswap.settings import Settings
from songswap.storage import keys

Play = tuple[int, datetime, str]
HOURS = 6


@pytest.fixture
def platform(make_platform: MakePlatform) -> Platform:
    """A platform whose users were asked for in the second minute of each hour."""
    made = make_platform(users=4)
    made.advance(minutes=1)
    for _ in range(HOURS):
        made.load()
        made.advance(hours=1)
    assert made.history().total() > 50
    return made


@pytest.fixture
def fresh(make_warehouse: Callable[[], str], platform: Platform) -> Settings:
    """The settings with an empty warehouse that has the users."""
    settings = replace(platform.settings, warehouse_dsn=make_warehouse())
    replay.copy_users(settings, platform.settings.warehouse_dsn, replay.plan(settings))
    return settings


def as_before(platform: Platform, until: datetime | None = None) -> dict[str, set[Play]]:
    """Turn the archive into that of the system before, up to an hour; the plays of each object.

    It asked with ``after``, the begin of the hour before, and put only what had plays, as text.
    """
    result = []
    for path in platform.objects():
        place = keys.parse(path)
        assert place is not None
        given = obstore.get(platform.bucket, path)
        at = datetime.fromisoformat(given.attributes["observed-at"])
        if until is None or place.hour < until:
            result.append((place.user_id, at, json.loads(gzip.decompress(bytes(given.bytes())))))
            obstore.delete(platform.bucket, path)
    plays: dict[str, set[Play]] = {}
    for number, (user, at, page) in enumerate(result):
        hour = at.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
        after = int(hour.timestamp() * 1000)
        items = [item for item in page["items"] if item["played_at"] > f"{hour:%Y-%m-%dT%H}"]
        if items:
            key = keys.for_hour(user, hour)
            address = f"https://api.spotify.com/v1/me/player/recently-played?after={after}&limit=50"
            page |= {"items": items, "href": address, "next": address}
            obstore.put(platform.bucket, key, written(number, page))
            plays[key] = {
                (user, moment(item["played_at"]), item["track"]["id"])
                for item in items
                if item["track"]["id"]
            }
    assert plays
    return plays


def written(number: int, page: dict[str, Any]) -> bytes:
    """An answer as it was written, and as people's tools may have left it."""
    text = json.dumps(page).encode()
    forms = (text, b"\xef\xbb\xbf " + text + b"\n", gzip.compress(text))
    return forms[number % 4] if number % 4 < 3 else json.dumps(page["items"], indent=1).encode()


def moment(text: str) -> datetime:
    """A time of Spotify as the table has it."""
    return datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None)


def load(settings: Settings) -> dict[str, int]:
    """A replay of all."""
    units = replay.plan(settings)
    return run_counts.total(replay.replay(settings, "a replay", unit) for unit in units)


def rows(settings: Settings, query: str) -> list[Any]:
    """What a query gives."""
    with psycopg.connect(settings.warehouse_dsn) as connection:
        return connection.execute(query.encode()).fetchall()


def tables(settings: Settings) -> dict[str, list[Any]]:
    """All that a replay writes, without the ids of runs."""
    return {
        name: sorted(map(str, rows(settings, f"SELECT {what} FROM {name}")))  # noqa: S608
        for name, what in {
            '"History"': "*",
            '"Tracks"': "*",
            '"Artists"': "*",
            '"ArtistTracks"': "*",
            '"TrackPopularity"': "*",
            "songswap.gaps": "user_id, after, before, found_at, closed_at",
            "songswap.rejected_items": "user_id, fingerprint, found_at, raw_key",
            "songswap.polls": "user_id, answered_at, fingerprint, newest_played_at",
        }.items()
    }


def test_previous_archive_gives_exactly_its_plays(platform: Platform, fresh: Settings) -> None:
    """A second replay changes nothing."""
    plays = as_before(platform)
    counts = load(fresh)
    found = set(rows(fresh, 'SELECT user_id, played_at, track_id FROM "History"'))
    assert found == set().union(*plays.values())
    assert counts["plays"] == len(found)
    assert counts["responses"] == counts["objects"] == len(plays)
    assert replay.problem(counts) is None
    assert counts.get("unusable", 0) == 0
    # Each of its answers begins where the hour does: that it joins none says nothing.
    assert counts.get("gaps", 0) == 0
    # No object's own time is of its key's hours here: popularity has the end of the key's hour.
    ends = {f"{hour + timedelta(hours=1):%Y-%m-%d %H}" for _, hour in map(keys.parse, plays)}  # type: ignore[misc]
    dates = rows(fresh, 'SELECT DISTINCT date FROM "TrackPopularity"')
    assert dates
    assert {f"{date:%Y-%m-%d %H}" for (date,) in dates} <= ends
    before = tables(fresh)
    again = load(fresh)
    assert again.get("plays", 0) == 0
    assert tables(fresh) == before


def test_object_time_that_fits(platform: Platform, fresh: Settings, objects: ObjectStore) -> None:
    """Where the object was put in the hour after that of its key, that is the answer's time."""
    plays = as_before(platform)
    place, of_user = max(plays.items(), key=lambda one: len(one[1]))
    parsed = keys.parse(place)
    assert parsed
    at = parsed.hour + timedelta(hours=1, minutes=1, seconds=7)
    content = bytes(obstore.get(platform.bucket, place).bytes())
    obstore.delete(platform.bucket, list(plays))
    # What lies on the endpoint's disk without having been put has the time of the file.
    file = objects.objects / platform.settings.archive.bucket / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    os.utime(file, (at.timestamp(), at.timestamp()))
    assert load(fresh)["plays"] == len(of_user)
    assert rows(fresh, "SELECT answered_at FROM songswap.polls") == [(at,)]


def test_gap_of_a_full_hour(platform: Platform, fresh: Settings) -> None:
    """A full answer tells of a gap no earlier than the hour with which it was asked."""
    obstore.delete(platform.bucket, platform.objects())
    user = platform.rows('SELECT min(id) FROM "Users"')[0][0]
    hour = datetime(2026, 11, 20, 8, tzinfo=UTC)
    track = {"id": "4uLU6hMCjMI75M1A2tKUQC", "type": "track", "name": "A", "artists": []}

    def put(hour: datetime, times: list[datetime]) -> None:
        after = int(hour.timestamp() * 1000)
        address = f"https://api.spotify.com/v1/me/player/recently-played?after={after}&limit=50"
        items = [{"played_at": f"{at:%Y-%m-%dT%H:%M:%S}.000Z", "track": track} for at in times]
        page = {"items": items, "href": address, "next": address, "limit": 50}
        obstore.put(platform.bucket, keys.for_hour(user, hour), json.dumps(page).encode())

    put(hour - timedelta(days=2), [hour - timedelta(days=2, minutes=-5)])
    full = [hour + timedelta(minutes=10, seconds=40 * number) for number in range(50)]
    put(hour, full[::-1])
    load(fresh)
    gaps = rows(fresh, "SELECT user_id, after, before, closed_at FROM songswap.gaps")
    assert gaps == [(user, hour, full[0], None)]
    load(fresh)
    assert rows(fresh, "SELECT user_id, after, before, closed_at FROM songswap.gaps") == gaps


def test_both_systems_in_one_archive(platform: Platform, fresh: Settings) -> None:
    """In an archive that begins with the one and goes on with the other, nothing is lost."""
    live = set(rows(platform.settings, 'SELECT user_id, played_at, track_id FROM "History"'))
    newest = max(keys.parse(path).hour for path in platform.objects())  # type: ignore[union-attr]
    as_before(platform, until=newest - timedelta(hours=2))
    load(fresh)
    found = set(rows(fresh, 'SELECT user_id, played_at, track_id FROM "History"'))
    assert found <= live
    # What the first answers of this system tell, which ask without a bound, is all there.
    assert len(found) > len(live) / 2
    assert rows(fresh, "SELECT count(*) FROM songswap.gaps") == rows(
        platform.settings, "SELECT count(*) FROM songswap.gaps"
    )
    before = tables(platform.settings)
    assert load(platform.settings).get("plays", 0) == 0
    assert tables(platform.settings)['"History"'] == before['"History"']
    assert tables(platform.settings)["songswap.gaps"] == before["songswap.gaps"]


def test_of_no_use_and_damaged(
    platform: Platform, fresh: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """Errors and empty answers are named and no damage; what is cut is; others are loaded."""
    plays = as_before(platform)
    (user,) = {keys.parse(place).user_id for place in plays if "user1/" in place}  # type: ignore[union-attr]
    hours = (datetime(2020, 1, 1, hour, tzinfo=UTC) for hour in range(9))
    of_no_use = {keys.for_hour(user, hour): body for hour, body in zip(hours, (
        b"", b"null", b'{"items": []}', b'{"error": {"status": 401, "message": "expired"}}',
    ), strict=False)}  # fmt: skip
    cut = keys.for_hour(user, datetime(2020, 1, 2, tzinfo=UTC))
    for place, body in {**of_no_use, cut: b'{"items": [{"track": '}.items():
        obstore.put(platform.bucket, place, body)
    obstore.put(
        platform.bucket, f"{keys.folder(user)}user{user + 1}_spotify_2020-01-01_00.json", b"[]"
    )
    counts = load(fresh)
    assert (counts["unusable"], counts["damaged"], counts["foreign"]) == (4, 1, 1)
    assert "1 objects are damaged" in str(replay.problem(counts))
    assert set(rows(fresh, 'SELECT user_id, played_at, track_id FROM "History"')) == set().union(
        *plays.values()
    )
    assert all(place in caplog.text for place in (*of_no_use, cut))


def test_users_who_are_gone(platform: Platform, fresh: Settings) -> None:
    """Answers of a user who was deleted are counted and their plays not loaded."""
    plays = as_before(platform)
    gone = min(user for of in plays.values() for user, _, _ in of)
    with psycopg.connect(fresh.warehouse_dsn) as connection:
        connection.execute('DELETE FROM "Users" WHERE id = %s', [gone])
    counts = load(fresh)
    expected = {play for of in plays.values() for play in of if play[0] != gone}
    assert set(rows(fresh, 'SELECT user_id, played_at, track_id FROM "History"')) == expected
    assert counts["gone_users"] == 1
    assert counts["gone"] > 0
