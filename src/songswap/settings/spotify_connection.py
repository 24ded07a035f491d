"""Airflow's connection to Spotify → the variables of the environment that say the same.

So the app's credentials can lie in a secrets backend, as those of every other service. Where the
connection ``SongSwap_Spotify`` is defined it wins over the environment.
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
    """The environment, in which a connection to Spotify says what it says.

    Args:
        connection: its login is the app's id, its password the app's secret; its extra may have
            ``redirect_uri`` and other addresses than Spotify's own. None where it is not defined.

    Raises:
        SettingsError: it lacks one of the credentials, or has what it may not; no value is told.
    """
    if connection is None:
        return environment
    if not (connection.login and connection.password):
        raise SettingsError(
            f"The connection {NAME} has to have the app's id as login and its secret as password,"
            " from Spotify's developer dashboard. Without the connection, SPOTIFY_CLIENT_ID and"
            " SPOTIFY_CLIENT_SECRET of the environment hold."
        )
    if connection.host or connection.port or connection.schema:
        raise SettingsError(
            f"The connection {NAME} has a host, a port or a schema, which nothing reads: other"
            " addresses than Spotify's own are api_url and accounts_url in its extra."
        )
    unknown = sorted(connection.extra.keys() - _EXTRAS.keys())
    if unknown:
        raise SettingsError(
            f"The connection {NAME} has in its extra what nothing reads:"
            f" {', '.join(map(safe_name, unknown))}. It knows {', '.join(sorted(_EXTRAS))}."
        )
    told = {_EXTRAS[option]: text for option, text in connection.extra.items() if text.strip()}
    credentials = {
        "SPOTIFY_CLIENT_ID": connection.login,
        "SPOTIFY_CLIENT_SECRET": connection.password,
    }
    return {**environment, **told, **credentials}
