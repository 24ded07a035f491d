"""The DAG that checks the tables' rows: green on what may be, red on what may not, by ids alone."""

import json
from typing import Any

import psycopg
import pytest
from factories import MakePlatform, Platform

from songswap.warehouse.table_checks import CHECKS

DAG = "test_tables"
TRACK, OTHER, NEW = "0" * 22, "1" * 22, "2" * 22
LATELY = "date_trunc('second', now() AT TIME ZONE 'UTC' - interval '1 day')"

GOOD = """
INSERT INTO "Artists" VALUES ('{TRACK}', 'Private Artist');
INSERT INTO "Tracks" VALUES ('{TRACK}', 'Private Song', 1), ('{OTHER}', 'Private Song', 1),
  ('{NEW}', 'Private Song', 1);
INSERT INTO "ArtistTracks" VALUES ('{TRACK}', '{TRACK}', true),
  ('{OTHER}', '{TRACK}', true);
-- It waits for its artists.
INSERT INTO songswap.enrichment_queue (kind, id, queued_at)
  VALUES ('track', '{NEW}', now());
INSERT INTO "TrackPopularity" VALUES ('{TRACK}', now(), 0), ('{OTHER}', now(), 100);
INSERT INTO "TrackFeatures" VALUES ('{TRACK}', 0, 1, 0, 1, -1, 0, -60, 0, 1, 0, 0, 1),
  ('{OTHER}', 1, 0, 1, 0, 11, 1, 5, 1, 0, 250, 7, 0);
-- Two streams of an export are two plays; so are two plays a second apart.
INSERT INTO "History" SELECT min(id), {LATELY}, '{TRACK}' FROM "Users";
INSERT INTO "History" SELECT min(id), {LATELY} + interval '1 ms', '{TRACK}' FROM "Users";
INSERT INTO songswap.streams
  (user_id, ended_at, ms_played, place, played_at, outcome, to_the_minute, track_id)
  SELECT user_id, played_at AT TIME ZONE 'UTC', 31000, 0, played_at, 'loaded', true,
    track_id
  FROM "History" WHERE track_id = '{TRACK}';
INSERT INTO "History" SELECT max(id), {LATELY}, '{OTHER}' FROM "Users";
INSERT INTO "History" SELECT max(id), {LATELY} + interval '1 s', '{OTHER}' FROM "Users";
-- What the test DAGs write.
INSERT INTO "Users" VALUES (0, 'test', 'test', 'test');
INSERT INTO "History" VALUES (0, now() + interval '1 day', '{TRACK}');
"""
"""Rows on each bound of what may be."""

BAD = """
INSERT INTO "History" VALUES ({first}, now() + interval '1 hour', '{TRACK}');
INSERT INTO "History" SELECT user_id, min(played_at) + interval '900 ms', track_id
  FROM "History" WHERE track_id = '{OTHER}' GROUP BY user_id, track_id;
INSERT INTO "History" VALUES ({last}, {LATELY} + interval '1 hour', 'gone');
INSERT INTO "Artists" VALUES ('{OTHER}', 'Private Artist');
INSERT INTO "ArtistTracks" VALUES ('{TRACK}', '{OTHER}', true);
DELETE FROM "ArtistTracks" WHERE track_id = '{OTHER}';
UPDATE "TrackPopularity" SET popularity = popularity + 1 WHERE id = '{OTHER}';
INSERT INTO "ArtistPopularity" VALUES ('{TRACK}', now(), -1);
UPDATE "TrackFeatures" SET tempo = 'NaN' WHERE id = '{TRACK}';
UPDATE "TrackFeatures" SET loudness = 5.1 WHERE id = '{OTHER}';
INSERT INTO "SpotifyTokens" VALUES (4711, 'secret access', 'secret refresh');
DELETE FROM songswap.snapshots;
"""
"""Rows beyond each of them."""


@pytest.fixture
def platform(make_platform: MakePlatform) -> Platform:
    """A loaded platform with two more tracks, whose rows lie on each bound of what may be."""
    platform = make_platform(users=3, real_time=True)
    platform.load()
    write(
        platform,
        GOOD,
    )
    snapshots(platform, {"total": 10, "features": 8}, {"total": 12, "features": 9})
    return platform


def write(platform: Platform, statements: str, **ids: int) -> None:
    """Run statements, without foreign keys; they name tracks and these ids in braces."""
    tracks = {"TRACK": TRACK, "OTHER": OTHER, "NEW": NEW, "LATELY": LATELY}
    with psycopg.connect(platform.settings.warehouse_dsn, autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(statements.format(**tracks, **ids).encode())


def snapshots(platform: Platform, before: dict[str, int], now: dict[str, int]) -> None:
    """Store snapshots with these tracks: of a day ago, and of now."""
    for age, tracks in (("25 hours", before), ("0 hours", now)):
        platform.execute(
            "INSERT INTO songswap.snapshots VALUES (now() - %s::interval, 'run', %s)",
            age,
            json.dumps({"catalogue": {"tracks": tracks, "artists": {"total": 5, "genres": 5}}}),
        )


def test_rows_that_may_be_are_green(airflow: Any, platform: Platform) -> None:
    """Also those on the bounds, of waiting tracks, of exports, and of the test DAGs."""
    run = airflow.run(DAG, platform)
    assert run["state"] == "success", run["log"]
    assert run["tasks"] == dict.fromkeys(CHECKS, "success")


def test_each_wrong_row_is_red_and_named_by_id(airflow: Any, platform: Platform) -> None:
    """In the log and in the message, with how many and what to do; no name, no time of a play."""
    first, last = platform.user_id("listener-0001"), platform.user_id("listener-0003")
    write(
        platform,
        BAD,
        first=first,
        last=last,
    )
    snapshots(
        platform,
        {"total": 10, "features": 8, "images": 8, "preview": 5},
        {"total": 12, "features": 7, "images": 9, "preview": 5},
    )
    run = airflow.run(DAG, platform)
    assert run["state"] == "failed"
    assert run["tasks"] == dict.fromkeys(CHECKS, "failed"), run["log"]
    for sentence in (
        f"Plays in the future: 1, of users {first}. Compare the clocks",
        f"within a second of another one of the same user: 2, of users {last}. If Spotify",
        'Plays whose track is not in "Tracks": 1, of tracks gone. Somebody',
        f"Tracks without exactly one primary artist: 2, of tracks {TRACK}, {OTHER}. Look",
        f"Popularities outside of 0 to 100: 2, of tracks or artists {TRACK}, {OTHER}. The",
        f"Features outside of the platform's bounds: 2, of tracks {TRACK}, {OTHER}. The",
        "Tokens of no user: 1, of users 4711. The foreign key",
        "with less data than a day ago: 4, of kinds tracks.features, tracks.preview. If",
    ):
        assert sentence in run["log"]
    message = json.dumps(platform.messages())
    assert "Plays in the future: 1" in message
    assert "A red check of the tables" in message
    for private in ("Private", "secret access", "listener-000"):
        assert private not in run["log"]
        assert private not in message


def test_the_first_ten_ids_are_named(airflow: Any, platform: Platform) -> None:
    """However many rows are wrong."""
    write(
        platform,
        "INSERT INTO \"Tracks\" SELECT lpad(number::text, 22, 'x'), '', 0"
        " FROM generate_series(10, 1234) number",
    )
    run = airflow.run(DAG, platform)
    failed = {check for check, state in run["tasks"].items() if state == "failed"}
    assert failed == {"primary_artists"}, run["log"]
    ids = ", ".join(str(number).rjust(22, "x") for number in (*range(1000, 1010),))
    assert f"primary artist: 1,225, of tracks {ids} and 1,215 more. Look" in run["log"]
