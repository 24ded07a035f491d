"""``songswap drain``: what waits on a host is stored without a batch, and by nobody twice."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
from crashing import killed, loading
from factories import MakePlatform, Platform
from psycopg import sql

from songswap.dev.stack.object_store import ObjectStore
from songswap.pipelines.drain import has_untried
from songswap.storage.spool import Spool

HERE = {"SONGSWAP_HOST": "worker-1"}
FETCHED = ("after", "songswap.pipelines.batch:fetch", "1")


def environment(platform: Platform) -> dict[str, str]:
    """The variables of a process on the platform."""
    return {"PATH": os.environ.get("PATH", os.defpath), **HERE, **platform.environment()}


def drain(platform: Platform, *options: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
    """One drain, which ends with an exit code."""
    done = subprocess.run(  # noqa: S603  (our own command)
        [sys.executable, "-m", "songswap.cli.main", "drain", *options],
        env=environment(platform),
        cwd=platform.settings.spool.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == code, done.stderr
    return done


def drained(platform: Platform, code: int = 0) -> dict[str, Any]:
    """The JSON of one drain, which ends with an exit code."""
    report: dict[str, Any] = json.loads(drain(platform, "--json", code=code).stdout)
    return report


def reported(platform: Platform) -> list[tuple[Any, ...]]:
    """What each host has reported: what waits, and whether it is known since when."""
    return platform.rows(
        "SELECT host, waiting_for_s3, waiting_for_warehouse, waiting_tokens,"
        " waiting_since IS NULL FROM songswap.spools"
    )


def test_drain_stores_what_a_killed_load_left(make_platform: MakePlatform) -> None:
    """Its responses and tokens; the next drain finds nothing."""
    platform = make_platform("--rotate-refresh-tokens", "1", users=3)
    platform.load()
    platform.advance(hours=1)
    killed(platform, *FETCHED, **HERE)
    with Spool(platform.settings.spool) as spool:
        left = spool.waiting()[1]
        assert left > 0
    report = drained(platform)
    assert (report["host"], report["counts"]["retried_loaded"]) == ("worker-1", left)
    assert (report["waiting_for_s3"], report["waiting_for_warehouse"], report["problem"]) == (
        *(0, 0),
        None,
    )
    assert platform.history() == platform.reachable()
    assert drained(platform)["counts"]["retried_loaded"] == 0
    assert reported(platform) == [("worker-1", 0, 0, 0, True)]


def test_drain_that_finds_nothing_says_so(make_platform: MakePlatform) -> None:
    """In words, on a host that has just joined."""
    said = drain(make_platform(users=1)).stderr
    assert "Host worker-1: 0 responses were archived, 0 loaded," in " ".join(said.split())


def test_drain_leaves_a_batch_in_progress(make_platform: MakePlatform) -> None:
    """Also when its process is frozen; once it is killed, all of it is drained at once."""
    platform = make_platform(users=3)
    with loading(platform, "freeze", *FETCHED, **HERE) as process:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        report = drained(platform)
        assert report["counts"]["retried_loaded"] == report["waiting_for_warehouse"] == 0
        assert reported(platform) == [("worker-1", 0, 0, 0, True)]
        with Spool(platform.settings.spool) as spool:
            assert spool.waiting() == (0, 3)
            (work,) = spool.at_work()
        assert work.run_id.startswith("run of ")
        assert not has_untried(platform.settings)
    assert has_untried(platform.settings), "the service stores it before its next turn"
    assert drained(platform)["counts"]["retried_loaded"] == 3
    assert not has_untried(platform.settings)
    assert platform.history() == platform.reachable()
    with Spool(platform.settings.spool) as spool:
        assert spool.at_work() == []


def test_service_survives_what_is_away_and_ends_cleanly(
    make_platform: MakePlatform, own_objects: ObjectStore, tmp_path: Path
) -> None:
    """It drains at once and every few minutes; SIGTERM ends it with 0."""
    platform = make_platform(users=3)
    platform.use(own_objects)
    own_objects.stop()
    with pytest.raises(Exception, match="on host"):
        platform.load()
    database = str(psycopg.conninfo.conninfo_to_dict(platform.settings.warehouse_dsn)["dbname"])
    other = psycopg.conninfo.make_conninfo(platform.settings.warehouse_dsn, dbname="postgres")
    allow = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
    service = subprocess.Popen(
        [sys.executable, "-m", "songswap.cli.main", "drain", "--every", "0.01", "--json"],
        env=environment(platform),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert service.stdout is not None
    assert service.stderr is not None
    try:
        report = json.loads(service.stdout.readline())
        assert (report["waiting_for_s3"], report["waiting_for_warehouse"]) == (3, 0)
        assert reported(platform) == [("worker-1", 3, 0, 0, False)]
        with psycopg.connect(other, autocommit=True) as admin:
            admin.execute(allow.format(sql.Identifier(database), sql.SQL("false")))
            line = service.stderr.readline()
            while "Not drained" not in line:
                assert line, "it ended"
                line = service.stderr.readline()
            assert "SongSwap_RDS" in line
            own_objects.start()
            admin.execute(allow.format(sql.Identifier(database), sql.SQL("true")))
        while report["waiting_for_s3"]:
            report = json.loads(service.stdout.readline())
        assert reported(platform) == [("worker-1", 0, 0, 0, True)]
        service.send_signal(signal.SIGTERM)
        _, said = service.communicate(timeout=60)
        assert service.returncode == 0, said
        assert "Traceback" not in said
    finally:
        service.kill()
        service.communicate()


def test_drain_says_with_its_exit_code_what_waits(
    make_platform: MakePlatform, own_objects: ObjectStore
) -> None:
    """1 while something waits, with the reason."""
    platform = make_platform(users=2)
    platform.use(own_objects)
    own_objects.stop()
    with pytest.raises(Exception, match="2 responses wait in the spool for S3"):
        platform.load()
    report = drained(platform, code=1)
    assert not has_untried(platform.settings), "what has failed waits for its turn"
    assert report["waiting_for_s3"] == 2
    assert "S3" in report["problem"]
