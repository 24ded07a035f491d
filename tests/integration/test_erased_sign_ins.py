"""The sign-in of an erased user who keeps the account outlives a rotation of the token."""

import signal
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from crashing import loading
from erasing import (
    USER,
    end,
    environment,
    fetched,
    holds,
    host,
    place,
    removed,
    request,
    standing,
    users_in,
)
from factories import MakePlatform, Platform

from songswap.models import RotatedToken
from songswap.pipelines import hourly_load
from songswap.pipelines.drain import drain
from songswap.settings import Settings
from songswap.storage.spool import Spool
from songswap.warehouse import erasures, tokens
from songswap.warehouse.connection import connect

ROTATED = ("--rotate-refresh-tokens", "1")


@pytest.mark.parametrize("keeps_account", [True, False])
@pytest.mark.parametrize("ends", ["goes on", "killed"])
def test_sign_in_outlives_an_exchange_in_progress(
    make_platform: MakePlatform, keeps_account: bool, ends: str
) -> None:
    """Where the account stays: only the spool has the token that Spotify still takes."""
    platform = make_platform(*ROTATED, users=1)
    one = host(platform, "one")
    platform.advance(hours=2)
    before = platform.rows('SELECT access_token, refresh_token FROM "SpotifyTokens"')
    storing = ("freeze", "before", "songswap.warehouse.tokens:store", "1")
    with loading(platform, *storing, **environment(one)) as process:
        standing(process)
        id_ = request(platform, keeps_account=keeps_account, user_id=1)
        with Spool(one.spool) as spool:
            (new,) = spool.tokens()
        if ends == "goes on":
            process.send_signal(signal.SIGCONT)
            process.communicate(timeout=120)
    drain(one, "after", platform.clock)
    after = [(new.access_token, new.refresh_token)] if keeps_account else before
    assert platform.rows('SELECT access_token, refresh_token FROM "SpotifyTokens"') == after
    assert platform.rows("SELECT FROM songswap.tokens") == []
    assert place(platform, one)[1:] == (True, None)
    assert not holds(one, {new.refresh_token.encode(), new.old_refresh_token.encode()})
    # It is no new authorization, of which there is one when the user signs in again, with the
    # account: rows of a user who has none come from a backup.
    end(platform, id_)
    assert renewed(platform) == []
    platform.execute("UPDATE \"SpotifyTokens\" SET refresh_token = 'of a sign-in'")
    assert renewed(platform) == ([(id_,)] if keeps_account else [])


def renewed(platform: Platform) -> list[tuple[Any, ...]]:
    with connect(platform.settings.warehouse_dsn) as connection:
        erasures.record_renewed(connection, platform.clock())
    return platform.rows("SELECT erasure_id FROM songswap.erasures WHERE renewed_at IS NOT NULL")


def test_token_is_mirrored_while_an_erasure_is_requested(
    make_platform: MakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was stored before, and is no new authorization."""
    platform = make_platform(*ROTATED, users=1)
    requested: list[int] = []
    mirror = tokens._mirror

    async def late(*arguments: Any) -> None:
        if not requested:
            requested.append(request(platform, keeps_account=True, user_id=1))
        await mirror(*arguments)

    monkeypatch.setattr(tokens, "_mirror", late)
    ((old,),) = platform.rows('SELECT refresh_token FROM "SpotifyTokens"')
    platform.advance(hours=2)
    hourly_load.load_once(host(platform, "one"), "run", lambda *_: None, platform.clock)
    ((new,),) = platform.rows('SELECT refresh_token FROM "SpotifyTokens"')
    assert new != old
    end(platform, requested[0])
    assert renewed(platform) == []


def waiting_token(platform: Platform, on: Settings) -> RotatedToken:
    """Have the successor of a user's token wait in a spool."""
    ((old,),) = platform.rows('SELECT refresh_token FROM "SpotifyTokens" WHERE id = %s', USER)
    ends = platform.clock() + timedelta(hours=1)
    token = RotatedToken(USER, old, "new access", "new refresh", ends)
    with Spool(on.spool) as spool:
        spool.add_tokens([token])
    return token


def test_sign_in_whose_row_is_locked_waits(
    make_platform: MakePlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its token alone: the responses are gone, and other users are not held up."""
    monkeypatch.setenv("SONGSWAP_WAIT_S", "0.3")
    platform = make_platform(users=3)
    one = host(platform, "one")
    fetched(platform, one)
    token = waiting_token(platform, one)
    request(platform, keeps_account=True)
    with psycopg.connect(platform.settings.warehouse_dsn) as web_app:
        web_app.execute('SELECT FROM "SpotifyTokens" WHERE id = 2 FOR UPDATE')
        drain(one, "first", platform.clock)
        counts, confirmed, problem = place(platform, one)
        assert (counts, confirmed) == (removed(responses=1), False)
        assert problem is not None
        assert "new token of user 2" in problem
        assert users_in(one) == {USER}
    drain(one, "second", platform.clock)
    assert place(platform, one) == (removed(responses=1, tokens=1), True, None)
    ((refresh,),) = platform.rows('SELECT refresh_token FROM "SpotifyTokens" WHERE id = 2')
    assert refresh == token.refresh_token


def test_token_that_fits_nowhere_ends_the_sign_in(
    make_platform: MakePlatform, caplog: pytest.LogCaptureFixture
) -> None:
    """The platform's column is too short for it: nobody waits for what cannot be."""
    platform = make_platform(users=2)
    one = host(platform, "one")
    token = waiting_token(platform, one)
    with Spool(one.spool) as spool:
        spool.add_tokens([token._replace(refresh_token="x" * 999)])
    request(platform, keeps_account=True)
    drain(one, "first", platform.clock)
    assert place(platform, one) == (removed(tokens=1), True, None)
    assert "User 2, who is erased and keeps the account, has to sign in again" in caplog.text


def test_token_of_an_earlier_grant_is_not_kept(make_platform: MakePlatform) -> None:
    """It replaces one that "SpotifyTokens" has no more."""
    platform = make_platform(users=2)
    one = host(platform, "one")
    waiting_token(platform, one)
    platform.execute("UPDATE \"SpotifyTokens\" SET refresh_token = 'of a sign-in' WHERE id = 2")
    request(platform, keeps_account=True)
    drain(one, "first", platform.clock)
    assert platform.rows('SELECT refresh_token FROM "SpotifyTokens" WHERE id = 2') == [
        ("of a sign-in",)
    ]
    assert users_in(one) == set()
