"""The backfill against a real PostgreSQL and a Spotify over HTTP."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from factories import MakePlatform, Platform

from songswap.errors import Deferred, LoadIncomplete, RateLimited, RunFailed
from songswap.models import Metadata
from songswap.pipelines import backfill, hourly_load
from songswap.pipelines.backfill import Outcome
from songswap.pipelines.enrich import KINDS, enrich
from songswap.warehouse import enrichment, enrichment_queue

METADATA = (
    "TrackImages",
    "TrackPopularity",
    "TrackPreviews",
    "TrackFeatures",
    "ArtistImages",
    "ArtistPopularity",
    "ArtistFollowers",
    "ArtistGenres",
)


def nobody(*_: object) -> None:
    """Whom progress is told."""


def forget(platform: Platform) -> None:
    """Delete all metadata, and what is known of it."""
    platform.execute(
        'TRUNCATE "TrackImages", "TrackPopularity", "TrackPreviews", "TrackFeatures",'
        ' "ArtistImages", "ArtistPopularity", "ArtistFollowers", "ArtistGenres",'
        " songswap.enrichment_queue, songswap.blocked_endpoints"
    )
    platform.spotify.delete("/admin/calls")


def run(
    platform: Platform, kinds: tuple[str, ...] = KINDS, at_most: int | None = None
) -> dict[str, Any]:
    """A backfill as the command runs it, which has to go well."""
    outcomes = backfill.backfill(platform.settings, kinds, at_most, nobody, platform.clock)
    assert [outcome.problem for outcome in outcomes.values()] == [None] * len(kinds)
    return outcomes


def ids(platform: Platform, table: str) -> set[str]:
    """The ids that have rows in a table."""
    return {one for (one,) in platform.rows(f'SELECT id FROM "{table}"')}  # noqa: S608 - our own names


def answered(platform: Platform, kind: str) -> int:
    """How many ids of a kind Spotify has answered, be it that it does not know them."""
    found = (
        "SELECT count(*) FROM songswap.enrichment_queue"
        " WHERE kind = %s AND (answered_at IS NOT NULL OR misses > 0)"
    )
    return int(platform.rows(found, kind)[0][0])


def test_fills_what_is_missing_and_ends(make_platform: MakePlatform) -> None:
    """All that was deleted is there again; a second backfill finds nothing and asks nothing."""
    platform = make_platform(users=12)
    platform.load()
    before = {table: ids(platform, table) for table in METADATA}
    forget(platform)
    outcomes = run(platform)
    assert {table: ids(platform, table) for table in METADATA} == before
    tracks, artists = len(ids(platform, "Tracks")), len(ids(platform, "Artists"))
    for kind, total in (("track", tracks), ("artist", artists), ("features", tracks)):
        outcome: Outcome = outcomes[kind]
        assert outcome.found
        assert outcome.found.missing == outcome.counts[f"{kind}_requested"] == total
    calls = platform.calls()
    assert {name: calls[name] for name in ("tracks", "artists", "audio-features")} == {
        "tracks": -(-tracks // 50),
        "artists": -(-artists // 50),
        "audio-features": -(-tracks // 100),
    }

    # Spotify has no features of some tracks, which is not believed at once, and no genres of some
    # artists.
    unknown = outcomes["features"].counts["features_unknown"]
    assert unknown == tracks - len(before["TrackFeatures"]) > 0
    assert len(before["ArtistGenres"]) < artists
    platform.spotify.delete("/admin/calls")
    again = run(platform)
    assert platform.calls() == {}
    assert [(one.found.missing, one.found.waiting) for one in again.values()] == [
        (0, 0),
        (0, 0),
        (0, unknown),
    ]


def test_unknown_ids_are_requested_four_times(make_platform: MakePlatform) -> None:
    """Again after 1, 7 and 30 days, by backfills and hourly loads alike, then never."""
    platform = make_platform(users=0)
    platform.execute("""INSERT INTO "Tracks" VALUES ('0000000000000000000000', 'gone', 1)""")
    platform.execute("""INSERT INTO "Artists" VALUES ('1111111111111111111111', 'gone')""")
    hourly_load.plan(platform.settings, "r", platform.clock)
    hourly_load.summarise(platform.settings, "r", platform.clock)
    for days in (1, 7, 30, None):
        for kind in KINDS:
            if days == 30:  # the third time it is the hourly load that asks
                assert enrich(platform.settings, "r", kind, platform.clock)[f"{kind}_unknown"] == 1
            found = backfill.find(platform.settings, kind, None, platform.clock)
            result = backfill.fill(platform.settings, kind, found, nobody, platform.clock)
            assert result.get(f"{kind}_unknown", 0) == (days != 30)
            assert backfill.fill(platform.settings, kind, found, nobody, platform.clock) == {}
            again = backfill.find(platform.settings, kind, None, platform.clock)
            believed = days is None
            assert again[:3] == (0, not believed, believed)
        if days:
            platform.advance(days=days, seconds=-1)
            assert [outcome.counts["calls"] for outcome in run(platform).values()] == [0, 0, 0]
            platform.advance(seconds=1)
    assert platform.rows(
        "SELECT DISTINCT misses, known, source FROM songswap.enrichment_queue"
    ) == [(4, False, "spotify")]


def test_missed_at_random(make_platform: MakePlatform) -> None:
    """A 404 for an id that Spotify knows costs a day, and is forgotten when the id is told."""
    platform = make_platform("--mode", "development", users=2)
    platform.fault(path="/v1/artists/*", status=404, times=2, body="")
    platform.load()
    missed = {
        one for (one,) in platform.rows("SELECT id FROM songswap.enrichment_queue WHERE misses = 1")
    }
    assert len(missed & ids(platform, "Artists")) == 2
    assert not missed & ids(platform, "ArtistImages")
    platform.advance(days=1)
    platform.load()
    result = (
        "SELECT id FROM songswap.enrichment_queue WHERE known AND misses = 0 AND queued_at IS NULL"
    )
    assert missed <= {one for (one,) in platform.rows(result)}


def test_refused_row_is_requested_again_in_a_day(make_platform: MakePlatform) -> None:
    """However PostgreSQL refuses it; all others are loaded, and the run is red."""
    platform = make_platform(users=4)
    for raises in ("RAISE EXCEPTION USING MESSAGE = NEW.id", "RETURN NULL"):
        platform.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF NEW.id = TG_ARGV[0] THEN {raises}; END IF; RETURN NEW; END $$"
        )
        platform.load() if platform.runs == 0 else platform.advance(days=1)
        bad = min(ids(platform, "Artists"))
        platform.execute(
            'CREATE TRIGGER refuse BEFORE INSERT ON "ArtistPopularity" FOR EACH ROW'
            f" EXECUTE FUNCTION refuse('{bad}')"
        )
        forget(platform)
        outcome = backfill.backfill(platform.settings, ["artist"], None, nobody, platform.clock)[
            "artist"
        ]
        assert outcome.problem
        assert "refused the rows of 1 ids" in outcome.problem
        assert outcome.counts["artist_not_loaded"] == 1
        assert outcome.counts["artist_received"] == len(ids(platform, "Artists")) - 1
        assert ids(platform, "ArtistPopularity") == ids(platform, "Artists") - {bad}
        again = backfill.find(platform.settings, "artist", None, platform.clock)
        assert again[:3] == (0, 1, 0)
        platform.execute("DROP FUNCTION refuse CASCADE")


def test_stopped_backfill_requests_no_id_twice(make_platform: MakePlatform) -> None:
    """And none more than chosen."""
    platform = make_platform(users=30)
    platform.load()
    forget(platform)
    found = backfill.find(platform.settings, "track", 420, platform.clock)
    assert found.missing > found.chosen == 420

    # The first round goes well; the second is told to stay away.
    def told(_kind: str, asked: int, chosen: int) -> None:
        assert (asked, chosen) == (200, 420)
        platform.fault(path="/v1/tracks", status=429, headers={"Retry-After": "3600"})

    with pytest.raises(RateLimited) as caught:
        backfill.fill(platform.settings, "track", found, told, platform.clock)
    assert caught.value.until == platform.clock() + timedelta(hours=1)
    assert answered(platform, "track") == 200
    with pytest.raises(RunFailed, match="220 of 420 ids"):
        backfill.verify(platform.settings, "track", found)

    platform.mend()
    platform.advance(hours=1)
    counts = backfill.fill(platform.settings, "track", found, nobody, platform.clock)
    assert counts["track_requested"] == counts["track_received"] == 220
    assert answered(platform, "track") == 420
    assert backfill.verify(platform.settings, "track", found).missing == 0
    chosen = platform.rows(
        "SELECT max(id) FROM songswap.enrichment_queue WHERE answered_at IS NOT NULL"
    )
    assert chosen == [(found.through,)]
    assert backfill.fill(platform.settings, "track", found, nobody, platform.clock) == {}


def test_failed_call_repeats_only_its_own_ids(make_platform: MakePlatform) -> None:
    """The results of the other calls are loaded."""
    platform = make_platform(users=20)
    platform.load()
    forget(platform)
    found = backfill.find(platform.settings, "track", 200, platform.clock)
    # The first call goes alone; of the three beside each other after it, one fails first.
    platform.fault(path="/v1/tracks", times=1)
    platform.fault(path="/v1/tracks", status=429, headers={"Retry-After": "3600"}, times=1)
    platform.fault(path="/v1/tracks", delay_ms=200)
    with pytest.raises(RateLimited):
        backfill.fill(platform.settings, "track", found, nobody, platform.clock)
    assert answered(platform, "track") == 150
    platform.advance(hours=1)
    counts = backfill.fill(platform.settings, "track", found, nobody, platform.clock)
    assert counts["track_requested"] == 50


def test_postponed_ids_wait_for_their_time(make_platform: MakePlatform) -> None:
    """No response named them."""
    platform = make_platform(users=3)
    platform.load()
    forget(platform)
    platform.fault(path="*/audio-features", status=403)
    found = backfill.find(platform.settings, "features", None, platform.clock)
    counts = backfill.fill(platform.settings, "features", found, nobody, platform.clock)
    assert counts["features_postponed"] == found.missing > 0
    assert backfill.verify(platform.settings, "features", found).waiting == found.missing

    platform.mend()
    platform.spotify.delete("/admin/calls")
    later = run(platform, ("features",))["features"]
    assert (later.found.missing, later.found.waiting) == (0, found.missing)
    assert backfill.fill(platform.settings, "features", found, nobody, platform.clock) == {}
    assert platform.calls() == {}
    platform.advance(hours=25)
    late = run(platform, ("features",))["features"]
    assert late.counts["features_requested"] == found.missing
    assert late.counts["features"] > 0


def test_postponed_ids_are_requested_when_heard(make_platform: MakePlatform) -> None:
    """By the hourly load, though the backfill had found nothing."""
    platform = make_platform(users=3)
    platform.load()
    forget(platform)
    platform.fault(path="/v1/artists*", status=403)
    platform.fault(path="*/audio-features", status=403)
    run(platform, ("artist", "features"))
    assert answered(platform, "artist") == answered(platform, "features") == 0
    platform.mend()
    platform.execute("DELETE FROM songswap.blocked_endpoints")
    platform.execute('DELETE FROM "History"')
    platform.execute("DELETE FROM songswap.polls")
    platform.execute("UPDATE songswap.enrichment_queue SET not_before = %s", platform.clock())
    platform.load()
    assert answered(platform, "artist") == len(ids(platform, "Artists"))
    assert answered(platform, "features") == len(ids(platform, "Tracks"))


def test_comes_up_while_filling(make_platform: MakePlatform) -> None:
    """What turns up after the counting is the hourly load's: it is neither asked for nor missed."""
    platform = make_platform(users=3)
    platform.load()
    everybody = sorted(ids(platform, "Artists"))
    known = everybody[1::2]
    platform.execute('DELETE FROM "Artists" WHERE id <> ALL (%s)', known)
    forget(platform)
    tracks = backfill.find(platform.settings, "track", None, platform.clock)
    artists = backfill.find(platform.settings, "artist", None, platform.clock)
    platform.advance(seconds=1)
    backfill.fill(platform.settings, "track", tracks, nobody, platform.clock)
    assert ids(platform, "Artists") == set(everybody)
    counts = backfill.fill(platform.settings, "artist", artists, nobody, platform.clock)
    assert counts["artist_received"] == len(known) == artists.chosen
    assert ids(platform, "ArtistPopularity") == set(known)
    left = backfill.verify(platform.settings, "artist", artists)
    assert left.waiting == sum(one <= known[-1] for one in everybody) - len(known) > 0


def test_goes_behind_the_hourly_load(make_platform: MakePlatform) -> None:
    """While an hourly run goes on nothing is asked for; one that is taken for dead stops nobody."""
    platform = make_platform(users=3)
    platform.load()
    forget(platform)
    found = backfill.find(platform.settings, "artist", None, platform.clock)
    platform.execute(
        "UPDATE songswap.runs SET state = 'running', started_at = %s", platform.clock()
    )
    with pytest.raises(Deferred) as caught:
        backfill.fill(platform.settings, "artist", found, nobody, platform.clock)
    assert caught.value.until == platform.clock() + timedelta(minutes=1)
    assert platform.calls() == {}
    platform.advance(minutes=56)
    assert (
        backfill.fill(platform.settings, "artist", found, nobody, platform.clock)["artist_received"]
        > 0
    )


def test_branch_fails_alone(make_platform: MakePlatform) -> None:
    """One kind that fails says why; the others are filled, and what was loaded stays."""
    platform = make_platform(users=3)
    platform.load()
    forget(platform)
    platform.fault(path="/v1/artists", status=500)
    outcomes = backfill.backfill(platform.settings, KINDS, None, nobody, platform.clock)
    assert "no usable response to artists" in (outcomes["artist"].problem or "")
    assert [outcomes[kind].problem for kind in ("track", "features")] == [None, None]
    assert ids(platform, "TrackFeatures")


def test_row_that_does_not_stay(make_platform: MakePlatform) -> None:
    """A table that swallows rows is named; nothing whose rows it swallowed counts as loaded."""
    platform = make_platform(users=2)
    platform.load()
    before = {table: ids(platform, table) for table in METADATA}
    forget(platform)
    platform.execute(
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$"
    )
    for table in METADATA:
        kind = "artist" if table.startswith("Artist") else "track"
        kind = "features" if table == "TrackFeatures" else kind
        platform.execute(
            f'CREATE TRIGGER swallow BEFORE INSERT ON "{table}" FOR EACH ROW'
            " EXECUTE FUNCTION swallow()"
        )
        found = backfill.find(platform.settings, kind, 50, platform.clock)
        there = ids(platform, table)
        # Where all ids have such rows, the trouble is not theirs.
        with pytest.raises(
            (LoadIncomplete, RunFailed), match=rf"rows were not in {table} after|refused the rows"
        ):
            backfill.fill(platform.settings, kind, found, nobody, platform.clock)
        assert ids(platform, table) == there
        platform.execute(f'DROP TRIGGER swallow ON "{table}"')
        platform.advance(days=1)
    run(platform)
    assert {table: ids(platform, table) for table in METADATA} == before


def test_deleted_track_or_artist_is_not_stored_again(warehouse_dsn: str) -> None:
    """It was deleted while its metadata was requested."""
    with psycopg.connect(warehouse_dsn, autocommit=True) as connection:
        connection.execute("""INSERT INTO "Tracks" VALUES ('there', '', 0)""")
        connection.execute(
            "INSERT INTO songswap.enrichment_queue (kind, id, queued_at)"
            " VALUES ('track', 'gone', now())"
        )
        now = connection.execute("SELECT now()").fetchone()[0]  # type: ignore[index]  # one row
        both = {"there", "gone", "unheard"}
        empty = Metadata(unknown=both)
        enrichment.load(connection, "track", both, empty, now, timedelta(hours=1))
        enrichment_queue.postpone(connection, "artist", both, now)
        enrichment_queue.postpone(connection, "features", both, now)
        rows = connection.execute(
            "SELECT kind, id, misses, known FROM songswap.enrichment_queue ORDER BY kind, id"
        ).fetchall()
    assert rows == [
        ("features", "there", 0, None),
        ("track", "gone", 1, None),
        ("track", "there", 1, None),
    ]
