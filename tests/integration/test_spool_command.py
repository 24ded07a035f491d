"""``songswap spool`` as somebody in a terminal uses it, and what it has to get along with."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace

import pytest
from factories import MakePlatform, Platform
from typer.main import get_command
from typer.testing import CliRunner, Result

from songswap.cli.main import app
from songswap.cli.spool import spool as spool_app
from songswap.dev.stack.object_store import ObjectStore
from songswap.errors import RunFailed, SpoolError
from songswap.models import RotatedToken
from songswap.pipelines import hourly_load
from songswap.pipelines.batch_load import load_batch
from songswap.pipelines.fetch import fetch
from songswap.storage.records import RawResponse, pack
from songswap.storage.spool import Spool

Run = Callable[..., Result]


@pytest.fixture
def platform(make_platform: MakePlatform, own_objects: ObjectStore) -> Platform:
    """A platform of four users with an S3 endpoint of its own."""
    made = make_platform(users=4)
    made.use(own_objects)
    return made


@pytest.fixture
def songswap(platform: Platform) -> Run:
    """Runs ``songswap spool`` with the platform's settings, and an answer for what it asks."""

    def run(*arguments: str, answer: str = "") -> Result:
        environment = {"COLUMNS": "160"} | platform.environment()
        return CliRunner().invoke(app, ["spool", *arguments], input=answer, env=environment)

    return run


def fetched(platform: Platform, run_id: str = "r") -> None:
    """Have everybody's answers in the spool, not loaded yet."""
    hourly_load.plan(platform.settings, run_id, platform.clock)
    fetch(platform.settings, run_id, 0, platform.clock)


def damage(platform: Platform, id_: int) -> None:
    """Have the disk lose the second half of an answer."""
    with sqlite3.connect(platform.settings.spool / "spool.sqlite3") as db:
        db.execute("UPDATE answers SET body = substr(body, 1, 99) WHERE id = ?", [id_])
    db.close()


def test_help_explains_each_option() -> None:
    commands = get_command(spool_app).commands  # type: ignore[attr-defined]  # it is a group
    assert set(commands) == {"list", "show", "retry", "drop", "hosts", "forget"}
    for command in commands.values():
        assert command.help
        assert [option.name for option in command.params if not option.help] == []


def test_list_show_retry_drop(platform: Platform, own_objects: ObjectStore, songswap: Run) -> None:
    """What waits is listed without a secret, retried when it can leave, and dropped when asked."""
    missing = songswap("list")
    assert missing.exit_code == 1
    assert "There is no spool" in str(missing.exception)
    assert not platform.settings.spool.exists()

    own_objects.stop()
    fetched(platform)
    with Spool(platform.settings.spool) as spool:
        spool.add_tokens(
            [RotatedToken(1, "spent", "secret access", "secret refresh", platform.clock())]
        )
    listed = json.loads(songswap("list", "--json").stdout)
    assert [response["id"] for response in listed["responses"]] == [1, 2, 3, 4]
    assert {tuple(response["waits_for"]) for response in listed["responses"]} == {
        ("S3", "warehouse")
    }
    assert listed["tokens"] == 1
    shown = json.loads(songswap("show", "1", "--json").stdout)
    assert shown["key"].startswith(f"history/spotify/user{shown['user_id']}/")
    assert shown["plays"] > 0
    assert shown["first_play"] < shown["last_play"] < shown["observed_at"]

    refused = songswap("retry", "2", "--json")
    assert refused.exit_code == 1
    (left,) = json.loads(refused.stdout)["responses"]
    assert (left["id"], left["waits_for"]) == (2, ["S3"])
    assert "SongSwap_S3_PutOnly" in left["problem"]
    table = songswap("list")
    assert "4 responses" in table.stdout
    assert "S3, warehouse" in table.stdout
    assert "secret" not in table.stdout + str(listed)

    unknown = songswap("drop", "1", "99", "--yes")
    assert (unknown.exit_code, "no response 99" in str(unknown.exception)) == (1, True)
    kept = songswap("drop", "1", answer="n\n")
    assert kept.exit_code == 1
    assert f"{shown['plays']} plays of user {shown['user_id']} from" in kept.stderr
    assert "neither loaded nor in S3" in kept.stderr
    assert songswap("drop", "1", answer="y\n").exit_code == 0

    own_objects.start()
    platform.use(own_objects)
    done = songswap("retry")
    assert done.exit_code == 0, done.stderr
    assert "3 responses left the spool, 0 still wait" in done.stderr
    with Spool(platform.settings.spool) as spool:
        assert spool.entries() == []
    assert len({user for user, _, _ in platform.history()}) == 3
    assert platform.rows("SELECT state FROM songswap.runs") == [("running",)], "a retry is no run"


def test_damaged_response_stays_and_others_leave(
    platform: Platform, own_objects: ObjectStore, songswap: Run
) -> None:
    """It has its reason."""
    own_objects.stop()
    fetched(platform)
    damage(platform, 2)
    counts = load_batch(platform.settings, "r", 0, platform.clock)
    assert counts["plays"] == platform.history().total() > 0
    assert len({user for user, _, _ in platform.history()}) == 3
    own_objects.start()
    platform.use(own_objects)
    with pytest.raises(RunFailed, match=r"response 2 of user \d is damaged"):
        platform.load()
    assert platform.history() == platform.reachable(), "Spotify told it again"
    with Spool(platform.settings.spool) as spool:
        assert [(entry.id, entry.archived, entry.loaded) for entry in spool.entries()] == [
            (2, False, False)
        ]
    shown = songswap("show", "2")
    assert "is damaged" in shown.stdout
    dropped = songswap("drop", "2", "--yes")
    assert "which cannot be read" in dropped.stderr
    platform.load()


@pytest.mark.parametrize(
    "trouble",
    [
        "RAISE EXCEPTION 'no'",
        "RAISE EXCEPTION 'no' USING ERRCODE = 'check_violation'",
        "RETURN NULL",
    ],
)
def test_refused_response_stays_and_others_load(platform: Platform, trouble: str) -> None:
    """The warehouse refuses or swallows its rows; it has its reason."""
    poisoned = platform.user_id("listener-0002")
    platform.execute(
        "CREATE FUNCTION trouble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF NEW.user_id = {poisoned} THEN {trouble}; END IF; RETURN NEW; END $$"
    )
    platform.execute(
        'CREATE TRIGGER trouble BEFORE INSERT ON "History" FOR EACH ROW EXECUTE FUNCTION trouble()'
    )
    with pytest.raises(RunFailed, match="0 responses wait in the spool for S3 and 1 for the"):
        platform.load()
    platform.advance(hours=2)
    with pytest.raises(RunFailed, match="and 2 for the warehouse"):
        platform.load()
    assert len({user for user, _, _ in platform.history()}) == 3
    with Spool(platform.settings.spool) as spool:
        assert {entry.user_id for entry in spool.entries()} == {poisoned}
        assert all(entry.problem for entry in spool.entries())
    platform.execute('DROP TRIGGER trouble ON "History"')
    platform.load()
    assert platform.history() == platform.reachable()


def test_full_spool_takes_nothing_and_nobody_is_polled(
    platform: Platform, own_objects: ObjectStore
) -> None:
    own_objects.stop()
    fetched(platform)
    platform.settings = replace(platform.settings, spool_max_bytes=15 * 4096)
    platform.spotify.delete("/admin/calls")
    hourly_load.plan(platform.settings, "r2", platform.clock)
    with pytest.raises(SpoolError, match="4 responses wait for S3 and 4 for the warehouse"):
        fetch(platform.settings, "r2", 0, platform.clock)
    assert platform.calls() == {}
    with (
        Spool(platform.settings.spool, 15 * 4096) as spool,
        pytest.raises(SpoolError, match="SONGSWAP_SPOOL_MAX_MB"),
    ):
        spool.add("r2", 0, [RawResponse(1, "key", platform.clock(), pack(b"{}"))])
    own_objects.start()
    platform.use(own_objects)
    platform.load()
    assert platform.history() == platform.reachable()
    assert len({user for user, _, _ in platform.history()}) == 4
