"""The client against services that are hostile, confused or far away in time."""

import asyncio
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from examples import examples
from factories import MakePlatform, Platform
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from songswap.errors import (
    InvalidGrant,
    ReccoBeatsUnavailable,
    RunFailed,
    SongSwapError,
    SpotifyUnavailable,
    UnusableToken,
)
from songswap.pipelines.hourly_load import load_once
from songswap.settings import Spotify
from songswap.spotify.client import Client, open_client
from songswap.spotify.reccobeats import open_reccobeats

FEED = "/v1/me/player/recently-played"


def ask(platform: Platform, deed: Callable[[Client], Awaitable[Any]], **patience: Any) -> Any:
    """What a client of its own gets, with the calls that it took."""
    where = replace(platform.settings.spotify, **patience)

    async def run() -> Any:
        async with open_client(where, platform.clock) as client:
            return await deed(client)

    return asyncio.run(run())


def token_of(platform: Platform, user: str = "listener-0001") -> tuple[str, str]:
    """The tokens of a user."""
    query = 'SELECT access_token, refresh_token FROM "SpotifyTokens" WHERE id = %s'
    [(access_token, refresh_token)] = platform.rows(query, platform.user_id(user))
    return access_token, refresh_token


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "endless"},
        {"action": "endless", "every_ms": 20},
        {"action": "bomb", "size_mb": 200},
        {"action": "bomb", "size_mb": 200, "status": 403},
    ],
)
@pytest.mark.parametrize("path", [FEED, "/api/token", "/reccobeats/*"])
def test_bodies_are_bounded(make_platform: MakePlatform, path: str, fault: dict[str, Any]) -> None:
    """However much comes, however slowly: it is the service's trouble, and fills no memory."""
    platform = make_platform(users=1)
    access_token, refresh_token = token_of(platform)
    platform.fault(path=path, **fault)

    async def features(_: Client) -> None:
        impatient = replace(platform.settings.spotify, tries=1, token_tries=1, timeout_s=0.5)
        async with open_reccobeats(impatient, platform.clock) as client:
            await client.audio_features(["4iV5W9uYEdYUVa79Axb7Rh"])

    deeds: dict[str, Callable[[Client], Awaitable[Any]]] = {
        FEED: lambda client: client.recently_played(access_token),
        "/api/token": lambda client: client.refresh(refresh_token),
        "/reccobeats/*": features,
    }
    tracemalloc.start()
    try:
        with pytest.raises((SpotifyUnavailable, ReccoBeatsUnavailable)):
            ask(platform, deeds[path], tries=1, token_tries=1, timeout_s=0.5)
        assert tracemalloc.get_traced_memory()[1] < 80 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("wbits", [zlib.MAX_WBITS, -zlib.MAX_WBITS])
async def test_deflated_bomb_is_bounded(wbits: int) -> None:
    packer = zlib.compressobj(wbits=wbits)
    parts = [packer.compress(b'{"items": []}'), packer.compress(b" " * 200 * 2**20)]
    body = b"".join([*parts, packer.flush()])

    async def bomb(_: web.Request) -> web.Response:
        return web.Response(body=body, headers={"Content-Encoding": "deflate"})

    app = web.Application()
    app.router.add_get(FEED, bomb)
    async with TestServer(app) as server:
        where = Spotify("app", "secret", str(server.make_url("/v1")), tries=1)
        tracemalloc.start()
        async with open_client(where) as client:
            with pytest.raises(SpotifyUnavailable, match="BodyTooLarge"):
                await client.recently_played("token")
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
        tracemalloc.stop()


def test_large_response_is_accepted(make_platform: MakePlatform) -> None:
    """Up to the limit."""
    platform = make_platform(users=1)
    platform.fault(path=FEED, action="bomb", size_mb=8)
    result = ask(platform, lambda client: client.recently_played(token_of(platform)[0]))
    assert len(result.body) > 8 * 2**20


@pytest.mark.parametrize("status", [408, 425, 500, 502])
def test_request_refused_for_now_is_sent_again(make_platform: MakePlatform, status: int) -> None:
    platform = make_platform(users=1)
    platform.fault(path=FEED, status=status, body="", times=3)
    assert ask(platform, lambda client: client.recently_played(token_of(platform)[0])).body


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "drop"},
        {"action": "cut"},
        {"action": "truncate"},
        {"delay_ms": 1000},
        {"status": 200, "body": "<html>"},
        {"status": 504, "body": ""},
    ],
)
def test_lost_token_response_is_retried_longer(
    make_platform: MakePlatform, fault: dict[str, Any]
) -> None:
    """Spotify may have rotated the token: giving up early loses the user."""
    platform = make_platform("--rotate-refresh-tokens", "1", users=1)
    platform.fault(path="/api/token", times=7, **fault)
    spent = token_of(platform)[1]
    patience = {"timeout_s": 0.05 if "delay_ms" in fault else 20.0}
    tokens = ask(platform, lambda client: client.refresh(spent), **patience)
    assert tokens.refresh_token not in (None, spent)


def test_failed_connection_is_not_retried_longer_for_tokens(make_platform: MakePlatform) -> None:
    """Nothing was exchanged, so the usual tries are enough."""
    platform = make_platform(users=1)
    platform.fault(path="/api/token", status=503)
    with pytest.raises(SpotifyUnavailable, match="in 4 tries"):
        ask(platform, lambda client: client.refresh(token_of(platform)[1]))


@pytest.mark.parametrize("access_token", [None, "a\nb", ["a"]])
def test_odd_access_token_costs_an_hour(make_platform: MakePlatform, access_token: object) -> None:
    """The rotated token beside it is stored, so that the user is back in the next hour."""
    platform = make_platform("--rotate-refresh-tokens", "1", users=3)
    platform.load()
    platform.advance(hours=1)
    odd = {"json_patch": [{"path": "access_token", "value": access_token}]}
    for user in ("listener-0001", "listener-0002"):
        platform.fault(path="/api/token", user=user, action="mutate", mutate=odd)
    assert platform.load()["failed"] == 2
    platform.mend()
    platform.advance(hours=1)
    assert not {"failed", "refused"} & {name for name, n in platform.load().items() if n}
    assert platform.history() == platform.reachable()


def test_token_of_any_characters_raises_only_our_errors(make_platform: MakePlatform) -> None:
    platform = make_platform(users=1)

    async def run() -> None:
        async with open_client(
            replace(platform.settings.spotify, tries=1), platform.clock
        ) as client:
            for text in texts:
                with pytest.raises(SongSwapError) as failed:
                    await client.recently_played(text)
                assert isinstance(failed.value, UnusableToken) or text.isascii()
                with pytest.raises(InvalidGrant):
                    await client.refresh(text)

    texts = ["a\r\nX-Evil: 1", "\x00", "é", "日本", "\ud800", " ", "a b", "x" * 3000, "%", "a&b=c"]
    asyncio.run(run())

    @settings(
        max_examples=examples(0.5),
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(st.text(st.characters(codec=None), min_size=1, max_size=50))
    def any_text(text: str) -> None:
        with pytest.raises(SongSwapError):
            ask(platform, lambda client: client.recently_played(text), tries=1)

    any_text()


@pytest.mark.parametrize(
    ("offset_s", "said"), [(93_600, "26 hours slow"), (-86_400, "24 hours fast")]
)
@pytest.mark.parametrize("users", [1, 12])
def test_wrong_clock_stops_the_run(
    make_platform: MakePlatform, users: int, offset_s: int, said: str
) -> None:
    """Who was asked until it was known is kept, nobody else is asked, and no pause is noted."""
    platform = make_platform(users=users)
    platform.fault(path="/v1/*", date_offset_s=offset_s)
    with pytest.raises(RunFailed, match=f"clock is {said}"):
        platform.load()
    assert platform.history() == platform.reachable()
    assert platform.calls()["recently-played"] == 2, "more were asked than need be"
    platform.mend()
    platform.load()
    assert platform.history() == platform.reachable()
    assert len({user for user, _, _ in platform.history()}) == users


@pytest.mark.parametrize(("users", "hours"), [(1, 26), (2, 26), (9, 26), (9, -26)])
def test_wrong_clock_in_a_long_pause(make_platform: MakePlatform, users: int, hours: int) -> None:
    """A fast clock takes a pause for over: what it is told then is gone when the pause is."""
    platform = make_platform(users=users)
    for _ in range(2):
        platform.load()
        platform.advance(hours=11)
    platform.fault(path="/v1/*", status=429, headers={"Retry-After": "86400"}, times=1)
    with pytest.raises(RunFailed, match="Spotify allows no more requests"):
        platform.load()
    platform.mend()
    platform.advance(hours=11)
    with pytest.raises(RunFailed):
        load_once(
            platform.settings,
            "wrong",
            lambda *_: None,
            lambda: platform.clock() + timedelta(hours=hours),
        )
    platform.advance(days=9)
    platform.load()
    assert platform.history() == platform.reachable()


def test_response_with_a_wrong_date_is_requested_again(make_platform: MakePlatform) -> None:
    """It stops nobody."""
    platform = make_platform(users=8)
    platform.fault(path=FEED, user="listener-0002", date_offset_s=-7200, times=1)
    platform.load()
    assert platform.history() == platform.reachable()
    assert len({user for user, _, _ in platform.history()}) == 8
