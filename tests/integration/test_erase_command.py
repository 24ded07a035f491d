"""``songswap erase`` as somebody in a terminal uses it."""

import re
from collections.abc import Callable

import pytest
from factories import MakePlatform, Platform
from typer.testing import CliRunner, Result

from songswap.cli.main import app

Run = Callable[..., Result]


@pytest.fixture
def platform(make_platform: MakePlatform) -> Platform:
    """A platform of two users with plays."""
    made = make_platform(users=2)
    made.load()
    return made


@pytest.fixture
def songswap(platform: Platform) -> Run:
    """Runs ``songswap erase`` with the platform's settings, and an answer for what it asks."""

    def run(*arguments: str, answer: str = "") -> Result:
        environment = {"COLUMNS": "120"} | platform.environment()
        return CliRunner().invoke(app, ["erase", *arguments], input=answer, env=environment)

    return run


def plays(platform: Platform) -> dict[int, int]:
    return dict(platform.rows('SELECT user_id, count(*) FROM "History" GROUP BY 1'))


def test_erase_asks_and_prints_a_receipt(platform: Platform, songswap: Run) -> None:
    """Exit code 1 while a host has to confirm; the same command ends it, and 0 says so."""
    before = plays(platform)
    done = songswap("1", answer="1\n")
    assert done.exit_code == 1, done.output
    assert plays(platform) == {2: before[2]}
    assert "What an erasure of user 1 removes" in done.stderr
    assert re.search(rf"warehouse +│ History +│ +{before[1]} │ waits", done.stdout)
    assert f"Host {platform.settings.host}" in done.stderr
    assert "The erasure is not complete" in done.stderr
    platform.execute(
        "UPDATE songswap.erasure_places SET confirmed_at = now() WHERE host IS NOT NULL"
    )
    done = songswap("1")
    assert done.exit_code == 0, done.output
    assert "Type 1" not in done.output, "nothing is left to be removed"
    assert re.search(rf"warehouse +│ History +│ +{before[1]} │ 20", done.stdout)
    assert re.search(r"S3 +│ bytes +│ +[\d,]+ │ 20", done.stdout)
    assert songswap("1", "--receipts").stdout == done.stdout


def test_dry_run_changes_nothing(platform: Platform, songswap: Run) -> None:
    before, objects = plays(platform), platform.objects()
    done = songswap("1", "--dry-run")
    assert done.exit_code == 0
    assert re.search(rf"warehouse +│ History +│ +{before[1]} │", done.stdout)
    assert re.search(rf"{platform.settings.host} +│ its spool", done.stdout)
    assert plays(platform) == before
    assert platform.objects() == objects
    assert platform.rows("SELECT 1 FROM songswap.erasures") == []


@pytest.mark.parametrize("answer", ["", "y\n", "2\n"])
def test_nothing_is_done_without_the_id(platform: Platform, songswap: Run, answer: str) -> None:
    before = plays(platform)
    assert songswap("1", answer=answer).exit_code == 1
    assert plays(platform) == before
    assert platform.rows("SELECT 1 FROM songswap.erasures") == []


def test_user_who_is_unknown(songswap: Run) -> None:
    done = songswap("4711", "--yes")
    assert "There is no user 4711" in str(done.exception)
    assert "No erasure of user 4711 is recorded." in songswap("4711", "--receipts").stdout
