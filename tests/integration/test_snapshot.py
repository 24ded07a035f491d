"""Snapshots of what an operator sees: each fact is the tables', and no run fails of one."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from factories import MakePlatform
from psycopg import sql
from psycopg.conninfo import make_conninfo

from songswap.errors import RunFailed, RunPaused
from songswap.pipelines import heavy_listeners, hourly_load, snapshot
from songswap.warehouse import snapshots
from songswap.warehouse.connection import connect
from songswap.warehouse.snapshots import Snapshot

NOW = datetime(2026, 11, 22, 18, 30, tzinfo=UTC)
FEED = "/v1/me/player/recently-played"


def latest(dsn: str, now: datetime = NOW) -> Snapshot:
    """The snapshot that the page shows."""
    with connect(dsn) as connection:
        found = snapshots.latest(connection, now)
    assert found
    return found


def take(dsn: str, now: datetime = NOW, run_id: str = "run") -> Mapping[str, Any]:
    """The facts of a snapshot that is taken now."""
    assert snapshot.take(dsn, run_id, lambda: now) == []
    found = latest(dsn, now)
    assert (found.taken_at, found.run_id) == (now, run_id)
    return found.facts


def plays_by_hour(dsn: str, now: datetime = NOW) -> dict[datetime, int]:
    """Plays by hour, as the page shows them."""
    with connect(dsn) as connection:
        return {hour.hour: hour.plays for hour in snapshots.plays_by_hour(connection, now)}


def execute(dsn: str, statement: str, *parameters: Any) -> None:
    """Run a statement."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement.encode(), parameters)


def add_users(dsn: str, *ids: int) -> None:
    """Add users, and a track that they play."""
    for id_ in ids:
        execute(dsn, 'INSERT INTO "Users" VALUES (%s, %s, %s, %s)', id_, *[f"user {id_}"] * 3)
    execute(dsn, """INSERT INTO "Tracks" VALUES ('track', 'Song', 1000) ON CONFLICT DO NOTHING""")


def play(dsn: str, user: int, *times: datetime) -> None:
    """Add plays."""
    for time in times:
        execute(dsn, """INSERT INTO "History" VALUES (%s, %s, 'track')""", user, time)


def ago(**units: float) -> datetime:
    """A time before now."""
    return NOW - timedelta(**units)


def test_empty_warehouse(warehouse_dsn: str) -> None:
    """Zeros and nulls: nothing is missing, and nothing is made up."""
    facts = take(warehouse_dsn)
    assert facts["run"] is None, "nobody recorded it"
    assert facts["users"] == {"total": 0, "with_tokens": 0}
    assert facts["freshness"]["newest_play"] is None
    assert facts["freshness"]["answered"] == {
        "never": 0,
        "p50_minutes": None,
        "p90_minutes": None,
        "oldest_minutes": None,
    }
    assert {bar["users"] for bar in facts["freshness"]["histogram"]} == {0}
    assert facts["gaps"] == {"open": 0, "closed_7d": 0, "newest": []}
    assert facts["catalogue"]["tracks"]["total"] == facts["catalogue"]["artists"]["total"] == 0
    assert (facts["hosts"], facts["runs"], facts["imports"]) == ([], [], [])
    assert facts["grants"]["ending"] == []
    assert set(facts["grants"]["states"].values()) == {0}
    counted = plays_by_hour(warehouse_dsn)
    assert set(counted.values()) == {0}
    assert len(counted) == 30 * 24


def test_users_without_plays(warehouse_dsn: str) -> None:
    """They count as users who can be polled and never had a response."""
    add_users(warehouse_dsn, 1, 2, 3)
    execute(warehouse_dsn, """INSERT INTO "SpotifyTokens" VALUES (1, 'a', 'r'), (2, 'b', 's')""")
    facts = take(warehouse_dsn)
    assert facts["users"] == {"total": 3, "with_tokens": 2}
    assert facts["freshness"]["users"] == 2
    assert facts["freshness"]["answered"]["never"] == 2
    assert facts["freshness"]["newest_play"] is None
    assert facts["grants"]["states"]["active"] == 2
    assert set(plays_by_hour(warehouse_dsn).values()) == {0}


def test_user_0_is_left_out(warehouse_dsn: str) -> None:
    """Whatever the test DAGs leave behind of it."""
    before = take(warehouse_dsn)
    add_users(warehouse_dsn, 0)
    play(warehouse_dsn, 0, ago(minutes=5), ago(hours=30))
    for statement in (
        """INSERT INTO "SpotifyTokens" VALUES (0, 'a', 'r')""",
        "INSERT INTO songswap.grants (user_id, authorized_at) VALUES (0, now())",
        "INSERT INTO songswap.polls (user_id, polled_at, answered_at) VALUES (0, now(), now())",
        "INSERT INTO songswap.gaps VALUES (0, '2026-11-01', '2026-11-02', '2026-11-02', 'r')",
        "INSERT INTO songswap.imports VALUES ('i', 0, now(), now(), '{}', '{}')",
    ):
        execute(warehouse_dsn, statement)
    after = take(warehouse_dsn, NOW + timedelta(seconds=1))
    changing = {"taken_at", "catalogue"}
    assert {name: after[name] for name in after.keys() - changing} == {
        name: before[name] for name in before.keys() - changing
    }
    assert set(plays_by_hour(warehouse_dsn).values()) == {0}


def test_ages_of_the_last_responses(warehouse_dsn: str) -> None:
    """Half of the users, nine in ten, the oldest; users who cannot be polled are left out."""
    add_users(warehouse_dsn, *range(1, 13))
    minutes = [1, 5, 9, 10, 20, 29, 59, 61, 119, 20_000]
    for user, age in enumerate(minutes, 1):
        execute(
            warehouse_dsn,
            "INSERT INTO songswap.polls (user_id, polled_at, answered_at) VALUES (%s, %s, %s)",
            *(user, NOW, ago(minutes=age, seconds=30)),
        )
    execute(
        warehouse_dsn,
        'INSERT INTO "SpotifyTokens" SELECT id, id::text, id::text FROM "Users" WHERE id <= 11',
    )
    execute(
        warehouse_dsn,
        "INSERT INTO songswap.grants (user_id, state, refresh_digest, authorized_at)"
        " SELECT id, 'revoked', sha256(convert_to(id::text, 'UTF8')), '2026-11-01Z'"
        ' FROM "Users" WHERE id = 10',
    )
    freshness = take(warehouse_dsn)["freshness"]
    assert freshness["users"] == 10, "without the revoked one and the one without tokens"
    assert freshness["answered"] == {
        "never": 1,
        "p50_minutes": 20,
        "p90_minutes": 119,
        "oldest_minutes": 119,
    }
    bars = {bar["up_to_minutes"]: bar["users"] for bar in freshness["histogram"]}
    assert {bar: users for bar, users in bars.items() if users} == {
        10: 3,
        30: 3,
        60: 1,
        90: 1,
        120: 1,
    }
    execute(warehouse_dsn, "UPDATE songswap.grants SET state = 'active'")
    freshness = take(warehouse_dsn, NOW + timedelta(seconds=1))["freshness"]
    assert freshness["histogram"][-1] == {"up_to_minutes": None, "users": 1}
    assert freshness["answered"]["oldest_minutes"] == 20_000


def test_what_a_load_leaves(make_platform: MakePlatform) -> None:
    """The snapshot of a run has its end, and what is in the tables."""
    platform = make_platform(users=5)
    platform.load()
    platform.advance(hours=1)
    counts = platform.load()
    found = latest(platform.settings.warehouse_dsn, platform.clock())
    facts = found.facts
    assert found.run_id == facts["run"]["run_id"] == "run 2"
    assert facts["run"]["state"] == "success"
    assert [run["run_id"] for run in facts["runs"]] == ["run 2", "run 1"]
    assert facts["runs"][0]["plays"] == counts["plays"]
    assert facts["runs"][0]["users"] == counts["polled"] == 5
    steps = {step["step"]: step for step in facts["runs"][0]["steps"]}
    assert list(steps)[:4] == ["retry", "plan", "fetch", "load"]
    assert {step["state"] for step in steps.values()} == {"done"}
    assert facts["freshness"]["answered"]["oldest_minutes"] == 0
    ((plays, newest),) = platform.rows('SELECT count(*), max(played_at) FROM "History"')
    assert facts["freshness"]["newest_play"] == f"{newest.isoformat()}+00:00"
    counted = plays_by_hour(platform.settings.warehouse_dsn, platform.clock())
    by_hour = platform.rows(
        """SELECT date_trunc('hour', played_at) AT TIME ZONE 'UTC', count(*) FROM "History"
        GROUP BY 1"""
    )
    assert {hour: plays for hour, plays in counted.items() if plays} == dict(by_hour)
    assert sum(counted.values()) == plays > 0
    tracks = facts["catalogue"]["tracks"]
    ((total, images),) = platform.rows(
        'SELECT count(*), (SELECT count(DISTINCT id) FROM "TrackImages") FROM "Tracks"'
    )
    assert (tracks["total"], tracks["images"]) == (total, images)
    assert facts["hosts"][0]["waiting_for_s3"] == 0
    names = [name for (name,) in platform.rows('SELECT username FROM "Users"')]
    titles = [name for (name,) in platform.rows('SELECT name FROM "Tracks"')]
    tokens = platform.rows('SELECT access_token, refresh_token FROM "SpotifyTokens"')
    text = str(facts)
    assert not [word for word in (*names, *titles, *sum(tokens, ())) if word in text]


def test_each_end_of_a_run_has_a_snapshot(make_platform: MakePlatform) -> None:
    """A failed run, one that was never planned, and a paused one."""
    platform = make_platform(users=2)
    dsn = platform.settings.warehouse_dsn
    platform.fault(path=FEED, status=500)
    with pytest.raises(RunFailed):
        platform.load()
    facts = latest(dsn, platform.clock()).facts
    assert facts["run"]["state"] == "failed"
    assert facts["run"]["problem"]
    platform.mend()
    platform.advance(hours=1)
    assert hourly_load.summarise(platform.settings, "unplanned", platform.clock).state == "failed"
    assert latest(dsn, platform.clock()).facts["run"]["run_id"] == "unplanned"
    platform.advance(hours=1)
    platform.fault(path=FEED, status=429, headers={"Retry-After": "4000"})
    with pytest.raises(RunPaused):
        platform.load()
    facts = latest(dsn, platform.clock()).facts
    assert facts["run"]["state"] == "paused"
    (pause,) = facts["requests"]["pauses"]
    assert pause["app"] == platform.settings.spotify.client_id
    assert datetime.fromisoformat(pause["until"]) > platform.clock()


def test_polls_in_between_take_none(make_platform: MakePlatform) -> None:
    """They come six times an hour; the next hourly run counts them."""
    platform = make_platform(users=1)
    platform.load()
    dsn, before = platform.settings.warehouse_dsn, platform.clock()
    platform.execute("UPDATE songswap.polls SET plays_per_hour = 1000")
    platform.advance(minutes=20)
    run_id = "follow__1"
    batches = heavy_listeners.plan(platform.settings, run_id, platform.clock)
    assert batches == [0]
    hourly_load.summarise(platform.settings, run_id, platform.clock)
    assert latest(dsn, platform.clock()).taken_at == before
    platform.advance(minutes=40)
    platform.load()
    between = latest(dsn, platform.clock()).facts["polls_between"]
    assert (between["runs"], between["failed"]) == (1, 1), "its batch was never loaded"


def test_dead_run_and_silent_host(warehouse_dsn: str) -> None:
    """A run without a process has died before any run records it; a host is silent after 30
    minutes."""
    for statement in (
        "INSERT INTO songswap.runs (run_id, started_at, state) VALUES ('dead', %s, 'running')",
        "INSERT INTO songswap.runs (run_id, started_at, state) VALUES ('cli__x', %s, 'paused')",
    ):
        execute(warehouse_dsn, statement, ago(hours=2))
    execute(
        warehouse_dsn,
        "INSERT INTO songswap.steps (run_id, step, number, state, counts, problem)"
        " VALUES ('dead', 'load', 0, 'done', '{\"plays\": 7}', NULL),"
        " ('dead', 'load', 1, 'planned', '{}', NULL), ('dead', 'load', 2, 'failed', '{}', 'No')",
    )
    execute(
        warehouse_dsn,
        "INSERT INTO songswap.spools (spool_id, host, seen_at, waiting_for_s3, waiting_since)"
        " VALUES (gen_random_uuid(), 'one', now(), 0, NULL),"
        " (gen_random_uuid(), 'two', now() - interval '31 minutes', 3, now() - interval '2 hours')",
    )
    facts = take(warehouse_dsn)
    runs = {run["run_id"]: run for run in facts["runs"]}
    assert runs["dead"]["state"] == "died"
    assert runs["dead"]["plays"] == 7, "what it loaded is there"
    assert runs["dead"]["steps"] == [
        {"step": "load", "state": "failed", "parts": 3, "failed": 1, "problem": "No"}
    ]
    assert runs["dead"]["dag_run_id"] == "dead"
    assert runs["cli__x"]["dag_id"] is runs["cli__x"]["dag_run_id"] is None
    hosts = {host["host"]: host for host in facts["hosts"]}
    assert (hosts["one"]["is_silent"], hosts["two"]["is_silent"]) == (False, True)
    assert hosts["two"]["waiting_for_s3"] == 3


def test_who_has_to_be_erased(warehouse_dsn: str) -> None:
    """The first of them, with the day of UTC; erasures that have not ended, and their places."""
    assert take(warehouse_dsn)["erasing"] == {"due_users": 0, "due": [], "open": []}
    execute(
        warehouse_dsn,
        "INSERT INTO songswap.disconnects SELECT n, 'gone', %s, %s + n * interval '1 hour'"
        " FROM generate_series(1, 120) n",
        *(NOW, NOW),
    )
    for user, ended_at in ((7, None), (8, NOW)):
        execute(
            warehouse_dsn,
            "INSERT INTO songswap.erasures (user_id, requested_at, reason, keeps_account, ended_at)"
            " VALUES (%s, %s, 'request', true, %s)",
            *(user, NOW, ended_at),
        )
    execute(
        warehouse_dsn,
        "INSERT INTO songswap.erasure_places (erasure_id, place, host, confirmed_at)"
        " SELECT e.erasure_id, p.* FROM songswap.erasures e, (VALUES ('warehouse', NULL, %s),"
        " ('12', 'host', NULL::timestamptz)) p (place, host, confirmed_at)",
        NOW,
    )
    erasing = take(warehouse_dsn, NOW + timedelta(minutes=1))["erasing"]
    assert (erasing["due_users"], len(erasing["due"])) == (120, 100)
    assert erasing["due"][5] == {
        "user_id": 6,
        "reason": "gone",
        "since": "2026-11-22T18:30:00+00:00",
        "due_at": "2026-11-23T00:30:00+00:00",
        "day": "2026-11-23",
    }
    (open_,) = erasing["open"]
    assert (open_["user_id"], open_["reason"]) == (7, "request")
    assert open_["waits_for"] == [{"place": "spool", "host": "host", "problem": None}]


def test_hours_are_counted_again(warehouse_dsn: str) -> None:
    """Each snapshot counts 48 hours, the first one of a day 30 days; others keep their plays."""
    add_users(warehouse_dsn, 1, 2)
    play(warehouse_dsn, 1, ago(minutes=20), ago(hours=40), ago(days=10), ago(days=31))
    play(warehouse_dsn, 2, ago(minutes=20))
    take(warehouse_dsn)

    def plays(now: datetime = NOW) -> list[int]:
        return [number for number in plays_by_hour(warehouse_dsn, now).values() if number]

    assert plays() == [1, 1, 2]
    execute(warehouse_dsn, 'DELETE FROM "Users" WHERE id = 2')
    play(warehouse_dsn, 1, ago(hours=40, minutes=5), ago(days=10, minutes=5), ago(minutes=-50))
    later = NOW + timedelta(hours=1)
    take(warehouse_dsn, later)
    assert plays(later) == [1, 2, 1, 1], "older hours keep what was counted"
    next_day = NOW + timedelta(hours=6)
    take(warehouse_dsn, next_day)
    assert plays(next_day) == [2, 2, 1, 1]


def test_play_in_the_future_is_not_counted_yet(warehouse_dsn: str) -> None:
    """Nor has the future hours: the last one goes to the snapshot."""
    add_users(warehouse_dsn, 1)
    play(warehouse_dsn, 1, ago(minutes=1), ago(minutes=-1), ago(hours=-5))
    take(warehouse_dsn)
    counted = plays_by_hour(warehouse_dsn, NOW + timedelta(hours=6))
    assert max(counted) == NOW.replace(minute=0)
    assert sum(counted.values()) == 1


def test_plays_are_not_read_through(warehouse_dsn: str) -> None:
    """A snapshot reaches the plays of each user through the key of "History"."""
    execute(
        warehouse_dsn,
        'INSERT INTO "Users" SELECT n, n::text, n::text, n::text FROM generate_series(1, 100) n',
    )
    add_users(warehouse_dsn)
    execute(
        warehouse_dsn,
        """INSERT INTO "History" SELECT u, %s::timestamp - n * interval '1 hour', 'track'
        FROM generate_series(1, 100) u CROSS JOIN generate_series(1, 300) n""",
        NOW,
    )
    execute(warehouse_dsn, "ANALYZE")
    read = "SELECT seq_tup_read, idx_scan > 0 FROM pg_stat_user_tables WHERE relname = 'History'"
    with psycopg.connect(warehouse_dsn, autocommit=True) as connection:
        ((before, _),) = connection.execute(read)
    take(warehouse_dsn)
    take(warehouse_dsn, NOW + timedelta(hours=1))
    with psycopg.connect(warehouse_dsn, autocommit=True) as connection:
        assert connection.execute(read).fetchall() == [(before, True)]
    assert sum(plays_by_hour(warehouse_dsn).values()) == 100 * 300


def test_key_in_the_web_apps_order(warehouse_dsn: str) -> None:
    """The same counts, and no scan for each user, where the key begins with the time."""
    execute(
        warehouse_dsn,
        'INSERT INTO "Users" SELECT n, n::text, n::text, n::text FROM generate_series(0, 99) n',
    )
    add_users(warehouse_dsn)
    play(warehouse_dsn, 1, ago(minutes=20), ago(hours=40), ago(days=10))
    play(warehouse_dsn, 2, ago(minutes=25))
    play(warehouse_dsn, 0, ago(minutes=10))
    before = dict(take(warehouse_dsn)), plays_by_hour(warehouse_dsn)
    execute(
        warehouse_dsn,
        'ALTER TABLE "History" DROP CONSTRAINT "History_pkey",'
        " ADD PRIMARY KEY (played_at, user_id)",
    )
    execute(warehouse_dsn, "TRUNCATE songswap.plays_by_hour, songswap.snapshots")
    scans = (
        "SELECT coalesce(seq_scan, 0) + coalesce(idx_scan, 0) FROM pg_stat_user_tables"
        " WHERE relname = 'History'"
    )
    with psycopg.connect(warehouse_dsn, autocommit=True) as connection:
        ((scanned,),) = connection.execute(scans)
    assert (dict(take(warehouse_dsn)), plays_by_hour(warehouse_dsn)) == before
    with psycopg.connect(warehouse_dsn, autocommit=True) as connection:
        ((scanned_after,),) = connection.execute(scans)
    assert 0 < scanned_after - scanned < 10


def test_large_catalogue_is_carried_on(warehouse_dsn: str) -> None:
    """With the time at which it was counted; a small one is counted each hour."""
    add_users(warehouse_dsn)
    first = take(warehouse_dsn)["catalogue"]
    assert (first["tracks"]["total"], first["counted_at"]) == (1, NOW.isoformat())
    execute(warehouse_dsn, """INSERT INTO "Tracks" VALUES ('other', 'Song', 1000)""")
    second = take(warehouse_dsn, NOW + timedelta(hours=1))["catalogue"]
    assert second["tracks"]["total"] == 2
    # As of 250,000 tracks: each third hour.
    execute(
        warehouse_dsn,
        "UPDATE songswap.snapshots"
        " SET facts = jsonb_set(facts, '{catalogue,tracks,total}', '250000')",
    )
    for hours in (2, 3):
        carried = take(warehouse_dsn, NOW + timedelta(hours=hours))["catalogue"]
        assert carried["counted_at"] == second["counted_at"]
        assert carried["tracks"] == {**second["tracks"], "total": 250_000}
    assert take(warehouse_dsn, NOW + timedelta(hours=4))["catalogue"]["tracks"]["total"] == 2


def test_snapshot_of_a_wrong_clock_hides_none(warehouse_dsn: str) -> None:
    """One from the future is passed over, and so are its hours."""
    add_users(warehouse_dsn, 1)
    play(warehouse_dsn, 1, ago(minutes=10))
    ahead = NOW + timedelta(days=400)
    take(warehouse_dsn, ahead, "ahead")
    take(warehouse_dsn, NOW, "right")
    assert latest(warehouse_dsn, NOW + timedelta(hours=1)).run_id == "right"
    assert max(plays_by_hour(warehouse_dsn)) == NOW.replace(minute=0)


def test_failed_snapshot_changes_no_run(
    make_platform: MakePlatform, caplog: pytest.LogCaptureFixture
) -> None:
    """The run is green, the log and one notice a day say that the page is out of date."""
    platform = make_platform(users=1)
    platform.load()
    platform.execute("ALTER TABLE songswap.snapshots RENAME TO away")

    def summarise() -> hourly_load.Summary:
        platform.advance(hours=1)
        platform.runs += 1
        run_id = f"run {platform.runs}"
        hourly_load.retry(platform.settings, run_id, platform.clock)
        hourly_load.plan(platform.settings, run_id, platform.clock)
        return hourly_load.summarise(platform.settings, run_id, platform.clock)

    def of_page(summary: hourly_load.Summary) -> list[str]:
        return [notice.sentence for notice in summary.notices if "out of date" in notice.sentence]

    with caplog.at_level(logging.ERROR):
        summary = summarise()
    ended = "SELECT state, problem, ended_at IS NOT NULL FROM songswap.runs WHERE run_id = 'run 2'"
    assert platform.rows(ended) == [(summary.state, summary.problem, True)]
    (told,) = of_page(summary)
    assert "songswap migrate" in told, "what to do"
    assert told in caplog.text
    with caplog.at_level(logging.ERROR):
        caplog.clear()
        assert of_page(summarise()) == []
    assert "out of date" in caplog.text
    platform.advance(hours=23)
    assert len(of_page(summarise())) == 1
    platform.execute("ALTER TABLE songswap.away RENAME TO snapshots")
    assert of_page(summarise()) == []
    platform.execute("ALTER TABLE songswap.snapshots RENAME TO away")
    assert len(of_page(summarise())) == 1, "it is over, and begins again"


def test_login_without_the_right(warehouse_dsn: str) -> None:
    """After an upgrade by another login, the notice says what lacks, and how to get it."""
    role = sql.Identifier("reader_alone")
    with psycopg.connect(warehouse_dsn, autocommit=True) as connection:
        for statement in (
            sql.SQL("CREATE ROLE {role} LOGIN PASSWORD 'secret'"),
            sql.SQL("GRANT USAGE ON SCHEMA songswap TO {role}"),
            sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA public, songswap TO {role}"),
            sql.SQL("GRANT INSERT, UPDATE ON songswap.notices TO {role}"),
        ):
            connection.execute(statement.format(role=role))
        try:
            dsn = make_conninfo(warehouse_dsn, user="reader_alone", password="secret")
            (notice,) = snapshot.take(dsn, "r", lambda: NOW)
        finally:
            connection.execute(sql.SQL("DROP OWNED BY {role}").format(role=role))
            connection.execute(sql.SQL("DROP ROLE {role}").format(role=role))
    assert "permission denied for table" in notice.sentence
    assert "songswap check postgres" in notice.sentence
