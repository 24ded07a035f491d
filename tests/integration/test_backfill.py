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
from songswap.warehouse import enrichment

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


def forget(here: Platform) -> None:
    """Delete all metadata, and what is known of it."""
    here.execute(
        'TRUNCATE "TrackImages", "TrackPopularity", "TrackPreviews", "TrackFeatures",'
        ' "ArtistImages", "ArtistPopularity", "ArtistFollowers", "ArtistGenres",'
        " songswap.enrichment_queue, songswap.blocked_endpoints"
    )
    here.spotify.delete("/admin/calls")


def run(
    here: Platform, kinds: tuple[str, ...] = KINDS, at_most: int | None = None
) -> dict[str, Any]:
    """A backfill as the command runs it, which has to go well."""
    outcomes = backfill.backfill(here.settings, kinds, at_most, nobody, here.clock)
    assert [outcome.problem for outcome in outcomes.values()] == [None] * len(kinds)
    return outcomes


def ids(here: Platform, table: str) -> set[str]:
    """The ids that have rows in a table."""
    return {one for (one,) in here.rows(f'SELECT id FROM "{table}"')}  # noqa: S608 - our own names


def answered(here: Platform, kind: str) -> int:
    """How many ids of a kind Spotify has answered, be it that it does not know them."""
    found = (
        "SELECT count(*) FROM songswap.enrichment_queue"
        " WHERE kind = %s AND (answered_at IS NOT NULL OR misses > 0)"
    )
    return int(here.rows(found, kind)[0][0])


def test_fills_what_is_missing_and_ends(platform: MakePlatform) -> None:
    """All that was deleted is there again; a second backfill finds nothing and asks nothing."""
    here = platform(users=12)
    here.load()
    before = {table: ids(here, table) for table in METADATA}
    forget(here)
    outcomes = run(here)
    assert {table: ids(here, table) for table in METADATA} == before
    tracks, artists = len(ids(here, "Tracks")), len(ids(here, "Artists"))
    for kind, total in (("track", tracks), ("artist", artists), ("features", tracks)):
        outcome: Outcome = outcomes[kind]
        assert outcome.found
        assert outcome.found.missing == outcome.counts[f"{kind}_requested"] == total
    calls = here.calls()
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
    here.spotify.delete("/admin/calls")
    again = run(here)
    assert here.calls() == {}
    assert [(one.found.missing, one.found.waiting) for one in again.values()] == [
        (0, 0),
        (0, 0),
        (0, unknown),
    ]


def test_unknown_ids_are_requested_four_times(platform: MakePlatform) -> None:
    """Again after 1, 7 and 30 days, by backfills and hourly loads alike, then never."""
    here = platform(users=0)
    here.execute("""INSERT INTO "Tracks" VALUES ('0000000000000000000000', 'gone', 1)""")
    here.execute("""INSERT INTO "Artists" VALUES ('1111111111111111111111', 'gone')""")
    hourly_load.plan(here.settings, "r", here.clock)
    hourly_load.summarise(here.settings, "r", here.clock)
    for days in (1, 7, 30, None):
        for kind in KINDS:
            if days == 30:  # the third time it is the hourly load that asks
                assert enrich(here.settings, "r", kind, here.clock)[f"{kind}_unknown"] == 1
            found = backfill.find(here.settings, kind, None, here.clock)
            result = backfill.fill(here.settings, kind, found, nobody, here.clock)
            assert result.get(f"{kind}_unknown", 0) == (days != 30)
            assert backfill.fill(here.settings, kind, found, nobody, here.clock) == {}
            again = backfill.find(here.settings, kind, None, here.clock)
            believed = days is None
            assert again[:3] == (0, not believed, believed)
        if days:
            here.advance(days=days, seconds=-1)
            assert [outcome.counts["calls"] for outcome in run(here).values()] == [0, 0, 0]
            here.advance(seconds=1)
    assert here.rows("SELECT DISTINCT misses, known, source FROM songswap.enrichment_queue") == [
        (4, False, "spotify")
    ]


def test_missed_at_random(platform: MakePlatform) -> None:
    """A 404 for an id that Spotify knows costs a day, and is forgotten when the id is told."""
    here = platform("--mode", "development", users=2)
    here.fault(path="/v1/artists/*", status=404, times=2, body="")
    here.load()
    missed = {
        one for (one,) in here.rows("SELECT id FROM songswap.enrichment_queue WHERE misses = 1")
    }
    assert len(missed & ids(here, "Artists")) == 2
    assert not missed & ids(here, "ArtistImages")
    here.advance(days=1)
    here.load()
    result = (
        "SELECT id FROM songswap.enrichment_queue WHERE known AND misses = 0 AND queued_at IS NULL"
    )
    assert missed <= {one for (one,) in here.rows(result)}


def test_refused_row_is_requested_again_in_a_day(platform: MakePlatform) -> None:
    """However PostgreSQL refuses it; all others are loaded, and the run is red."""
    here = platform(users=4)
    for raises in ("RAISE EXCEPTION USING MESSAGE = NEW.id", "RETURN NULL"):
        here.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" IF NEW.id = TG_ARGV[0] THEN {raises}; END IF; RETURN NEW; END $$"
        )
        here.load() if here.runs == 0 else here.advance(days=1)
        bad = min(ids(here, "Artists"))
        here.execute(
            'CREATE TRIGGER refuse BEFORE INSERT ON "ArtistPopularity" FOR EACH ROW'
            f" EXECUTE FUNCTION refuse('{bad}')"
        )
        forget(here)
        outcome = backfill.backfill(here.settings, ["artist"], None, nobody, here.clock)["artist"]
        assert outcome.problem
        assert "refused the rows of 1 ids" in outcome.problem
        assert outcome.counts["artist_not_loaded"] == 1
        assert outcome.counts["artist_received"] == len(ids(here, "Artists")) - 1
        assert ids(here, "ArtistPopularity") == ids(here, "Artists") - {bad}
        again = backfill.find(here.settings, "artist", None, here.clock)
        assert again[:3] == (0, 1, 0)
        here.execute("DROP FUNCTION refuse CASCADE")


def test_stopped_backfill_requests_no_id_twice(platform: MakePlatform) -> None:
    """And none more than chosen."""
    here = platform(users=30)
    here.load()
    forget(here)
    found = backfill.find(here.settings, "track", 420, here.clock)
    assert found.missing > found.chosen == 420

    # The first round goes well; the second is told to stay away.
    def told(_kind: str, asked: int, chosen: int) -> None:
        assert (asked, chosen) == (200, 420)
        here.fault(path="/v1/tracks", status=429, headers={"Retry-After": "3600"})

    with pytest.raises(RateLimited) as caught:
        backfill.fill(here.settings, "track", found, told, here.clock)
    assert caught.value.until == here.clock() + timedelta(hours=1)
    assert answered(here, "track") == 200
    with pytest.raises(RunFailed, match="220 of 420 ids"):
        backfill.verify(here.settings, "track", found)

    here.mend()
    here.advance(hours=1)
    counts = backfill.fill(here.settings, "track", found, nobody, here.clock)
    assert counts["track_requested"] == counts["track_received"] == 220
    assert answered(here, "track") == 420
    assert backfill.verify(here.settings, "track", found).missing == 0
    chosen = here.rows(
        "SELECT max(id) FROM songswap.enrichment_queue WHERE answered_at IS NOT NULL"
    )
    assert chosen == [(found.through,)]
    assert backfill.fill(here.settings, "track", found, nobody, here.clock) == {}


def test_failed_call_repeats_only_its_own_ids(platform: MakePlatform) -> None:
    """The results of the other calls are loaded."""
    here = platform(users=20)
    here.load()
    forget(here)
    found = backfill.find(here.settings, "track", 200, here.clock)
    # The first call goes alone; of the three beside each other after it, one fails first.
    here.fault(path="/v1/tracks", times=1)
    here.fault(path="/v1/tracks", status=429, headers={"Retry-After": "3600"}, times=1)
    here.fault(path="/v1/tracks", delay_ms=200)
    with pytest.raises(RateLimited):
        backfill.fill(here.settings, "track", found, nobody, here.clock)
    assert answered(here, "track") == 150
    here.advance(hours=1)
    counts = backfill.fill(here.settings, "track", found, nobody, here.clock)
    assert counts["track_requested"] == 50


def test_postponed_ids_wait_for_their_time(platform: MakePlatform) -> None:
    """No response named them."""
    here = platform(users=3)
    here.load()
    forget(here)
    here.fault(path="*/audio-features", status=403)
    found = backfill.find(here.settings, "features", None, here.clock)
    counts = backfill.fill(here.settings, "features", found, nobody, here.clock)
    assert counts["features_postponed"] == found.missing > 0
    assert backfill.verify(here.settings, "features", found).waiting == found.missing

    here.mend()
    here.spotify.delete("/admin/calls")
    later = run(here, ("features",))["features"]
    assert (later.found.missing, later.found.waiting) == (0, found.missing)
    assert backfill.fill(here.settings, "features", found, nobody, here.clock) == {}
    assert here.calls() == {}
    here.advance(hours=25)
    late = run(here, ("features",))["features"]
    assert late.counts["features_requested"] == found.missing
    assert late.counts["features"] > 0


def test_postponed_ids_are_requested_when_heard(platform: MakePlatform) -> None:
    """By the hourly load, though the backfill had found nothing."""
    here = platform(users=3)
    here.load()
    forget(here)
    here.fault(path="/v1/artists*", status=403)
    here.fault(path="*/audio-features", status=403)
    run(here, ("artist", "features"))
    assert answered(here, "artist") == answered(here, "features") == 0
    here.mend()
    here.execute("DELETE FROM songswap.blocked_endpoints")
    here.execute('DELETE FROM "History"')
    here.execute("DELETE FROM songswap.polls")
    here.execute("UPDATE songswap.enrichment_queue SET not_before = %s", here.clock())
    here.load()
    assert answered(here, "artist") == len(ids(here, "Artists"))
    assert answered(here, "features") == len(ids(here, "Tracks"))


def test_comes_up_while_filling(platform: MakePlatform) -> None:
    """What turns up after the counting is the hourly load's: it is neither asked for nor missed."""
    here = platform(users=3)
    here.load()
    everybody = sorted(ids(here, "Artists"))
    known = everybody[1::2]
    here.execute('DELETE FROM "Artists" WHERE id <> ALL (%s)', known)
    forget(here)
    tracks = backfill.find(here.settings, "track", None, here.clock)
    artists = backfill.find(here.settings, "artist", None, here.clock)
    here.advance(seconds=1)
    backfill.fill(here.settings, "track", tracks, nobody, here.clock)
    assert ids(here, "Artists") == set(everybody)
    counts = backfill.fill(here.settings, "artist", artists, nobody, here.clock)
    assert counts["artist_received"] == len(known) == artists.chosen
    assert ids(here, "ArtistPopularity") == set(known)
    left = backfill.verify(here.settings, "artist", artists)
    assert left.waiting == sum(one <= known[-1] for one in everybody) - len(known) > 0


def test_goes_behind_the_hourly_load(platform: MakePlatform) -> None:
    """While an hourly run goes on nothing is asked for; one that is taken for dead stops nobody."""
    here = platform(users=3)
    here.load()
    forget(here)
    found = backfill.find(here.settings, "artist", None, here.clock)
    here.execute("UPDATE songswap.runs SET state = 'running', started_at = %s", here.clock())
    with pytest.raises(Deferred) as caught:
        backfill.fill(here.settings, "artist", found, nobody, here.clock)
    assert caught.value.until == here.clock() + timedelta(minutes=1)
    assert here.calls() == {}
    here.advance(minutes=56)
    assert backfill.fill(here.settings, "artist", found, nobody, here.clock)["artist_received"] > 0


def test_branch_fails_alone(platform: MakePlatform) -> None:
    """One kind that fails says why; the others are filled, and what was loaded stays."""
    here = platform(users=3)
    here.load()
    forget(here)
    here.fault(path="/v1/artists", status=500)
    outcomes = backfill.backfill(here.settings, KINDS, None, nobody, here.clock)
    assert "no usable response to artists" in (outcomes["artist"].problem or "")
    assert [outcomes[kind].problem for kind in ("track", "features")] == [None, None]
    assert ids(here, "TrackFeatures")


def test_row_that_does_not_stay(platform: MakePlatform) -> None:
    """A table that swallows rows is named; nothing whose rows it swallowed counts as loaded."""
    here = platform(users=2)
    here.load()
    before = {table: ids(here, table) for table in METADATA}
    forget(here)
    here.execute(
        "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$"
    )
    for table in METADATA:
        kind = "artist" if table.startswith("Artist") else "track"
        kind = "features" if table == "TrackFeatures" else kind
        here.execute(
            f'CREATE TRIGGER swallow BEFORE INSERT ON "{table}" FOR EACH ROW'
            " EXECUTE FUNCTION swallow()"
        )
        found = backfill.find(here.settings, kind, 50, here.clock)
        there = ids(here, table)
        # Where all ids have such rows, the trouble is not theirs.
        with pytest.raises(
            (LoadIncomplete, RunFailed), match=rf"rows were not in {table} after|refused the rows"
        ):
            backfill.fill(here.settings, kind, found, nobody, here.clock)
        assert ids(here, table) == there
        here.execute(f'DROP TRIGGER swallow ON "{table}"')
        here.advance(days=1)
    run(here)
    assert {table: ids(here, table) for table in METADATA} == before


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
        enrichment.postpone(connection, "artist", both, now)
        enrichment.postpone(connection, "features", both, now)
        rows = connection.execute(
            "SELECT kind, id, misses, known FROM songswap.enrichment_queue ORDER BY kind, id"
        ).fetchall()
    assert rows == [
        ("features", "there", 0, None),
        ("track", "gone", 1, None),
        ("track", "there", 1, None),
    ]
