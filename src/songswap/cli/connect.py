"""``songswap connect``: a user's consent, given in a browser, becomes a user in the warehouse."""

import os
import webbrowser
from typing import Annotated
from urllib.parse import urlsplit

import typer

from songswap.terminal.console import err, log_to_stderr, out


def connect(
    port: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=65535,
            help="Where Spotify's redirect is taken, on 127.0.0.1; SPOTIFY_REDIRECT_URI says it if"
            " left out, else 8888.",
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Only print the address to open.")
    ] = False,
    username: Annotated[
        str, typer.Option(help="The user's name in the warehouse; Spotify's if left out.")
    ] = "",
) -> None:
    """Add a user of your own: authorize the app at Spotify, and keep the tokens in the warehouse.

    Reads AIRFLOW_CONN_SONGSWAP_RDS, and AIRFLOW_CONN_SONGSWAP_SPOTIFY or SPOTIFY_CLIENT_ID and
    SPOTIFY_CLIENT_SECRET. Who is there already gets new tokens, good for another six months.
    """
    from songswap import settings
    from songswap.checks.sanity.given import installed
    from songswap.spotify.oauth import authorize
    from songswap.warehouse.connection import connect as connect_to
    from songswap.warehouse.migrate import require_schema
    from songswap.warehouse.rights import require_writable
    from songswap.warehouse.users import store

    log_to_stderr()
    installed("spotipy")
    dsn = settings.warehouse_dsn(os.environ)
    told = settings.spotify_environment(os.environ)
    where = settings.spotify_of(told)
    with connect_to(dsn) as connection:
        require_schema(connection)
        require_writable(connection)
    redirect_uri = _redirect_uri(port, told.get("SPOTIFY_REDIRECT_URI", ""))

    def open_address(address: str) -> None:
        err.say("In Spotify's developer dashboard the app has to have this redirect URI:")
        err.say(f"  {redirect_uri}")
        err.say("Authorize it within five minutes at:")
        err.print(address, soft_wrap=True)
        if not no_browser:
            webbrowser.open(address)

    user = authorize(where, redirect_uri, open_address)
    with connect_to(dsn) as connection:
        user_id, name = store(connection, user, username)
    out.say(f"User {user_id} ({name}) is connected.")
    err.say("'songswap load' fetches the plays; so does the next hourly load.")


def _redirect_uri(port: int | None, told: str) -> str:
    """Where Spotify is to redirect to: ``told``, if that comes back to this machine by HTTP."""
    try:
        parts = urlsplit(told)
        fits = parts.hostname in ("127.0.0.1", "::1") and parts.port
    except ValueError:
        fits = None
    if port is None and fits and parts.scheme == "http":
        return told
    return f"http://127.0.0.1:{port or 8888}/callback"
