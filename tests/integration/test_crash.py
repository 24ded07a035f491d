"""What stops an hourly load in its middle costs no play: the next load has them all, each once."""

import socket
import socketserver
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from urllib.parse import urlsplit

import psycopg
import pytest
from crashing import ended, killed, loading
from factories import MakePlatform, Platform

from songswap.errors import RunFailed, WarehouseUnavailable
from songswap.pipelines import hourly_load
from songswap.pipelines.batch_load import load_batch
from songswap.pipelines.fetch import fetch
from songswap.storage import keys
from songswap.storage.spool import Spool

ROTATED = ("--rotate-refresh-tokens", "1")


def assert_whole(platform: Platform, users: int) -> None:
    """Every play that Spotify told is loaded, each once; nobody's grant is lost; nothing waits."""
    assert platform.history() == platform.reachable()
    assert len({user for user, _, _ in platform.history()}) == users
    assert platform.rows("SELECT user_id FROM songswap.grants WHERE state <> 'active'") == []
    with Spool(platform.settings.spool) as spool:
        assert (spool.waiting(), spool.tokens()) == ((0, 0), [])


@pytest.mark.parametrize(
    "boundary",
    [
        pytest.param(
            "before songswap.pipelines.tokens:TokenExchanger._send 2",
            id="before a token's exchange",
        ),
        pytest.param(
            "after songswap.pipelines.tokens:TokenExchanger._store 2",
            id="a rotated token is stored",
        ),
        pytest.param("before songswap.storage.spool:Spool.add 2", id="before the disk"),
    ],
)
def test_killed_before_the_disk(make_platform: MakePlatform, boundary: str) -> None:
    """What was answered to a killed process and is not on the disk yet is asked for again."""
    platform = make_platform(*ROTATED, users=4)
    platform.advance(hours=2)
    killed(platform, *boundary.split())
    platform.load()
    assert_whole(platform, 4)


def test_killed_with_rotated_tokens_in_hand(make_platform: MakePlatform) -> None:
    """Tokens that Spotify rotated are good although a killed process did not store them."""
    platform = make_platform(*ROTATED, users=1)
    platform.advance(hours=2)
    # Users who signed up now have tokens of whose end nobody knows: this load learns of it.
    platform.load()
    platform.advance(hours=1)
    killed(platform, "before", "songswap.warehouse.tokens:store", "1")
    # What they took the place of is worthless by now.
    platform.advance(minutes=30)
    assert platform.load()["tokens_stored"] == 1
    assert_whole(platform, 1)


@pytest.mark.parametrize(
    "boundaries",
    [
        pytest.param(("after songswap.storage.archive:Archive.put",), id="in S3, not noted"),
        pytest.param(("after songswap.storage.spool:Spool.mark_archived",), id="in S3, noted"),
        pytest.param(("after songswap.pipelines.batch:fetch",), id="between fetch and load"),
        pytest.param(("after songswap.warehouse.catalogue:_load_artists",), id="artists alone"),
        pytest.param(("after songswap.warehouse.catalogue:load",), id="tracks, no plays"),
        pytest.param(
            ("after songswap.warehouse.plays:_Load.write_shared_rows",), id="loaded, not committed"
        ),
        pytest.param(("before songswap.warehouse.runs:end_step 3",), id="loaded, step not ended"),
        pytest.param(
            ("before songswap.storage.spool:Spool.mark_loaded",), id="committed, not noted"
        ),
        pytest.param(
            ("before songswap.storage.spool:Spool._drop_done 2",), id="about to be forgotten"
        ),
        pytest.param(
            ("after songswap.warehouse.enrichment:load", "before songswap.warehouse.runs:end_run"),
            id="metadata in part, then the run about to end",
        ),
        pytest.param(
            (
                "after songswap.storage.spool:Spool.add",
                "before songswap.storage.archive:Archive.put",
                "after songswap.storage.archive:Archive.put",
                "before songswap.storage.spool:Spool.mark_loaded",
            ),
            id="the retries too",
        ),
    ],
)
def test_killed_after_the_disk(make_platform: MakePlatform, boundaries: tuple[str, ...]) -> None:
    """What is on the disk is loaded once whatever is killed, also when Spotify tells it no more."""
    platform = make_platform(*ROTATED, users=1)
    platform.advance(hours=2)
    first = keys.for_hour(platform.user_id("listener-0001"), platform.clock())
    for boundary in boundaries:
        killed(platform, *boundary.split())
        platform.advance(days=20)
    platform.load()
    assert_whole(platform, 1)
    assert first in platform.objects()
    counted = "SELECT sum((counts ->> 'plays')::integer) FROM songswap.steps"
    assert platform.rows(counted) == platform.rows('SELECT count(*) FROM "History"')


def test_disk_full_in_a_load(make_platform: MakePlatform) -> None:
    """A disk that is full from the second answer on is told; when there is room all is loaded."""
    platform = make_platform(*ROTATED, users=4)
    platform.advance(hours=2)
    code, said = ended(platform, "fill", "before", "songswap.storage.spool:Spool.add", "2")
    assert code == 1
    assert f"The spool {platform.settings.spool}" in said
    assert "Traceback" not in said
    platform.load()
    assert_whole(platform, 4)


def test_warehouse_lost_in_a_transaction(make_platform: MakePlatform) -> None:
    """A load whose session the server ends in the middle leaves nothing, and the next has it."""
    platform = make_platform(users=4)
    hourly_load.plan(platform.settings, "r", platform.clock)
    fetch(platform.settings, "r", 0, platform.clock)
    with (
        psycopg.connect(platform.settings.warehouse_dsn) as holder,
        ThreadPoolExecutor(1) as thread,
    ):
        holder.execute('LOCK TABLE "History" IN SHARE MODE')
        load = thread.submit(load_batch, platform.settings, "r", 0, platform.clock)
        ended_sessions: list[tuple[bool]] = []
        while not ended_sessions and not load.done():
            ended_sessions = platform.rows(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        with pytest.raises(WarehouseUnavailable):
            load.result(timeout=30)
    assert ended_sessions == [(True,)]
    assert not platform.history()
    platform.advance(days=20)
    platform.load()
    assert_whole(platform, 4)


class Losing(socketserver.BaseRequestHandler):
    """Passes a request on to S3, and hangs up when S3 has begun to answer."""

    server: "LosingServer"

    def handle(self) -> None:
        """One request; the client may send the next over a connection of its own."""
        result = b""
        while b"\r\n\r\n" not in result:
            result += self.request.recv(65536)
        head, _, body = result.partition(b"\r\n\r\n")
        fields = dict(line.split(b": ", 1) for line in head.lower().split(b"\r\n")[1:])
        missing = int(fields[b"content-length"]) - len(body)
        while missing > 0:
            result += (more := self.request.recv(65536))
            missing -= len(more)
        with socket.create_connection(self.server.s3, timeout=20) as s3:
            s3.sendall(result)
            assert s3.recv(9).startswith(b"HTTP/1.1 ")


class LosingServer(socketserver.ThreadingTCPServer):
    """The way to S3 at ``url``, which takes requests there and brings no answer back."""

    daemon_threads = True

    def __init__(self, url: str) -> None:
        super().__init__(("127.0.0.1", 0), Losing)
        where = urlsplit(url)
        self.s3 = (where.hostname or "", where.port or 0)


def test_s3_takes_it_and_does_not_say_so(make_platform: MakePlatform) -> None:
    """Objects that S3 took without an answer stay as they are; their answers leave in the end."""
    platform = make_platform(users=4)
    direct = platform.settings
    with LosingServer(direct.archive.endpoint_url or "") as way:
        threading.Thread(target=way.serve_forever, args=(0.01,), daemon=True).start()
        lost = replace(direct.archive, endpoint_url=f"http://127.0.0.1:{way.server_address[1]}")
        platform.settings = replace(direct, archive=lost)
        with pytest.raises(RunFailed, match="4 responses wait in the spool for S3"):
            platform.load()
        way.shutdown()
    taken = platform.objects()
    assert taken
    platform.settings = direct
    platform.advance(days=20)
    platform.load()
    assert set(taken) < set(platform.objects())
    assert_whole(platform, 4)


def test_two_loads_at_once(make_platform: MakePlatform) -> None:
    """Two that load everybody at once lose and double nothing, and no token is exchanged twice."""
    platform = make_platform(*ROTATED, users=4)
    platform.advance(hours=2)
    platform.fault(path="/api/token", delay_ms=150)
    with loading(platform) as one, loading(platform) as other:
        for load in (one, other):
            _, said = load.communicate(timeout=60)
            # One may find in the spool what the other has in hand, and say so.
            assert load.returncode == 0 or "responses wait in the spool" in said, said
    assert_whole(platform, 4)
    refreshes = "sum((counts ->> 'calls token refresh_token 200')::int)"
    assert platform.rows(f"SELECT {refreshes} FROM songswap.steps") == [(4,)]  # noqa: S608 - see above
