"""Airflow's connection to Spotify → the environment variables with the same meaning.

With it the app's credentials can be in a secrets backend, like those of the other services. If the
connection ``SongSwap_Spotify`` is defined, it wins over the environment.
"""

from collections.abc import Mapping

from songswap.errors import SettingsError
from songswap.settings.airflow_connection import Connection, safe_name

NAME = "SongSwap_Spotify"
VARIABLE = "AIRFLOW_CONN_SONGSWAP_SPOTIFY"

_EXTRAS = {
    "redirect_uri": "SPOTIFY_REDIRECT_URI",
    "api_url": "SPOTIFY_API_URL",
    "accounts_url": "SPOTIFY_ACCOUNTS_URL",
    "reccobeats_url": "RECCOBEATS_URL",
}


def with_connection(
    environment: Mapping[str, str], connection: Connection | None
) -> Mapping[str, str]:
    """The environment with the settings of a connection to Spotify.

    Args:
        connection: its login is the app's id, its password the app's secret; its extra may have
            ``redirect_uri`` and other addresses than Spotify's own. None if it is not defined.

    Raises:
        SettingsError: it lacks a credential, or has an unknown option; the text has no value of it.
    """
    if connection is None:
        return environment
    if not (connection.login and connection.password):
        raise SettingsError(
            f"The connection {NAME} needs the app's id as login and its secret as password, from"
            " Spotify's developer dashboard. Without the connection, SPOTIFY_CLIENT_ID and"
            " SPOTIFY_CLIENT_SECRET of the environment are used."
        )
    if connection.host or connection.port or connection.schema:
        raise SettingsError(
            f"The connection {NAME} has a host, a port or a schema, which are not used: set other"
            " addresses than Spotify's own as api_url and accounts_url in its extra."
        )
    unknown = sorted(connection.extra.keys() - _EXTRAS.keys())
    if unknown:
        raise SettingsError(
            f"The connection {NAME} has unknown options in its extra:"
            f" {', '.join(map(safe_name, unknown))}. Known are {', '.join(sorted(_EXTRAS))}."
        )
    extras = {_EXTRAS[option]: text for option, text in connection.extra.items() if text.strip()}
    credentials = {
        "SPOTIFY_CLIENT_ID": connection.login,
        "SPOTIFY_CLIENT_SECRET": connection.password,
    }
    return {**environment, **extras, **credentials}
