"""What goes wrong costs the least it can, is recorded, and is made good by the next run."""

import gzip
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import obstore
import psycopg
import pytest
from factories import MakePlatform, Platform

from songswap.dev.stack.object_store import ObjectStore
from songswap.dev.stack.postgres import Postgres
from songswap.dev.stack.sign_up import sign_up
from songswap.errors import (
    InvalidClient,
    RateLimited,
    RunFailed,
    RunPaused,
    SchemaOutdated,
    SpotifyUnavailable,
    WarehouseUnavailable,
)
from songswap.pipelines import hourly_load
from songswap.pipelines.batch_load import load_batch
from songswap.pipelines.fetch import fetch
from songswap.storage.spool import Spool

RECENTLY_PLAYED = "/v1/me/player/recently-played"


def stored(store: ObjectStore) -> list[str]:
    """The names of the objects on the endpoint's disk."""
    return sorted(path.name for path in store.objects.glob("own/history/**/*.json"))


def test_s3_stopped_during_a_run(make_platform: MakePlatform, own_objects: ObjectStore) -> None:
    """Without S3 the run ends red, plays are loaded, answers wait; the next run archives them."""
    platform = make_platform(users=4)
    platform.use(own_objects)
    hourly_load.plan(platform.settings, "r", platform.clock)
    own_objects.stop()
    fetch(platform.settings, "r", 0, platform.clock)
    load_batch(platform.settings, "r", 0, platform.clock)
    problem = hourly_load.summarise(platform.settings, "r", platform.clock).problem
    assert "4 responses wait in the spool for S3" in str(problem)
    assert platform.history() == platform.reachable()
    assert platform.rows("SELECT state FROM songswap.runs") == [("failed",)]

    with pytest.raises(RunFailed, match="SongSwap_S3_PutOnly"):
        platform.load()
    own_objects.start()
    platform.use(own_objects)
    counts = platform.load()
    assert counts["retried_archived"] == 4
    assert len(stored(own_objects)) == 4
    with Spool(platform.settings.spool) as spool:
        assert spool.waiting() == (0, 0)
    assert platform.history() == platform.reachable()


def test_key_that_s3_refuses_is_named_and_costs_no_play(make_platform: MakePlatform) -> None:
    """Named by its connection."""
    platform = make_platform(users=2)
    wrong = replace(platform.settings.archive, secret_access_key="wrong")
    platform.settings = replace(platform.settings, archive=wrong)
    with pytest.raises(RunFailed, match="SongSwap_S3_PutOnly") as failed:
        platform.load()
    assert "wrong" not in str(failed.value)
    assert platform.history() == platform.reachable()


def test_warehouse_refuses_during_load(make_platform: MakePlatform) -> None:
    """When the warehouse does not take a batch it is spooled, and the next run loads it."""
    platform = make_platform(users=4)
    hourly_load.plan(platform.settings, "r", platform.clock)
    fetch(platform.settings, "r", 0, platform.clock)
    with refusing(platform.settings.warehouse_dsn):
        for step in (
            lambda: load_batch(platform.settings, "r", 0, platform.clock),
            lambda: hourly_load.summarise(platform.settings, "r", platform.clock),
            lambda: hourly_load.retry(platform.settings, "r2", platform.clock),
            lambda: hourly_load.plan(platform.settings, "r2", platform.clock),
        ):
            with pytest.raises(WarehouseUnavailable, match="SongSwap_RDS"):
                step()
    problem = str(hourly_load.summarise(platform.settings, "r", platform.clock).problem)
    assert "load 0: did not end" in problem
    assert "0 responses wait in the spool for S3 and 4 for the warehouse" in problem
    # Spotify forgets meanwhile: what was answered then is loaded all the same.
    plays = platform.reachable()
    platform.advance(days=20)
    counts = platform.load()
    assert counts["retried_loaded"] == 4
    assert plays <= platform.history() == platform.reachable()


def gaps(platform: Platform) -> set[tuple[str, str]]:
    """The recorded gaps: the user, and the play with which the answers go on."""
    rows = platform.rows(
        'SELECT u.spotify_id, to_char(g.before, \'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\')'
        ' FROM songswap.gaps g JOIN "Users" u ON u.id = g.user_id'
    )
    return set(rows)


def true_gaps(platform: Platform) -> set[tuple[str, str]]:
    """By Spotify's ledger: the plays that follow others which no answer could tell any more.

    What was forgotten before the user's first answer is no gap: nobody had asked yet. Nor is a play
    that came so late from an offline phone that it was never among the newest 50.
    """
    found = set()
    result: set[str] = set()
    missed: set[str] = set()
    for play in sorted(
        platform.spotify.ledger(), key=lambda play: (play["user"], play["played_at"])
    ):
        user = play["user"]
        if not play["reachable_when_polled"]:
            if play["reachable_until"] and play["listed_at"] < play["reachable_until"]:
                missed |= {user} & result
        else:
            if user in missed:
                found.add((user, play["played_at"]))
                missed.remove(user)
            result.add(user)
    return found


def test_waiting_responses_of_a_user_load_in_order(make_platform: MakePlatform) -> None:
    """Only true gaps are gaps."""
    platform = make_platform(users=8)
    for number in range(3):
        hourly_load.plan(platform.settings, f"r{number}", platform.clock)
        fetch(platform.settings, f"r{number}", 0, platform.clock)
        platform.advance(hours=4)
    counts = platform.load()
    assert counts["retried_loaded"] == 3 * 8
    assert platform.history() == platform.reachable()
    assert gaps(platform) == true_gaps(platform)
    assert platform.load()["unchanged"] == 8


class refusing:
    """While it lasts, the database of ``dsn`` refuses connections and has none."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.name = str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])
        self.other = psycopg.conninfo.make_conninfo(dsn, dbname="postgres")

    def _allow(self, allowed: bool) -> None:
        with psycopg.connect(self.other, autocommit=True) as connection:
            connection.execute(f'ALTER DATABASE "{self.name}" ALLOW_CONNECTIONS {allowed}'.encode())
        end_sessions(self.dsn)

    def __enter__(self) -> None:
        self._allow(False)

    def __exit__(self, *_: object) -> None:
        self._allow(True)


def test_rotated_token_survives_a_lost_warehouse(make_platform: MakePlatform) -> None:
    """Tokens that Spotify rotates while the warehouse is lost are kept for the next run."""
    platform = make_platform("--rotate-refresh-tokens", "1", users=3)
    platform.load()
    platform.advance(hours=1)
    hourly_load.plan(platform.settings, "r", platform.clock)
    before = platform.rows('SELECT id, refresh_token FROM "SpotifyTokens" ORDER BY id')
    # Spotify takes its time over tokens; the warehouse is lost meanwhile.
    platform.fault(path="/api/token", delay_ms=1500)
    try:
        with ThreadPoolExecutor(1) as thread:
            fetching = thread.submit(fetch, platform.settings, "r", 0, platform.clock)
            while not fetching.done() and platform.spotify.get("/admin/faults")[0]["struck"] < 3:
                continue
            with refusing(platform.settings.warehouse_dsn), pytest.raises(WarehouseUnavailable):
                fetching.result()
    finally:
        platform.mend()
    assert platform.rows('SELECT id, refresh_token FROM "SpotifyTokens" ORDER BY id') == before
    with Spool(platform.settings.spool) as spool:
        kept = spool.tokens()
        assert sorted((token.user_id, token.old_refresh_token) for token in kept) == before
    # The old ones are worthless by now.
    platform.advance(minutes=30)
    counts = platform.load()
    assert counts["tokens_stored"] == 3
    assert platform.history() == platform.reachable()
    platform.advance(hours=1)
    assert "refused" not in platform.load()


def end_sessions(dsn: str) -> None:
    """End every session of a database, as its restart would."""
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    other = psycopg.conninfo.make_conninfo(dsn, dbname="postgres")
    with psycopg.connect(other, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
            [parts["dbname"]],
        )


@pytest.mark.parametrize(
    ("fault", "counted"),
    [
        ({"status": 403, "body": {"error": {"status": 403, "message": "no"}}}, "forbidden"),
        ({"status": 500}, "failed"),
        ({"status": 404}, "failed"),
        ({"status": 403, "body": "<html>denied</html>"}, "failed"),
        ({"action": "bomb", "size_mb": 100}, "failed"),
        ({"action": "refuse"}, "failed"),
        ({"action": "cut"}, "failed"),
        ({"action": "truncate"}, "failed"),
        ({"status": 200, "body": "<html>maintenance</html>"}, "failed"),
        ({"status": 200, "body": {"items": None}}, "rejected_items"),
    ],
)
def test_failure_of_one_user_is_counted_and_others_load(
    make_platform: MakePlatform, fault: dict[str, Any], counted: str
) -> None:
    """The run is green."""
    platform = make_platform(users=4)
    platform.fault(path=RECENTLY_PLAYED, user="listener-0002", **fault)
    counts = platform.load()
    assert counts[counted] == 1
    assert {user for user, _, _ in platform.history()} == {
        "listener-0001",
        "listener-0003",
        "listener-0004",
    }
    platform.mend()
    platform.advance(days=1, hours=1)
    platform.load()
    assert platform.history() == platform.reachable()


def test_revoked_grant_is_paused_until_the_user_authorizes_again(
    make_platform: MakePlatform,
) -> None:
    """It costs only its user."""
    platform = make_platform(users=4)
    platform.load()
    platform.spotify.post("/admin/listeners/listener-0003/revoke", {})
    platform.advance(hours=1)
    assert platform.load()["refused"] == 1
    user = platform.user_id("listener-0003")
    assert platform.rows("SELECT user_id, state FROM songswap.grants WHERE state <> 'active'") == [
        (user, "revoked")
    ]
    assert platform.history() == platform.reachable()
    counts = platform.load()
    assert (counts["paused"], counts["polled"]) == (1, 3)

    platform.execute('DELETE FROM "SpotifyTokens" WHERE id = %s', user)
    sign_up(
        platform.settings.warehouse_dsn,
        platform.spotify.url,
        platform.spotify.get("/admin/listeners"),
        lambda _: None,
    )
    assert platform.load()["polled"] == 4
    assert platform.history() == platform.reachable()


def test_refused_grant_is_polled_three_times_more(make_platform: MakePlatform) -> None:
    """One that is accepted again recovers by itself; many that stay refused are no incident."""
    platform = make_platform(users=5)
    platform.load()
    platform.advance(hours=1)
    no = {"path": "/api/token", "status": 400, "body": {"error": "invalid_grant"}}
    platform.fault(user="listener-0002", **no)
    assert platform.load()["refused"] == 1
    platform.mend()
    states = "SELECT count(*) FROM songswap.grants WHERE state = %s AND refusals = %s"
    assert platform.rows(states, "revoked", 1) == [(1,)]
    platform.advance(hours=1)
    assert platform.load()["polled"] == 5
    assert platform.rows(states, "active", 0) == [(5,)]
    assert platform.history() == platform.reachable()

    for user in ("listener-0001", "listener-0003"):
        platform.spotify.post(f"/admin/listeners/{user}/revoke", {})
    asked = []
    for hours in (1, 1, 1, 22, 1, 24, 7 * 24, 30 * 24):
        platform.advance(hours=hours)
        counts = platform.load()
        asked.append((counts.get("refused", 0), counts.get("paused", 0)))
        # Refused with the other two, this one would make an incident of it.
        platform.spotify.post("/admin/listeners/listener-0004/revoke", {})
    assert asked == [(2, 0), (3, 0), (1, 2), (0, 3), (2, 1), (1, 2), (3, 0), (0, 3)]
    assert platform.history() == platform.reachable()


def test_everybody_refused_is_an_incident(make_platform: MakePlatform) -> None:
    """When Spotify refuses all grants at once, nobody's is taken for dead, and the run says so."""
    platform = make_platform(users=12)
    platform.load()
    platform.advance(hours=1)
    platform.fault(path="/api/token", status=400, body={"error": "invalid_grant"})
    with pytest.raises(RunFailed, match="grants of 12 users at once"):
        platform.load()
    assert platform.rows("SELECT DISTINCT state FROM songswap.grants") == [("active",)]
    platform.mend()
    assert platform.load()["polled"] == 12
    assert platform.history() == platform.reachable()


def test_most_of_few_refused_is_an_incident(make_platform: MakePlatform) -> None:
    """Where few are asked, three refusals are an incident when they are most of them."""
    platform = make_platform(users=5)
    platform.load()
    platform.advance(hours=1)
    for user in ("listener-0001", "listener-0003", "listener-0004"):
        platform.spotify.post(f"/admin/listeners/{user}/revoke", {})
    with pytest.raises(RunFailed, match="grants of 3 users at once"):
        platform.load()
    assert platform.rows("SELECT DISTINCT state FROM songswap.grants") == [("active",)]


def test_tokens_without_a_lifetime_are_stored(make_platform: MakePlatform) -> None:
    """A rotated one must not be lost."""
    platform = make_platform("--rotate-refresh-tokens", "1", users=3)
    platform.load()
    platform.advance(hours=1)
    without = {"json_patch": [{"path": "expires_in", "remove": True}]}
    platform.fault(path="/api/token", action="mutate", mutate=without)
    assert platform.load().get("failed", 0) == 0
    platform.mend()
    platform.advance(hours=2)
    assert platform.load().get("refused", 0) == 0
    assert platform.history() == platform.reachable()


PREMIUM = {"error": {"status": 403, "message": "Active premium subscription required"}}


STATES_FORBIDDEN = "SELECT DISTINCT state, forbidden_runs FROM songswap.grants"


def test_forbidden_rests_only_when_repeated(make_platform: MakePlatform) -> None:
    """A user who is forbidden once is asked for in the next run; then rests for growing times."""
    platform = make_platform(users=5)
    platform.load()
    platform.fault(path=RECENTLY_PLAYED, user="listener-0002", status=403, body=PREMIUM)
    seen = []
    for hours in (1, 1, 1, 5, 1, 24, 24, 7 * 24):
        platform.advance(hours=hours)
        counts = platform.load()
        seen.append((counts.get("forbidden", 0), counts.get("paused", 0)))
    assert seen == [(1, 0), (1, 0), (0, 1), (1, 0), (0, 1), (1, 0), (0, 1), (1, 0)]
    platform.mend()
    platform.advance(days=8)
    assert platform.load()["polled"] == 5
    assert platform.rows("SELECT DISTINCT state, forbidden_runs FROM songswap.grants") == [
        ("active", 0)
    ]
    assert platform.history() == platform.reachable()


@pytest.mark.parametrize("users", [2, 12])
def test_everybody_forbidden_is_an_incident(make_platform: MakePlatform, users: int) -> None:
    """When Spotify forbids most users at once nobody rests, and the run says so."""
    platform = make_platform(users=users)
    platform.load()
    platform.fault(path=RECENTLY_PLAYED, status=403, body=PREMIUM)
    for _ in range(2):
        platform.advance(hours=1)
        with pytest.raises(RunFailed, match=f"forbade {users} users at once"):
            platform.load()
    assert platform.rows("SELECT DISTINCT state, forbidden_runs FROM songswap.grants") == [
        ("active", 0)
    ]
    platform.mend()
    assert platform.load()["polled"] == users
    assert platform.history() == platform.reachable()


def test_wrong_app_credentials_are_named_and_not_blamed_on_users(
    make_platform: MakePlatform,
) -> None:
    platform = make_platform(users=3)
    platform.load()
    platform.advance(hours=1)
    wrong = replace(platform.settings.spotify, client_secret="wrong")
    platform.settings = replace(platform.settings, spotify=wrong)
    hourly_load.plan(platform.settings, "r", platform.clock)
    with pytest.raises(InvalidClient, match="SPOTIFY_CLIENT_SECRET"):
        fetch(platform.settings, "r", 0, platform.clock)
    assert platform.rows("SELECT DISTINCT state FROM songswap.grants") == [("active",)]


def test_outage_of_spotify_ends_the_batch_early(make_platform: MakePlatform) -> None:
    """The next run loads everything."""
    platform = make_platform(users=30)
    platform.settings = replace(
        platform.settings, spotify=replace(platform.settings.spotify, in_flight=4)
    )
    platform.fault(path="/v1/*", status=503)
    hourly_load.plan(platform.settings, "r", platform.clock)
    with pytest.raises(SpotifyUnavailable, match="the next run asks again"):
        fetch(platform.settings, "r", 0, platform.clock)
    assert platform.calls()["recently-played"] < 30 * platform.settings.spotify.tries
    platform.mend()
    platform.load()
    assert platform.history() == platform.reachable()
    assert len({user for user, _, _ in platform.history()}) == 30


def test_few_users_and_spotify_down(make_platform: MakePlatform) -> None:
    """Also where there are too few users to end a batch early, a run without answers is red."""
    platform = make_platform(users=3)
    platform.fault(path="/v1/*", status=503)
    with pytest.raises(RunFailed, match="no usable response for 3 of 3 users"):
        platform.load()
    platform.mend()
    platform.load()
    assert platform.history() == platform.reachable()


def test_short_pause_is_waited(make_platform: MakePlatform) -> None:
    """A short Retry-After makes all wait, and nobody is lost."""
    platform = make_platform(users=4)
    platform.fault(path=RECENTLY_PLAYED, status=429, headers={"Retry-After": "1"}, times=2)
    counts = platform.load()
    assert counts["calls recently-played 429"] == 2
    assert platform.history() == platform.reachable()
    assert len({user for user, _, _ in platform.history()}) == 4


@pytest.mark.parametrize(
    "headers", [{"Retry-After": "3600"}, {}, {"Retry-After": "soon"}, {"Retry-After": "9" * 30}]
)
def test_long_pause_ends_the_attempt(make_platform: MakePlatform, headers: dict[str, str]) -> None:
    """A long, missing or absurd Retry-After ends the attempt with its time; what came is kept, and
    nobody asks before that time."""
    platform = make_platform(users=6)
    platform.settings = replace(
        platform.settings, spotify=replace(platform.settings.spotify, in_flight=1)
    )
    platform.fault(
        path=RECENTLY_PLAYED, user="listener-0004", status=429, headers=headers, body={"error": {}}
    )
    hourly_load.plan(platform.settings, "r", platform.clock)
    with pytest.raises(RateLimited) as limited:
        fetch(platform.settings, "r", 0, platform.clock)
    assert limited.value.until > platform.clock()
    load_batch(platform.settings, "r", 0, platform.clock)
    assert len({user for user, _, _ in platform.history()}) == 3
    assert platform.history() == platform.reachable()
    platform.mend()
    platform.spotify.delete("/admin/calls")
    with pytest.raises(RunFailed, match="allows no more requests of this app until"):
        platform.load()
    assert platform.calls() == {}, "somebody asked before the pause was over"
    pause = limited.value.until - platform.clock()
    platform.advance(seconds=pause.total_seconds())
    platform.load()
    assert len({user for user, _, _ in platform.history()}) == 6
    assert platform.history() == platform.reachable()


def test_pause_of_an_endpoint_stops_no_polls(make_platform: MakePlatform) -> None:
    """Spotify has limits of single endpoints beside the app's, and says 429 of one that it has
    closed: plays vanish meanwhile."""
    platform = make_platform(users=3)
    platform.fault(path="/v1/artists", status=429, headers={"Retry-After": "80000"})
    for _ in range(3):
        with pytest.raises(RunPaused, match="allows no more requests"):
            platform.load()
        platform.advance(hours=1)
    assert platform.history() == platform.reachable()
    assert platform.rows("SELECT max(polled_at) FROM songswap.polls") == [
        (platform.clock() - timedelta(hours=1),)
    ]
    assert platform.calls()["artists"] == 1, "somebody asked before the pause was over"
    assert platform.calls()["audio-features"] > 0


def test_quota_that_an_endpoint_tells_of_is_that_of_all(make_platform: MakePlatform) -> None:
    platform = make_platform(users=3)
    body = {"error": {"status": 429, "message": "no", "reason": "QUOTA_EXCEEDED"}}
    platform.fault(path="/v1/artists", status=429, headers={"Retry-After": "7200"}, body=body)
    with pytest.raises(RunPaused):
        platform.load()
    platform.spotify.delete("/admin/calls")
    platform.advance(hours=1)
    with pytest.raises(RunPaused):
        platform.load()
    assert platform.calls() == {}


def test_broken_item_is_rejected_once_or_repaired(make_platform: MakePlatform) -> None:
    """With its reason and its raw response."""
    platform = make_platform(users=1)
    changes: list[dict[str, Any]] = [
        {"path": "items/0/track", "value": None},
        {"path": "items/1/track/id", "value": None},
        {"path": "items/2/played_at", "value": "not a date"},
        {"path": "items/3", "value": "not an item"},
        {"path": "items/4/track", "value": 5},
        {"path": "items/5/track/name", "value": "n" * 500},
        {"path": "items/6/track/name", "value": "nul\x00nul"},
        {"path": "items/7/track/popularity", "value": None},
        {"path": "items/8/track/album/images/0/height", "value": None},
        {"path": "items/9/track/duration_ms", "remove": True},
        {"path": "items/10/track/artists/0/name", "value": 7},
    ]
    platform.fault(path=RECENTLY_PLAYED, action="mutate", mutate={"json_patch": changes})
    counts = platform.load()
    result = len(list(platform.spotify.ledger()))
    assert result > 12
    assert counts["rejected_items"] == 5
    assert counts["plays"] == min(result, 50) - 5
    reasons = platform.rows("SELECT reason, raw_key FROM songswap.rejected_items ORDER BY reason")
    assert [reason for reason, _ in reasons] == [
        "item: wrong type",
        "played_at: not a time with its zone",
        "track.id: missing",
        "track: missing",
        "track: wrong type",
    ]
    for _, key in reasons:
        assert obstore.head(platform.bucket, key)["size"] > 0
    # What was missing of a track was asked for, and is there now.
    assert platform.rows("SELECT count(*) FROM \"Tracks\" WHERE name = '' OR duration_ms = 0") == [
        (0,)
    ]
    assert platform.rows("SELECT count(*) FROM \"Artists\" WHERE name = ''") == [(0,)]
    assert platform.rows('SELECT max(length(name)) FROM "Tracks"')[0][0] <= 240
    notes = {row[0] for row in platform.rows("SELECT problem FROM songswap.data_fixes")}
    assert {"cut to 240 characters", "characters that cannot be stored dropped"} <= notes
    assert "rejected_items" not in platform.load()


@pytest.mark.parametrize("s3_is_there", [True, False])
def test_rejected_item_names_its_own_raw_response(
    make_platform: MakePlatform, own_objects: ObjectStore, s3_is_there: bool
) -> None:
    """Also where that lies beside another one."""
    platform = make_platform(users=1)
    platform.use(own_objects)
    platform.load()
    no_track = [{"path": "items/0/track", "value": None}]
    platform.fault(path=RECENTLY_PLAYED, action="mutate", mutate={"json_patch": no_track})
    platform.advance(minutes=1)
    if s3_is_there:
        platform.load()
    else:
        own_objects.stop()
        with pytest.raises(RunFailed):
            platform.load()
        own_objects.start()
        platform.use(own_objects)
        platform.load()
    ((key,),) = platform.rows("SELECT raw_key FROM songswap.rejected_items")
    assert key.rsplit("/", 1)[1] in stored(own_objects)
    raw = gzip.decompress((own_objects.objects / "own" / key).read_bytes())
    assert json.loads(raw)["items"][0]["track"] is None


def test_key_taken_by_another_track(make_platform: MakePlatform) -> None:
    """Of two tracks at one moment of one user one is a row, the other is set aside, once."""
    platform = make_platform(users=1)
    platform.load()
    (taken,) = platform.rows('SELECT played_at, track_id FROM "History" ORDER BY 1 DESC LIMIT 1')
    other = platform.rows('SELECT id FROM "Tracks" WHERE id <> %s LIMIT 1', taken[1])[0][0]
    relinked = [{"path": "items/0/track/id", "value": other}]
    platform.fault(path=RECENTLY_PLAYED, action="mutate", mutate={"json_patch": relinked})
    before = platform.history()
    assert platform.load()["rejected_items"] == 1
    assert platform.history() == before
    assert platform.rows("SELECT reason FROM songswap.rejected_items") == [
        ("key taken by another track",)
    ]
    platform.advance(hours=1)
    assert "rejected_items" not in platform.load()


def test_unknown_ids_are_remembered_and_errors_are_not(make_platform: MakePlatform) -> None:
    """A null is an id that Spotify does not know; a 403 or 500 says nothing about an id."""
    platform = make_platform(users=2)
    platform.fault(path="*/audio-features", status=403)
    platform.fault(path="/v1/artists", status=500)
    with pytest.raises(RunFailed, match="enrich artist"):
        platform.load()
    assert platform.history() == platform.reachable()
    assert platform.rows(
        "SELECT count(*) FROM songswap.enrichment_queue WHERE known IS NOT NULL"
    ) == [(0,)]
    platform.mend()
    platform.spotify.delete("/admin/calls")
    platform.load()
    assert platform.rows('SELECT count(*) FROM "Artists"') == platform.rows(
        'SELECT count(DISTINCT id) FROM "ArtistPopularity"'
    )
    assert not {"audio-features", "reccobeats"} & platform.calls().keys(), "refused an hour ago"
    platform.advance(days=1, hours=1)
    platform.load()
    features = platform.rows(
        "SELECT known, count(*) FROM songswap.enrichment_queue WHERE kind = 'features' GROUP BY 1"
    )
    assert dict(features).keys() == {True, None}, "ReccoBeats calls no id unknown"
    platform.spotify.delete("/admin/calls")
    platform.load()
    assert platform.calls().keys() == {"recently-played"}


def test_bad_id_is_left_out_and_the_rest_requested(make_platform: MakePlatform) -> None:
    platform = make_platform(users=1)
    platform.execute("INSERT INTO \"Artists\" VALUES ('not-a-real-id', 'web app')")
    platform.execute(
        "INSERT INTO songswap.enrichment_queue (kind, id, queued_at)"
        " VALUES ('artist', 'not-a-real-id', '2020-01-01Z')"
    )
    counts = platform.load()
    assert counts["artist_received"] == platform.rows('SELECT count(*) - 1 FROM "Artists"')[0][0]
    assert counts.get("artist_postponed", 0) + counts.get("artist_unknown", 0) == 1


def test_missing_tables_name_the_command_that_creates_them(
    make_platform: MakePlatform, postgres: Postgres
) -> None:
    platform = make_platform(users=1)
    bare = psycopg.conninfo.make_conninfo(platform.settings.warehouse_dsn, dbname="postgres")
    platform.settings = replace(platform.settings, warehouse_dsn=bare)
    with pytest.raises(SchemaOutdated, match="songswap migrate"):
        hourly_load.plan(platform.settings, "r", platform.clock)
