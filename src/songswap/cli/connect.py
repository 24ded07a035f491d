"""``songswap connect``: adds a user who authorizes the app in a browser to the warehouse."""

import os
import webbrowser
from typing import Annotated
from urllib.parse import urlsplit

import typer

from songswap.cli.command import open_warehouse
from songswap.terminal.console import err, log_to_stderr, out


def connect(
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help="The port of 127.0.0.1 that receives Spotify's redirect; if left out, that of"
            " SPOTIFY_REDIRECT_URI, or 8888.",
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only print the address to open.")
    ] = False,
    username: Annotated[
        str, typer.Option(help="The user's name in the warehouse; Spotify's if left out.")
    ] = "",
) -> None:
    """Add a user: authorize the app at Spotify, and store the tokens in the warehouse.

    Reads AIRFLOW_CONN_SONGSWAP_RDS, and AIRFLOW_CONN_SONGSWAP_SPOTIFY or SPOTIFY_CLIENT_ID and
    SPOTIFY_CLIENT_SECRET. An existing user gets new tokens, valid for another six months.
    """
    from songswap import settings
    from songswap.checks.sanity.context import installed
    from songswap.spotify.oauth import authorize
    from songswap.warehouse.rights import require_writable
    from songswap.warehouse.users import store

    log_to_stderr()
    installed("spotipy")
    dsn = settings.warehouse_dsn(os.environ)
    environment = settings.spotify_environment(os.environ)
    spotify = settings.spotify_of(environment)
    with open_warehouse(dsn) as connection:
        require_writable(connection)
    redirect_uri = _redirect_uri(port, environment.get("SPOTIFY_REDIRECT_URI", ""))

    def open_address(address: str) -> None:
        err.say("In Spotify's developer dashboard the app needs this redirect URI:")
        err.say(f"  {redirect_uri}")
        err.say("Authorize it within five minutes at:")
        err.print(address, soft_wrap=True)
        if not no_browser:
            webbrowser.open(address)

    user = authorize(spotify, redirect_uri, open_address)
    with open_warehouse(dsn) as connection:
        user_id, name = store(connection, user, username)
    out.say(f"User {user_id} ({name}) is connected.")
    err.say("'songswap load' fetches the plays; so does the next hourly load.")


def _redirect_uri(port: int | None, uri: str) -> str:
    """The redirect URI: the one that is set, if it leads back to this machine by HTTP."""
    try:
        parts = urlsplit(uri)
        is_local = parts.hostname in ("127.0.0.1", "::1") and parts.port
    except ValueError:
        is_local = None
    if port is None and is_local and parts.scheme == "http":
        return uri
    return f"http://127.0.0.1:{port or 8888}/callback"
