"""Several hosts, each with a spool of its own: what one leaves, others make up for, or name."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from crashing import killed
from factories import MakePlatform, Platform
from typer.testing import CliRunner

from songswap.cli.main import app
from songswap.errors import RunFailed
from songswap.pipelines import hourly_load
from songswap.pipelines.drain import drain, drain_spool
from songswap.settings import Settings
from songswap.storage.spool import Spool
from songswap.warehouse import spools
from songswap.warehouse.connection import connect
from songswap.warehouse.spools import Waiting

ROTATED = ("--rotate-refresh-tokens", "1")
TOKEN_SPOOLED = ("before", "songswap.warehouse.tokens:store", "1")


def host(platform: Platform, name: str) -> Settings:
    """The settings of another host: all is the same but its disk."""
    spool = platform.settings.spool.parent / f"disk of {name}"
    return replace(platform.settings, spool=spool, host=name)


def killed_on(platform: Platform, on: Settings, *boundary: str) -> str:
    """Have a load killed on a host; gives its run's id."""
    killed(platform, *boundary, SONGSWAP_SPOOL=str(on.spool), SONGSWAP_HOST=on.host)
    ((run_id,),) = platform.rows(
        "SELECT run_id FROM songswap.runs WHERE run_id LIKE 'run of %%' AND state = 'running'"
    )
    return str(run_id)


def load(platform: Platform, on: Settings, run_id: str) -> dict[str, int]:
    """A load on a host, to its end; a run that was begun on another goes on."""
    return hourly_load.load_once(on, run_id, lambda *_: None, platform.clock)


def silence(platform: Platform, *hosts: Settings) -> None:
    """Let an hour pass in which these hosts report nothing."""
    platform.execute(
        "UPDATE songswap.spools SET seen_at = seen_at - interval '1 hour' WHERE host = ANY (%s)",
        [each.host for each in hosts],
    )


def states(platform: Platform) -> dict[str, int]:
    """How many grants are in which state."""
    return dict(platform.rows("SELECT state, count(*) FROM songswap.grants GROUP BY 1"))


def contents(platform: Platform) -> list[Any]:
    """The plays, and what is recorded of them."""
    tables = ('"History"', '"Tracks"', '"ArtistTracks"', '"TrackPopularity"', "songswap.gaps")
    return [sorted(platform.rows(f"SELECT t::text FROM {table} t")) for table in tables]  # noqa: S608 - ours


@pytest.mark.parametrize(
    "boundary",
    [
        pytest.param(("after", "songswap.pipelines.batch:fetch", "1"), id="between fetch and load"),
        pytest.param(("after", "songswap.warehouse.plays:load", "1"), id="loaded, not committed"),
        pytest.param(
            ("before", "songswap.storage.spool:Spool.mark_loaded", "1"), id="committed, not noted"
        ),
    ],
)
def test_batch_of_a_killed_host_is_done_on_another(
    make_platform: MakePlatform, boundary: tuple[str, str, str]
) -> None:
    """The run ends green with every play; what is drained later from the first changes nothing."""
    platform = make_platform(*ROTATED, users=4)
    one, other = host(platform, "one"), host(platform, "other")
    platform.advance(hours=2)
    run_id = killed_on(platform, one, *boundary)
    counts = load(platform, other, run_id)
    assert platform.history() == platform.reachable()
    assert counts["waiting_for_warehouse"] == 0
    before = contents(platform)
    with Spool(one.spool) as spool:
        left = spool.waiting()[1]
        assert left == 4
    assert drain(one, "later", platform.clock).counts["retried_loaded"] == left
    assert contents(platform) == before
    assert states(platform) == {"active": 4}


def test_host_whose_disk_is_gone_is_forgotten(make_platform: MakePlatform) -> None:
    """Runs are red for what waits on a silent host, name it, and say what is lost with it."""
    platform = make_platform(users=3)
    one, other = host(platform, "one"), host(platform, "other")
    away = replace(one, archive=replace(one.archive, secret_access_key="wrong"))
    with pytest.raises(RunFailed, match=r"3 responses wait in the spool for S3 .* on host one"):
        load(platform, away, "first")
    with pytest.raises(RunFailed, match="on host one since") as red:
        load(platform, other, "second")
    assert "Its next drain stores them" in str(red.value)
    run = CliRunner().invoke
    refused = run(app, ["spool", "forget", "one", "--yes"], env=platform.environment())
    assert "is not silent" in str(refused.exception)
    silence(platform, one)
    with pytest.raises(RunFailed, match=r"has been silent since .* 'songswap spool forget one'"):
        load(platform, other, "third")
    listed = run(app, ["spool", "hosts"], env=platform.environment() | {"COLUMNS": "200"})
    assert "silent" in listed.output
    status = run(app, ["status"], env=platform.environment())
    assert "1 with something waiting, 1 silent" in status.output
    forgotten = run(app, ["spool", "forget", "one", "--yes"], env=platform.environment())
    assert forgotten.exit_code == 0
    assert "0 responses that are not loaded, and 3 that are not in S3" in forgotten.output
    load(platform, other, "fourth")
    assert platform.rows("SELECT host FROM songswap.spools") == [("other",)]


def test_host_made_from_the_disk_of_another_gets_an_id_of_its_own(
    make_platform: MakePlatform,
) -> None:
    """Under one id each would take the other's place: what waits on the one that is silent would be
    no problem of a run, and who is erased on one would count as erased on both."""
    platform = make_platform(users=3)
    one, twin = host(platform, "one"), host(platform, "one's twin")
    away = replace(one, archive=replace(one.archive, secret_access_key="wrong"))
    with pytest.raises(RunFailed, match="on host one"):
        load(platform, away, "first")
    shutil.copytree(one.spool, twin.spool)
    for number in range(5):
        drain(twin, f"twin {number}", platform.clock)
        drain(away, f"one {number}", platform.clock)
        platform.advance(minutes=10)
    waiting = "SELECT host, waiting_for_s3 FROM songswap.spools ORDER BY 1"
    assert platform.rows(waiting) == [("one", 3), ("one's twin", 0)]
    ids = "SELECT spool_id FROM songswap.spools"
    before = platform.rows(ids)
    for number in range(5):
        drain(twin, f"twin {number}", platform.clock)
        drain(away, f"one {number}", platform.clock)
        platform.advance(minutes=10)
    assert platform.rows(ids) == before, "one of them keeps the id, and each its own from then on"


def test_host_that_reports_from_many_processes_keeps_its_id(make_platform: MakePlatform) -> None:
    """Also where one of them was killed before it could note on its disk that it had reported, and
    where the disk or the warehouse went back in time."""
    platform = make_platform(users=1)
    one = host(platform, "one")
    drain(one, "first", platform.clock)
    with Spool(one.spool) as spool:
        own = spool.id
    for number in range(6):
        if number % 3 == 0:
            silence(platform, one)
        platform.advance(minutes=10)
        with ThreadPoolExecutor(4) as threads:
            for again in range(4):
                threads.submit(drain, one, f"{number} {again}", platform.clock)
    with Spool(one.spool) as spool:
        assert spool.id == own


def test_waiting_since_is_of_the_oldest_that_waits(make_platform: MakePlatform) -> None:
    """Also when what came before it has left; with nothing left, nothing waits."""
    platform = make_platform(users=2)
    one = host(platform, "one")
    away = replace(one, archive=replace(one.archive, secret_access_key="wrong"))
    came = []
    for run_id in ("first", "second"):
        platform.advance(hours=3)
        with pytest.raises(RunFailed, match="wait in the spool for S3"):
            load(platform, away, run_id)
        with Spool(one.spool) as spool:
            came.append([(entry.id, entry.observed_at) for entry in spool.entries()])
    first, both = came
    (_, oldest), (_, next_oldest) = first[0], both[len(first)]
    assert oldest < next_oldest
    since = "SELECT waiting_since FROM songswap.spools"
    assert platform.rows(since) == [(oldest,)]
    with Spool(one.spool) as spool, connect(one.warehouse_dsn) as connection:
        ids = [id_ for id_, _ in first]
        drain_spool(one, connection, spool, "some", platform.clock, only=ids)
    assert platform.rows(since) == [(next_oldest,)]
    drain(one, "rest", platform.clock)
    assert platform.rows(since) == [(None,)]


def test_tokens_wait_since_the_report_that_has_them_first(make_platform: MakePlatform) -> None:
    """They have no time of their own; a response beside them may have come before."""
    platform = make_platform(users=1)
    id_, at = uuid4(), platform.clock() - timedelta(days=300)
    tokens, with_response = Waiting(0, 0, 1, None, None), Waiting(1, 0, 1, None, at)
    since = "SELECT waiting_since = seen_at, waiting_since FROM songswap.spools"
    found = []
    for waiting in (tokens, tokens, with_response, Waiting(0, 0, 0, None, None), tokens):
        with connect(platform.settings.warehouse_dsn) as connection:
            spools.report(connection, id_, "one", waiting)
        found += platform.rows(since)
    assert [is_new for is_new, _ in found] == [True, False, False, None, True]
    times = [time for _, time in found]
    assert times[0] == times[1]
    assert times[2:4] == [at, None]


def test_host_that_is_gone_with_nothing_is_no_problem(make_platform: MakePlatform) -> None:
    """A killed host's batch in progress is no report; its row is deleted after some days."""
    platform = make_platform(users=3)
    one, other = host(platform, "one"), host(platform, "other")
    run_id = killed_on(platform, one, "after", "songswap.pipelines.batch:fetch", "1")
    (one.spool / "spool.sqlite3").unlink()
    silence(platform, one)
    load(platform, other, run_id)
    assert platform.history() == platform.reachable()
    assert {name for (name,) in platform.rows("SELECT host FROM songswap.spools")} == {
        "one",
        "other",
    }
    platform.execute("UPDATE songswap.spools SET seen_at = seen_at - interval '8 days'")
    load(platform, other, "later")
    assert platform.rows("SELECT host FROM songswap.spools") == [("other",)]


@pytest.fixture
def cut_off(make_platform: MakePlatform) -> tuple[Platform, Settings, Settings]:
    """Two hosts; the first has a user's newest token on its disk, and was killed before it said."""
    platform = make_platform(*ROTATED, users=2)
    one, other = host(platform, "one"), host(platform, "other")
    platform.advance(hours=2)
    load(platform, one, "before")
    platform.advance(hours=1)
    killed_on(platform, one, *TOKEN_SPOOLED)
    # Spotify gives a successor once more for some minutes; then never again.
    platform.advance(hours=1)
    platform.execute("UPDATE songswap.token_exchanges SET claimed_until = now() - interval '1 s'")
    return platform, one, other


def test_user_is_undecided_while_a_host_may_have_the_token(
    cut_off: tuple[Platform, Settings, Settings],
) -> None:
    """However often another host is refused; when the first comes back, the user goes on."""
    platform, one, other = cut_off
    counts = load(platform, other, "refused")
    assert (counts["refused"], counts["undecided_users"]) == (1, 1)
    assert states(platform) == {"active": 2}
    silence(platform, one)
    platform.advance(hours=1)
    silent = "the tokens of 1 user, and newer ones may be in the spool of host one"
    with pytest.raises(RunFailed, match=silent):
        load(platform, other, "refused again")
    assert states(platform) == {"active": 2}
    assert drain(one, "back", platform.clock).counts["tokens_stored"] == 1
    platform.advance(hours=1)
    counts = load(platform, other, "after")
    assert (counts.get("refused", 0), counts["undecided_users"]) == (0, 0)
    assert platform.history() == platform.reachable()
    assert states(platform) == {"active": 2}


def test_user_is_settled_once_the_host_is_forgotten(
    cut_off: tuple[Platform, Settings, Settings],
) -> None:
    """As lost; if the host comes back all the same, its token revives the grant."""
    platform, one, other = cut_off
    load(platform, other, "refused")
    silence(platform, one)
    forgotten = CliRunner().invoke(
        app, ["spool", "forget", "one", "--yes"], env=platform.environment()
    )
    assert "those of up to 1 may be" in forgotten.output
    platform.advance(hours=1)
    assert load(platform, other, "settled")["lost_tokens"] == 1
    assert states(platform) == {"active": 1, "lost": 1}
    drain(one, "back", platform.clock)
    assert states(platform) == {"active": 2}
    platform.advance(hours=1)
    load(platform, other, "after")
    assert platform.history() == platform.reachable()


def test_host_that_drained_without_the_token_settles_the_user(
    cut_off: tuple[Platform, Settings, Settings],
) -> None:
    """Its disk is known to have no token: nobody waits for it."""
    platform, one, other = cut_off
    with Spool(one.spool) as spool:
        spool.drop_tokens(spool.tokens(), platform.clock())
    load(platform, other, "refused")
    assert states(platform) == {"active": 2}
    drain(one, "back", platform.clock)
    platform.advance(hours=1)
    assert load(platform, other, "settled")["lost_tokens"] == 1
    assert states(platform) == {"active": 1, "lost": 1}
