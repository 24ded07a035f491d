"""The app's credentials from a connection, which wins over the environment."""

import json
from typing import Any

import pytest

from songswap.dev.stack.plan import make_plan
from songswap.errors import SettingsError
from songswap.settings import spotify_environment, spotify_of
from songswap.settings.airflow_connection import parse_connection
from songswap.settings.spotify_connection import VARIABLE, with_connection

APP = {"login": "app", "password": "hush"}
OLD = {"SPOTIFY_CLIENT_ID": "old", "SPOTIFY_CLIENT_SECRET": "old-hush"}


def told(environment: dict[str, str], **parts: Any) -> dict[str, str]:
    """The environment with a connection of these fields."""
    return dict(with_connection(environment, parse_connection("NAME", json.dumps(parts))))


def test_connection_replaces_only_what_it_sets() -> None:
    """The rest comes from the environment."""
    environment = OLD | {"SPOTIFY_REDIRECT_URI": "https://a", "RECCOBEATS_URL": "https://r"}
    extra = {"redirect_uri": "https://b", "api_url": "https://api/v1", "accounts_url": ""}
    assert told(environment, conn_type="http", extra=extra, **APP) == {
        "SPOTIFY_CLIENT_ID": "app",
        "SPOTIFY_CLIENT_SECRET": "hush",
        "SPOTIFY_REDIRECT_URI": "https://b",
        "SPOTIFY_API_URL": "https://api/v1",
        "RECCOBEATS_URL": "https://r",
    }
    assert with_connection(environment, None) is environment


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({}, "id as login and its secret as password"),
        ({"login": "hush"}, "id as login and its secret as password"),
        ({"password": "hush"}, "id as login and its secret as password"),
        (APP | {"host": "https://hush"}, "host, a port or a schema"),
        (APP | {"schema": "hush"}, "host, a port or a schema"),
        (APP | {"extra": {"client_id": "hush"}}, ": client_id[.]"),
        (APP | {"extra": {"hush x": "hush"}}, "other characters than letters"),
    ],
)
def test_incomplete_or_unknown_setting_is_refused_without_its_value(
    parts: dict[str, Any], named: str
) -> None:
    with pytest.raises(SettingsError, match=named) as refused:
        told(OLD, **parts)
    assert "SongSwap_Spotify" in str(refused.value)
    assert "hush" not in str(refused.value)


def test_commands_read_it_too() -> None:
    """It may stand in the environment, and its addresses need TLS like any other."""
    for text in ("http://app:h%2Fush@/?api_url=https%3A%2F%2Fx", json.dumps(APP)):
        spotify = spotify_of(spotify_environment(OLD | {VARIABLE: text}))
        assert spotify.client_id == "app"
        assert spotify.client_secret in ("h/ush", "hush")
    plain = json.dumps(APP | {"extra": {"api_url": "http://hush.example"}})
    with pytest.raises(SettingsError, match="SPOTIFY_API_URL has to begin with https"):
        spotify_of(spotify_environment({VARIABLE: plain}))
    assert spotify_of(spotify_environment(OLD)).client_id == "old"


def test_connection_makes_the_demo_use_the_real_spotify() -> None:
    assert make_plan({}).simulated
    assert not make_plan({VARIABLE: json.dumps(APP)}).simulated
    assert not make_plan({VARIABLE: json.dumps(APP), "SPOTIFY_CLIENT_ID": "x"}).simulated
